"""From a batch of sources to level-matched spectra, and the features a network sees of them."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.audio.stft import stft
from mashjax.tasks.mashup.config import Config

Statistics = dict[str, Any]  # mean and scale of the log-magnitudes, each [bands]


class Example(NamedTuple):
    """Spectra [batch, frames, bins] of both songs and of the sources that the mashup is made of."""

    song1: jax.Array
    song2: jax.Array
    lead1: jax.Array
    backing2: jax.Array


def example_samples(cfg: Config, frames: int) -> int:
    """How long an example must be, in samples, to have so many frames."""
    return (frames - 1) * cfg.hop_length


def make_example(cfg: Config, sources: jax.Array, key: jax.Array | None) -> Example:
    """Sum sources to songs of RMS 1 and transform them.

    sources: [batch, 4, samples], lead 1, backing 1, lead 2, backing 2; key: draws each source's
    gain (None: as they are).
    """
    return spectra(cfg, level_matched(cfg, sources, key))


def level_matched(cfg: Config, sources: jax.Array, key: jax.Array | None) -> jax.Array:
    """Sources -> song 1, song 2, lead 1, backing 2, scaled so that each song's RMS is 1.

    sources: [batch, 4, samples]. Returns [4, batch, samples].
    """
    if key is not None:
        gain = jax.random.uniform(key, (*sources.shape[:2], 1), minval=-1.0, maxval=1.0)
        sources = sources * 10 ** (cfg.gain_db * gain / 20)
    lead1, backing1, lead2, backing2 = jnp.moveaxis(sources, 1, 0)
    gain1, gain2 = unit_gain(lead1 + backing1), unit_gain(lead2 + backing2)
    song1, song2 = (lead1 + backing1) * gain1, (lead2 + backing2) * gain2
    return jnp.stack([song1, song2, lead1 * gain1, backing2 * gain2])


def unit_gain(y: jax.Array) -> jax.Array:
    """What brings y [..., samples] to an RMS of 1, [..., 1]; near-silence stays quiet."""
    rms = jnp.sqrt(jnp.mean(y**2, axis=-1, keepdims=True))
    return 1 / jnp.maximum(rms, 1e-4)


def spectra(cfg: Config, songs: jax.Array) -> Example:
    """[4, batch, samples] -> spectra in which white noise of RMS 1 has a power of 1 per bin."""
    return Example(*(transform(cfg, songs)[..., : cfg.bands.bins]))


def transform(cfg: Config, y: jax.Array) -> jax.Array:
    """STFT [..., frames, all bins] in the networks' scale."""
    return stft(y, n_fft=cfg.n_fft, hop_length=cfg.hop_length) * spectrum_scale(cfg)


def spectrum_scale(cfg: Config) -> np.float32:
    """1 / sqrt(sum of the squared Hann window)."""
    return np.float32((0.375 * cfg.n_fft) ** -0.5)


def log_magnitude(cfg: Config, spectrum: jax.Array) -> jax.Array:
    """Log power of each band in units of 10 dB, [batch, frames, bands]."""
    bands = cfg.bands
    power = jnp.real(spectrum) ** 2 + jnp.imag(spectrum) ** 2
    if bands.count > bands.linear:
        above = power[..., bands.linear : bands.bins] @ bands.gather
        power = jnp.concatenate([power[..., : bands.linear], above], axis=-1)
    return jnp.log10(power + 10 ** (cfg.floor_db / 10))


def normalised(cfg: Config, spectrum: jax.Array, statistics: Statistics) -> jax.Array:
    """Log-magnitudes with mean 0 and scale 1 in each band, [batch, frames, bands]."""
    return (log_magnitude(cfg, spectrum) - statistics["mean"]) / statistics["scale"]


def statistics(cfg: Config, batches: Iterable[np.ndarray]) -> Statistics:
    """Mean and scale of the songs' log-magnitudes in each band, over some batches of sources."""
    moments: Callable = jax.jit(lambda sources: _moments(cfg, sources))
    sums = [np.stack(moments(batch)) for batch in batches]
    mean, square = np.mean(sums, axis=0)
    # A band in which nothing ever sounds would otherwise be divided by nothing.
    scale = np.sqrt(np.maximum(square - mean**2, 0.01))
    return {"mean": mean.astype(np.float32), "scale": scale.astype(np.float32)}


def _moments(cfg: Config, sources: jax.Array) -> tuple[jax.Array, jax.Array]:
    example = make_example(cfg, sources, None)
    logs = log_magnitude(cfg, jnp.concatenate([example.song1, example.song2]))
    return jnp.mean(logs, axis=(0, 1)), jnp.mean(logs**2, axis=(0, 1))
