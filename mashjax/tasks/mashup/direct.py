"""The direct head: paint the mashup's magnitude and phase, as the students' first system did.

It is kept to measure the difference: two unaligned spectra hardly determine a third, and a raw
phase looks random to a network.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mashjax.tasks.mashup.config import Config
from mashjax.tasks.mashup.examples import Example, Statistics, log_magnitude, normalised


class Painting(NamedTuple):
    """log_power: in units of 10 dB [batch, frames, bands]; phase: radians [batch, frames, bins]."""

    log_power: jax.Array
    phase: jax.Array


def feature_counts(cfg: Config) -> tuple[int, int]:
    """Every band must be a bin: a band's magnitude is not enough to paint its bins."""
    if cfg.bands.count != cfg.bands.linear:
        raise ValueError(f"head='direct' paints single bins: log_bands={cfg.log_bands} must be 0")
    return cfg.bands.count, cfg.bands.count


def output_counts(cfg: Config) -> tuple[int, int]:
    return cfg.bands.count, cfg.bands.count


def first_bias(cfg: Config) -> float:
    """Before training: the mean spectrum."""
    return 0.0


def features(
    cfg: Config, statistics: Statistics, song1: jax.Array, song2: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    logs = normalised(cfg, song1, statistics), normalised(cfg, song2, statistics)
    return logs, (jnp.angle(song1) / jnp.pi, jnp.angle(song2) / jnp.pi)


def with_masks(
    cfg: Config, phase: tuple[jax.Array, jax.Array], magnitude_said: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """There are no masks."""
    return phase


def result(
    cfg: Config, statistics: Statistics, magnitude_said: jax.Array, phase_said: jax.Array
) -> Painting:
    log_power = magnitude_said * statistics["scale"] + statistics["mean"]
    return Painting(log_power, jnp.pi * jnp.tanh(phase_said))


def loss(
    cfg: Config, statistics: Statistics, painting: Painting, example: Example
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Mean squared error of the normalised log-magnitude, and mean of 1 - cos of the phase error
    (1 = random)."""
    label = example.label
    error = (painting.log_power - log_magnitude(cfg, label)) / statistics["scale"]
    parts = {
        "magnitude": jnp.mean(error**2),
        "phase": jnp.mean(1 - jnp.cos(painting.phase - jnp.angle(label))),
    }
    return parts["magnitude"] + cfg.phase_weight * parts["phase"], parts


def estimates(
    cfg: Config, painting: Painting, song1: jax.Array, song2: jax.Array
) -> dict[str, tuple[jax.Array, ...]]:
    """The painted spectrum, [batch, frames, all bins]: no song has a share in it."""
    painted = 10 ** (painting.log_power / 2) * jnp.exp(1j * painting.phase)
    missing = song1.shape[-1] - painted.shape[-1]
    return {"model": (jnp.pad(painted, ((0, 0), (0, 0), (0, missing))),)}
