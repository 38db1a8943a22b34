"""A stack of Transformer blocks over frames, in place of an LSTM."""

import jax
import jax.numpy as jnp
from flax import nnx

from mashjax.nn.attention import WindowedAttention
from mashjax.nn.precision import dense

HEAD_WIDTH = 32
"""Features of a head, if the attention's width is a multiple of it; otherwise there is one head."""


class Transformer(nnx.Module):
    """Self-attention and a feed-forward layer, `layers` times over (Vaswani et al., 2017).

    Both add to a sum that is normalised where it is read (pre-norm; Xiong et al., 2020). Frames
    know how far apart they are and not where: see `rotated`.
    """

    def __init__(
        self,
        features: int,
        hidden: int,
        *,
        layers: int,
        attention: int,
        window: int,
        causal: bool,
        dtype: str = "float32",
        rngs: nnx.Rngs,
    ):
        self.layers = layers
        self.reach = layers * window  # no frame hears another that is farther away
        self.dtype = dtype
        self.project = nnx.Linear(features, hidden, rngs=rngs)
        # By name, as arrays are in files.
        self.blocks = nnx.Dict(
            {
                str(number): Block(
                    hidden, attention, window=window, causal=causal, dtype=dtype, rngs=rngs
                )
                for number in range(layers)
            }
        )
        self.norm = nnx.LayerNorm(hidden, rngs=rngs)

    def __call__(self, x: jax.Array, *, exists: jax.Array | None = None) -> jax.Array:
        """x: [frames, batch, features]; exists: bool [frames], False for padding.

        Returns [frames, batch, hidden].
        """
        x = dense(self.project, jnp.swapaxes(x, 0, 1), dtype=self.dtype)
        for number in range(self.layers):
            x = self.blocks[str(number)](x, exists=exists)
        return jnp.swapaxes(self.norm(x), 0, 1)


class Block(nnx.Module):
    """Attention over the frames around, then a dense layer four times as wide as what it takes."""

    def __init__(
        self,
        hidden: int,
        attention: int,
        *,
        window: int,
        causal: bool,
        dtype: str,
        rngs: nnx.Rngs,
    ):
        self.dtype = dtype
        self.before_attention = nnx.LayerNorm(hidden, rngs=rngs)
        self.attention = WindowedAttention(
            hidden,
            attention,
            window=window,
            heads=attention // HEAD_WIDTH if attention % HEAD_WIDTH == 0 else 1,
            causal=causal,
            rotary=True,
            dtype=dtype,
            rngs=rngs,
        )
        self.attended = nnx.Linear(attention, hidden, rngs=rngs)
        self.before_units = nnx.LayerNorm(hidden, rngs=rngs)
        self.units = nnx.Linear(hidden, 4 * hidden, rngs=rngs)
        self.made = nnx.Linear(4 * hidden, hidden, rngs=rngs)

    def __call__(self, x: jax.Array, *, exists: jax.Array | None = None) -> jax.Array:
        """x: [batch, frames, hidden]; exists: bool [frames]. Returns [batch, frames, hidden]."""
        attended = self.attention(self.before_attention(x), exists=exists)
        x = x + dense(self.attended, attended, dtype=self.dtype)
        units = jax.nn.relu(dense(self.units, self.before_units(x), dtype=self.dtype))
        return x + dense(self.made, units, dtype=self.dtype)
