"""Principal axes and what two small networks add to them."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from mashjax.tasks.autoencoder.config import Config
from mashjax.tasks.autoencoder.description import size
from mashjax.tasks.autoencoder.examples import Statistics, described, middle, varied

Params = dict[str, Any]  # {"encoder": ..., "decoder": ...}


class Correction(nnx.Module):
    """A dense layer and one on top of it that says nothing at first."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(inputs, hidden, rngs=rngs)
        zeros = nnx.initializers.zeros_init()
        self.out = nnx.Linear(hidden, outputs, kernel_init=zeros, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(jax.nn.relu(self.hidden(x)))


class Autoencoder(nnx.Module):
    """Encoder and decoder: each a projection on the principal axes, and its correction.

    Before training it is a principal component analysis: training can only make it better.
    """

    def __init__(self, cfg: Config, *, rngs: nnx.Rngs):
        self.encoder = Correction(size(cfg), cfg.hidden, cfg.code, rngs=rngs)
        self.decoder = Correction(cfg.code, cfg.hidden, size(cfg), rngs=rngs)


def init_model(cfg: Config, key: jax.Array) -> Params:
    """Fresh parameters, as nested dicts of arrays."""
    network = Autoencoder(cfg, rngs=nnx.Rngs(params=key))
    return nnx.to_pure_dict(nnx.split(network, nnx.Param)[1])


def encode(cfg: Config, params: Params, statistics: Statistics, x: jax.Array) -> jax.Array:
    """Codes of normalised descriptions, [..., features] -> [..., code]."""
    return x @ statistics["basis"] + _network(cfg, params).encoder(x)


def decode(cfg: Config, params: Params, statistics: Statistics, z: jax.Array) -> jax.Array:
    """Normalised descriptions of codes, [..., code] -> [..., features]."""
    return z @ statistics["basis"].T + _network(cfg, params).decoder(z)


def loss_fn(
    cfg: Config,
    params: Params,
    statistics: Statistics,
    sources: jax.Array,
    keys: jax.Array,
    *,
    frames: int,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The training loss of a batch, and its parts by name.

    sources: [batch, 4 or 3, samples], see `examples.songs`; keys: [batch], for augmentation;
    frames: how many are described, for which there may be more samples than they need.
    The loss is the mean squared error of what comes back of the songs as they are, seen as they
    are and varied (Vincent et al., 2008): what only varies need not be in the code.
    """
    wanted = described(cfg, statistics, middle(cfg, sources, frames=frames))
    other = described(cfg, statistics, varied(cfg, sources, keys, frames=frames))
    code = encode(cfg, params, statistics, jnp.stack([wanted, other]))
    errors = jnp.mean((decode(cfg, params, statistics, code) - wanted) ** 2, axis=(1, 2, 3))
    explained = 1 - errors / jnp.mean(wanted**2)
    return jnp.mean(errors), {"explained": explained[0], "explained_varied": explained[1]}


def _network(cfg: Config, params: Params) -> Autoencoder:
    """Made while tracing, so it costs nothing per step."""
    shapes = nnx.eval_shape(lambda: Autoencoder(cfg, rngs=nnx.Rngs(0)))
    return nnx.merge(nnx.split(shapes, nnx.Param)[0], nnx.State(params))
