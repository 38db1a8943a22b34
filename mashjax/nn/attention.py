"""Single-head self-attention over a window of frames: memory grows linearly with the length."""

import jax
import jax.numpy as jnp
from flax import nnx

from mashjax.nn.precision import einsum, matmul

LEAST_CHUNK = 256
"""Frames. Narrower chunks compare fewer pairs, but in matmuls that are too small to be fast."""


class WindowedAttention(nnx.Module):
    """Every frame attends to the `window` frames before and after it, and to itself."""

    def __init__(
        self, features: int, width: int, *, window: int, dtype: str = "float32", rngs: nnx.Rngs
    ):
        self.window = window
        self.dtype = dtype
        self.query_key_value = nnx.Linear(features, 3 * width, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array, *, exists: jax.Array | None = None) -> jax.Array:
        """x: [batch, frames, features]; exists: as in `windowed_attention`.

        Returns [batch, frames, width].
        """
        projected = matmul(x, self.query_key_value.kernel[...], dtype=self.dtype)
        return windowed_attention(
            *jnp.split(projected, 3, axis=-1), window=self.window, exists=exists, dtype=self.dtype
        )


def windowed_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    window: int,
    exists: jax.Array | None = None,
    dtype: str = "float32",
) -> jax.Array:
    """Scaled dot-product attention in which frame t sees frames t - window ... t + window.

    The frames are cut into chunks of about `window`; a chunk of queries meets the keys that any of
    them sees, so scores are [chunk, chunk + 2 * window] for each, never frames squared.

    query, key, value: [batch, frames, width]; exists: bool [frames], False for padding that
    nobody may attend to; dtype: of the products. Returns [batch, frames, width].
    """
    frames, width = query.shape[1:]
    chunks = max(1, round(frames / max(window, LEAST_CHUNK)))
    length = -(-frames // (8 * chunks)) * 8  # whole vector registers
    query = query * width**-0.5

    def mixed(start: int) -> jax.Array:
        stop = min(start + length, frames)
        first, last = max(0, start - window), min(stop + window, frames)
        scores = einsum("bqw,bkw->bqk", query[:, start:stop], key[:, first:last], dtype)
        if exists is not None or max(stop - first, last - start) > window + 1:
            queries, keys = jnp.arange(start, stop)[:, None], jnp.arange(first, last)
            seen = jnp.abs(queries - keys) <= window
            if exists is not None:
                # Padded queries would see nothing at all, and softmax of nothing is NaN: they see
                # each other.
                seen &= exists[keys] | ~exists[queries]
            scores = jnp.where(seen, scores, -jnp.inf)
        weights = jax.nn.softmax(scores, axis=-1)
        return einsum("bqk,bkw->bqw", weights, value[:, first:last], dtype)

    return jnp.concatenate([mixed(start) for start in range(0, frames, length)], axis=1)
