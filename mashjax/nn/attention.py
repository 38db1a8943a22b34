"""Single-head self-attention over a window of frames: memory grows linearly with the length."""

import jax
import jax.numpy as jnp
from flax import nnx


class WindowedAttention(nnx.Module):
    """Every frame attends to the `window` frames before and after it, and to itself."""

    def __init__(self, features: int, width: int, *, window: int, rngs: nnx.Rngs):
        self.window = window
        self.query_key_value = nnx.Linear(features, 3 * width, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array, *, exists: jax.Array | None = None) -> jax.Array:
        """x: [batch, frames, features]; exists: as in `windowed_attention`.

        Returns [batch, frames, width].
        """
        query, key, value = jnp.split(self.query_key_value(x), 3, axis=-1)
        return windowed_attention(query, key, value, window=self.window, exists=exists)


def windowed_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    window: int,
    exists: jax.Array | None = None,
) -> jax.Array:
    """Scaled dot-product attention in which frame t sees frames t - window ... t + window.

    The frames are cut into chunks of `window`; a chunk of queries meets the keys of its own and
    both neighbouring chunks, so scores are [chunks, window, 3 * window], never frames squared.

    query, key, value: [batch, frames, width]; exists: bool [frames], False for padding that
    nobody may attend to. Returns [batch, frames, width].
    """
    batch, frames, width = query.shape
    chunks = -(-frames // window)
    pad = ((0, 0), (0, chunks * window - frames), (0, 0))

    def cut(x: jax.Array) -> jax.Array:
        return jnp.pad(x, pad).reshape(batch, chunks, window, width)

    def with_neighbours(x: jax.Array) -> jax.Array:
        x = jnp.pad(cut(x), ((0, 0), (1, 1), (0, 0), (0, 0)))
        return jnp.concatenate([x[:, :-2], x[:, 1:-1], x[:, 2:]], axis=2)

    scores = jnp.einsum("bcqw,bckw->bcqk", cut(query), with_neighbours(key)) / width**0.5
    at = jnp.arange(chunks)[:, None] * window
    query_frame = at + jnp.arange(window)
    key_frame = at + jnp.arange(-window, 2 * window)
    near = jnp.abs(query_frame[:, :, None] - key_frame[:, None, :]) <= window
    real = jnp.ones(frames, bool) if exists is None else exists
    real = jnp.pad(real, (window, (chunks + 1) * window - frames))
    # Padded queries would see nothing at all, and softmax of nothing is NaN: they see themselves.
    seen = near & (real[key_frame + window][:, None, :] | ~real[query_frame + window][:, :, None])
    weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1)
    mixed = jnp.einsum("bcqk,bckw->bcqw", weights, with_neighbours(value))
    return mixed.reshape(batch, chunks * window, width)[:, :frames]
