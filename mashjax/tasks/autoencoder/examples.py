"""From a batch of sources to descriptions of songs, as they are and as they were made to vary."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.data.augment import augmented, slack
from mashjax.tasks.autoencoder.config import Config
from mashjax.tasks.autoencoder.description import description

Statistics = dict[str, Any]
"""mean, scale [features]: of descriptions; basis [features, code]: the principal axes of what is
normalised by them; spread [code]: the standard deviation along each."""

LEAST_SCALE = 0.03  # of a number that hardly varies in the songs seen


def example_samples(cfg: Config, frames: int) -> int:
    """How long an example must be, in samples, to have so many frames."""
    return (frames - 1) * cfg.hop_length


def read_samples(cfg: Config, frames: int) -> int:
    """How much of an example training should read, where there is so much: augmentation needs
    more than it gives."""
    samples = example_samples(cfg, frames)
    return samples + slack(cfg.augment, samples)


def songs(sources: jax.Array | np.ndarray) -> jax.Array:
    """The songs that sources are of, [batch, 2, samples].

    sources: [batch, 4, samples], lead 1, backing 1, lead 2, backing 2; or [batch, 3, samples], a
    mashup and its two originals.
    """
    if sources.shape[1] == 3:
        return jnp.asarray(sources[:, 1:])
    lead1, backing1, lead2, backing2 = jnp.moveaxis(sources, 1, 0)
    return jnp.stack([lead1 + backing1, lead2 + backing2], axis=1)


def varied(cfg: Config, sources: jax.Array, keys: jax.Array, *, frames: int) -> jax.Array:
    """Songs of a training batch, augmented, [batch, 2, samples]; keys: [batch]. See `Augment`."""
    pairs = sources.shape[1] == 4
    return songs(
        augmented(
            sources,
            keys,
            settings=cfg.augment,
            samples=example_samples(cfg, frames),
            parts=(0, 1, 2, 3) if pairs else (0, 1, 2),
            songs=(0, 0, 1, 1) if pairs else (0, 1, 2),
        )
    )


def middle(cfg: Config, sources: jax.Array, *, frames: int) -> jax.Array:
    """Songs as they are, [batch, 2, samples]."""
    samples = example_samples(cfg, frames)
    start = (sources.shape[-1] - samples) // 2
    return songs(sources[..., start : start + samples])


def described(cfg: Config, statistics: Statistics, y: jax.Array) -> jax.Array:
    """Descriptions of songs with mean 0 and scale 1: [..., samples] -> [..., features]."""
    x = description(cfg, y.reshape(-1, y.shape[-1]))
    return ((x - statistics["mean"]) / statistics["scale"]).reshape(*y.shape[:-1], -1)


def statistics(cfg: Config, batches: Iterable[np.ndarray]) -> Statistics:
    """Mean, scale and principal axes of the descriptions of all songs in some batches.

    The axes are the autoencoder's first code and the floor that it is measured by, so they want
    many more songs than they have features.
    """
    describe: Callable = jax.jit(lambda y: description(cfg, y.reshape(-1, y.shape[-1])))
    x = np.concatenate([np.float64(describe(songs(batch))) for batch in batches])
    mean, scale = x.mean(0), np.maximum(x.std(0), LEAST_SCALE)
    normal = (x - mean) / scale
    variances, axes = np.linalg.eigh(normal.T @ normal / len(x))
    basis, variances = axes[:, ::-1][:, : cfg.code], variances[::-1][: cfg.code]
    # Axes have no sign of their own: the largest entry is positive, or runs would differ.
    basis = basis * np.sign(np.take_along_axis(basis, np.abs(basis).argmax(0)[None], 0))
    spread = np.sqrt(np.maximum(variances, LEAST_SCALE**2))
    found = {"mean": mean, "scale": scale, "basis": basis, "spread": spread}
    return {name: value.astype(np.float32) for name, value in found.items()}
