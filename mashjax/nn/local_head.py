"""A head that all places of a frame share: each is judged by its neighbours and by the whole.

Where what is asked of a bin depends on a few bins around it, one small network for all of them
learns from every bin what a dense layer would have to learn for each.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from mashjax.nn.precision import dense


class LocalHead(nnx.Module):
    """For each place, outputs from its neighbourhood in both songs and a few words on the whole.

    seen: what there is of the whole frame; features: per song, the same number for each of
    `places`; reach: neighbours to either side; words: numbers that the whole frame gives to each
    place; units: of the hidden layer; outputs: per frame, the same number for each place.
    """

    def __init__(
        self,
        seen: int,
        features: int,
        outputs: int,
        *,
        places: int,
        units: int,
        reach: int = 2,
        words: int = 4,
        dtype: str = "float32",
        rngs: nnx.Rngs,
    ):
        self.places, self.reach, self.dtype = places, reach, dtype
        around = (2 * reach + 1) * 2 * features // places
        self.words = nnx.Linear(seen, places * words, rngs=rngs)
        self.hidden = nnx.Linear(around + words, units, rngs=rngs)
        self.last = nnx.Linear(
            units, outputs // places, kernel_init=nnx.initializers.zeros_init(), rngs=rngs
        )

    def __call__(self, seen: jax.Array, song1: jax.Array, song2: jax.Array) -> jax.Array:
        """seen: [batch, frames, seen]; songs: [batch, frames, features], feature by feature.

        Returns [batch, frames, outputs], output by output, each for all places.
        """
        frames = seen.shape[:2]
        local = jnp.concatenate([song1, song2], axis=-1).reshape(*frames, -1, self.places)
        padded = jnp.pad(local, ((0, 0), (0, 0), (0, 0), (self.reach, self.reach)))
        around = [padded[..., at : at + self.places] for at in range(2 * self.reach + 1)]
        words = dense(self.words, seen, dtype=self.dtype).reshape(*frames, -1, self.places)
        # Places last until here, as the features come; then each place is a row of a product.
        rows = jnp.moveaxis(jnp.concatenate([*around, words], axis=2), 2, 3)
        units = jax.nn.relu(dense(self.hidden, rows, dtype=self.dtype))
        said = dense(self.last, units, dtype=self.dtype)
        return jnp.moveaxis(said, 3, 2).reshape(*frames, -1)
