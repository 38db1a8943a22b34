"""Three ways to read a song's segments, and the dense layers that all of them end in."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from mashjax.nn.lstm import Lstm
from mashjax.nn.precision import dense
from mashjax.tasks.genre.config import Config
from mashjax.tasks.genre.examples import CHANNELS, DECILES, Inputs

HE = nnx.initializers.he_normal()


class Moments:
    """Mean and deviation of each channel over the segments: no order is left in them."""

    size = 2 * CHANNELS

    def __call__(self, x: jax.Array, exists: jax.Array) -> jax.Array:
        """x: [batch, segments, channels]; exists: [batch, segments]. -> [batch, size]."""
        count = jnp.maximum(jnp.sum(exists, axis=1), 1.0)[:, None]
        mean = jnp.sum(x, axis=1) / count
        squares = jnp.sum((x - mean[:, None]) ** 2 * exists[..., None], axis=1) / count
        return jnp.concatenate([mean, jnp.sqrt(squares + 1e-6)], axis=1)


class Convolutions(nnx.Module):
    """Three convolutions over time, the strongest of a few kept after the first two, their mean."""

    def __init__(self, cfg: Config, *, rngs: nnx.Rngs):
        self.pool = cfg.pools
        widths = [CHANNELS, cfg.filters, cfg.filters, 2 * cfg.filters]
        self.size = widths[-1]
        self.first, self.second, self.third = (
            nnx.Conv(before, after, cfg.kernel, kernel_init=HE, rngs=rngs)
            for before, after in itertools.pairwise(widths)
        )

    def __call__(self, x: jax.Array, exists: jax.Array) -> jax.Array:
        """As `Moments`."""
        for layer in (self.first, self.second):
            assert layer.bias is not None
            x = strongest(_convolved(x, layer), self.pool)
            exists = strongest(exists[..., None], self.pool)[..., 0]
            # What is the strongest, a bias and relu change nothing about.
            x = jax.nn.relu(x + layer.bias[...]) * exists[..., None]
        x = jax.nn.relu(self.third(x)) * exists[..., None]
        return jnp.sum(x, axis=1) / jnp.maximum(jnp.sum(exists, axis=1), 1.0)[:, None]


class Recurrence(nnx.Module):
    """Two LSTM layers, and the mean of what they say weighed by attention."""

    def __init__(self, cfg: Config, *, rngs: nnx.Rngs):
        self.group, self.size = cfg.group, cfg.units
        self.lower = Lstm(cfg.group * CHANNELS, cfg.units, rngs=rngs)
        self.upper = Lstm(cfg.units, cfg.units, rngs=rngs)
        self.key = nnx.Linear(cfg.units, cfg.units, rngs=rngs)
        self.query = nnx.Linear(cfg.units, 1, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array, exists: jax.Array) -> jax.Array:
        """As `Moments`."""
        batch, segments, channels = x.shape
        steps = segments // self.group
        x = x[:, : steps * self.group].reshape(batch, steps, self.group * channels)
        exists = strongest(exists[..., None], self.group)[..., 0]
        h, _ = self.lower(jnp.swapaxes(x, 0, 1))
        h, _ = self.upper(h)
        keys = jnp.tanh(dense(self.key, h, dtype="float32"))
        scores = jnp.sum(keys * self.query.kernel[...][:, 0], axis=-1)  # [steps, batch]
        # Padding comes last, so nothing that exists has heard it; it only must not be asked.
        weights = jax.nn.softmax(jnp.where(exists.T > 0, scores, -1e9), axis=0)
        return jnp.sum(weights[..., None] * h, axis=0)


READERS: dict[str, Callable[..., Any]] = {
    "dense": lambda cfg, *, rngs: Moments(),
    "cnn": Convolutions,
    "lstm": Recurrence,
}


class Network(nnx.Module):
    """A reader of the segments, the words' topics beside it, dense layers and two heads."""

    def __init__(self, cfg: Config, *, topics: int, rngs: nnx.Rngs):
        self.rate = cfg.dropout
        self.reader = READERS[cfg.network](cfg, rngs=rngs) if cfg.hears else None
        size = (self.reader.size if self.reader is not None else 0) + (topics + 1) * cfg.reads
        self.first = nnx.Linear(size, cfg.dense, kernel_init=HE, rngs=rngs)
        self.second = nnx.Linear(cfg.dense, cfg.dense, kernel_init=HE, rngs=rngs)
        self.embedding = nnx.Linear(cfg.dense, cfg.embedding, rngs=rngs)
        self.genre = nnx.Linear(cfg.embedding, len(cfg.names), rngs=rngs)
        self.popularity = nnx.Linear(cfg.embedding, DECILES, rngs=rngs)

    def __call__(
        self, seen: Inputs, *, keys: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Embeddings [batch, embedding], logits of genres and of deciles; keys: for dropout."""
        heard = [] if self.reader is None else [self.reader(seen.segments, seen.exists)]
        x = jnp.concatenate([*heard, seen.topics, seen.sung], axis=1)
        for number, layer in enumerate((self.first, self.second)):
            x = jax.nn.relu(layer(_dropped(x, self.rate, keys, number)))
        z = jnp.tanh(self.embedding(_dropped(x, self.rate, keys, 2)))
        return z, self.genre(z), self.popularity(z)


def _convolved(x: jax.Array, layer: nnx.Conv) -> jax.Array:
    """Without the bias."""
    numbers = ("NWC", "WIO", "NWC")
    return jax.lax.conv_general_dilated(
        x, layer.kernel[...], (1,), "SAME", dimension_numbers=numbers
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def strongest(x: jax.Array, count: int) -> jax.Array:
    """The largest of every `count`: [batch, n, channels] -> [batch, n // count, channels].

    Its gradient is shared by all that are equally large. The automatic one takes several ms more
    of a step of 64 songs on a CPU, that of `jnp.max` more than that.
    """
    parts = _parts(x, count)
    return functools.reduce(jnp.maximum, (parts[:, :, k] for k in range(count)))


def _parts(x: jax.Array, count: int) -> jax.Array:
    kept = x.shape[1] // count
    return x[:, : kept * count].reshape(len(x), kept, count, -1)


def _strongest_forward(x, count):
    largest = strongest(x, count)
    return largest, (x, largest)


def _strongest_backward(count, residuals, d_largest):
    x, largest = residuals
    parts = _parts(x, count)
    equal = functools.reduce(
        jnp.add, ((parts[:, :, k] == largest).astype(x.dtype) for k in range(count))
    )
    each = (d_largest / equal)[:, :, None]
    dx = jnp.where(parts == largest[:, :, None], each, 0.0).reshape(len(x), -1, x.shape[2])
    return (jnp.pad(dx, ((0, 0), (0, x.shape[1] - dx.shape[1]), (0, 0))),)


strongest.defvjp(_strongest_forward, _strongest_backward)


def _dropped(x: jax.Array, rate: float, keys: jax.Array | None, number: int) -> jax.Array:
    if keys is None or not rate:
        return x
    own = jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)
    kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate, x.shape[1:]))(own)
    return jnp.where(kept, x / (1 - rate), 0.0)
