"""Parameters, the loss, and what a network says of songs."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from mashjax.data.tracks import PITCH_CLASSES
from mashjax.tasks.genre.config import Config
from mashjax.tasks.genre.examples import Statistics, inputs, labels
from mashjax.tasks.genre.networks import Network

Params = dict[str, Any]  # {"network": ...}


class Said(NamedTuple):
    """What is said of songs: embedding [batch, embedding]; log probabilities of the genres
    [batch, genres] and of the deciles of popularity [batch, 10]."""

    embedding: jax.Array
    genre: jax.Array
    decile: jax.Array


def init_model(cfg: Config, key: jax.Array) -> Params:
    """Fresh parameters, as nested dicts of arrays."""
    network = Network(cfg, topics=cfg.topics, rngs=nnx.Rngs(params=key))
    return {"network": nnx.to_pure_dict(nnx.split(network, nnx.Param)[1])}


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

    sources: [batch, len(TRACK_ROW), segments]; keys: [batch], for transposition and dropout.
    The loss is the cross-entropy of the genres, `cfg.popularity` times that of the deciles where
    they are known, and what the kernels cost.
    """
    of_shift, of_dropout = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    shifts = jax.vmap(lambda key: jax.random.randint(key, (), 0, PITCH_CLASSES))(of_shift)
    seen = inputs(cfg, statistics, sources, shifts=shifts if cfg.augment.transpose else None)
    _, genre, decile = _network(cfg, params)(seen, keys=of_dropout)
    right = labels(statistics, sources)
    entropy = optax.softmax_cross_entropy_with_integer_labels(genre, jnp.maximum(right.genre, 0))
    known = (right.genre >= 0).astype(jnp.float32)
    if cfg.weights == "balanced":
        # The mean over the training examples is 1, whatever their classes.
        known = known / (len(cfg.names) * jnp.take(statistics["prior"], right.genre))
    loss = jnp.mean(known * entropy)
    parts = {"accuracy": jnp.mean(jnp.argmax(genre, axis=1) == right.genre)}
    if cfg.popularity:
        of_decile = optax.softmax_cross_entropy_with_integer_labels(
            decile, jnp.maximum(right.decile, 0)
        )
        parts["popularity"] = jnp.mean(of_decile * (right.decile >= 0))
        loss = loss + cfg.popularity * parts["popularity"]
    kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
    cost = sum(cfg.l1 * jnp.sum(jnp.abs(k)) + cfg.l2 * jnp.sum(k**2) for k in kernels)
    return loss + cost, parts


@functools.partial(jax.jit, static_argnums=0)
def said(cfg: Config, params: Params, statistics: Statistics, sources: jax.Array) -> Said:
    """What the network says of rows [batch, len(TRACK_ROW), segments]."""
    z, genre, decile = _network(cfg, params)(inputs(cfg, statistics, sources))
    return Said(z, jax.nn.log_softmax(genre), jax.nn.log_softmax(decile))


def _network(cfg: Config, params: Params) -> Network:
    """Made while tracing, so it costs nothing per step."""
    shapes = nnx.eval_shape(lambda: Network(cfg, topics=cfg.topics, rngs=nnx.Rngs(0)))
    return nnx.merge(nnx.split(shapes, nnx.Param)[0], nnx.State(params["network"]))
