"""Self-attention over a window of frames: memory grows linearly with the length."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from mashjax.nn.precision import einsum, matmul

LEAST_CHUNK = 256
"""Frames. Narrower chunks compare fewer pairs, but in matmuls that are too small to be fast."""


class WindowedAttention(nnx.Module):
    """Every frame attends to the `window` frames before and after it, and to itself.

    width: of all heads together; causal: to those before it only; rotary: knows how far away they
    are (see `rotated`; each head's width must be even).
    """

    def __init__(
        self,
        features: int,
        width: int,
        *,
        window: int,
        heads: int = 1,
        causal: bool = False,
        rotary: bool = False,
        dtype: str = "float32",
        rngs: nnx.Rngs,
    ):
        self.window = window
        self.heads = heads
        self.causal = causal
        self.rotary = rotary
        self.dtype = dtype
        self.query_key_value = nnx.Linear(features, 3 * width, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array, *, exists: jax.Array | None = None) -> jax.Array:
        """x: [batch, frames, features]; exists: as in `windowed_attention`.

        Returns [batch, frames, width].
        """
        projected = matmul(x, self.query_key_value.kernel[...], dtype=self.dtype)
        query, key, value = (self._by_head(part) for part in jnp.split(projected, 3, axis=-1))
        if self.rotary:
            query, key = rotated(query, window=self.window), rotated(key, window=self.window)
        attended = windowed_attention(
            query,
            key,
            value,
            window=self.window,
            causal=self.causal,
            exists=exists,
            dtype=self.dtype,
        )
        by_head = attended.reshape(-1, self.heads, *attended.shape[1:])
        return jnp.moveaxis(by_head, 1, 2).reshape(*x.shape[:2], -1)

    def _by_head(self, x: jax.Array) -> jax.Array:
        """[batch, frames, width] -> [batch * heads, frames, width / heads]."""
        by_head = jnp.moveaxis(x.reshape(*x.shape[:2], self.heads, -1), 2, 1)
        return by_head.reshape(-1, x.shape[1], by_head.shape[-1])


def windowed_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    window: int,
    causal: bool = False,
    exists: jax.Array | None = None,
    dtype: str = "float32",
) -> jax.Array:
    """Scaled dot-product attention in which frame t sees frames t - window ... t + window.

    If `causal`, it sees none after itself.

    The frames are cut into chunks of about `window`; a chunk of queries meets the keys that any of
    them sees, so scores are [chunk, chunk + 2 * window] for each, never frames squared.

    query, key, value: [batch, frames, width]; exists: bool [frames], False for padding that
    nobody may attend to; dtype: of the products. Returns [batch, frames, width].
    """
    frames, width = query.shape[1:]
    chunks = max(1, round(frames / max(window, LEAST_CHUNK)))
    length = -(-frames // (8 * chunks)) * 8  # whole vector registers
    query = query * width**-0.5
    ahead = 0 if causal else window

    def mixed(start: int) -> jax.Array:
        stop = min(start + length, frames)
        first, last = max(0, start - window), min(stop + ahead, frames)
        scores = einsum("bqw,bkw->bqk", query[:, start:stop], key[:, first:last], dtype)
        if exists is not None or stop - first > window + 1 or last - start > ahead + 1:
            queries, keys = jnp.arange(start, stop)[:, None], jnp.arange(first, last)
            seen = (keys >= queries - window) & (keys <= queries + ahead)
            if exists is not None:
                # Padded queries would see nothing at all, and softmax of nothing is NaN: they see
                # each other.
                seen &= exists[keys] | ~exists[queries]
            scores = jnp.where(seen, scores, -jnp.inf)
        weights = jax.nn.softmax(scores, axis=-1)
        return einsum("bqk,bkw->bqw", weights, value[:, first:last], dtype)

    return jnp.concatenate([mixed(start) for start in range(0, frames, length)], axis=1)


def rotated(x: jax.Array, *, window: int) -> jax.Array:
    """Queries or keys, turned by angles that grow with time (rotary embedding; Su et al., 2021).

    Pairs of features are planes. A query's product with a key then depends on how many frames lie
    between them, and on nothing else about where they are: a frame late in a song is treated as
    those of a few seconds that training saw. The planes turn by a radian per frame and less, down
    to a quarter turn in a window, so that every distance within it is told from every other.

    x: [batch, frames, width], width even. Returns the same.
    """
    frames, width = x.shape[1:]
    rates = np.geomspace(1.0, np.pi / 2 / window, width // 2)
    # Of float64 and before compiling: float32 would be off by a thousandth at frame 25,000.
    angles = np.outer(np.arange(frames), rates)
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)
