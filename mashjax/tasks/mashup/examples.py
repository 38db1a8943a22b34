"""From a batch of sources to level-matched spectra, and the features a network sees of them."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.audio.stft import stft
from mashjax.data.augment import augmented, slack
from mashjax.tasks.mashup.config import Config

Statistics = dict[str, Any]  # mean and scale of the log-magnitudes, each [bands]


class Example(NamedTuple):
    """Both songs, and what the wanted mashup is the sum of: samples or spectra, [batch, ...].

    parts: (lead 1, backing 2), or where only the mashup itself is known, just that.
    """

    song1: jax.Array
    song2: jax.Array
    parts: tuple[jax.Array, ...]

    @property
    def label(self) -> jax.Array:
        return functools.reduce(jnp.add, self.parts)


def example_samples(cfg: Config, frames: int) -> int:
    """How long an example must be, in samples, to have so many frames."""
    return (frames - 1) * cfg.hop_length


def read_samples(cfg: Config, frames: int) -> int:
    """How much of an example training should read, where there is so much: augmentation needs
    more than it gives."""
    samples = example_samples(cfg, frames)
    return samples + slack(cfg.augment, samples)


def varied(cfg: Config, sources: jax.Array, keys: jax.Array, *, frames: int) -> jax.Array:
    """Augment a training batch, [batch, sources, at least example_samples(frames)]; see `Augment`.

    keys: [batch], one for each example.

    The originals of a mashup share everything with it: its levels and its tone are made of theirs.
    """
    pairs = sources.shape[1] == 4
    return augmented(
        sources,
        keys,
        settings=cfg.augment,
        samples=example_samples(cfg, frames),
        parts=(0, 1, 2, 3) if pairs else (0, 0, 0),
        songs=(0, 0, 1, 1) if pairs else (0, 0, 0),
    )


def make_example(cfg: Config, sources: jax.Array) -> Example:
    """Spectra [batch, frames, bins] of level-matched sources; see `level_matched`."""
    songs = level_matched(sources)
    return jax.tree.map(lambda y: transform(cfg, y)[..., : cfg.bands.bins], songs)


def level_matched(sources: jax.Array) -> Example:
    """Bring songs to an RMS of 1: each of a pair, or on average those that a mashup was made of.

    sources: [batch, 4, samples], lead 1, backing 1, lead 2, backing 2; or [batch, 3, samples], the
    mashup and its two originals at the levels that they have in it.
    """
    if sources.shape[1] == 3:
        label, song1, song2 = jnp.moveaxis(sources, 1, 0)
        gain = 2 / (1 / unit_gain(song1) + 1 / unit_gain(song2))
        return Example(song1 * gain, song2 * gain, (label * gain,))
    lead1, backing1, lead2, backing2 = jnp.moveaxis(sources, 1, 0)
    gain1, gain2 = unit_gain(lead1 + backing1), unit_gain(lead2 + backing2)
    songs = (lead1 + backing1) * gain1, (lead2 + backing2) * gain2
    return Example(*songs, (lead1 * gain1, backing2 * gain2))


def unit_gain(y: jax.Array) -> jax.Array:
    """What brings y [..., samples] to an RMS of 1, [..., 1]; near-silence stays quiet."""
    rms = jnp.sqrt(jnp.mean(y**2, axis=-1, keepdims=True))
    return 1 / jnp.maximum(rms, 1e-4)


def transform(cfg: Config, y: jax.Array) -> jax.Array:
    """STFT [..., frames, all bins], scaled: white noise of RMS 1 has a power of 1 in each bin."""
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
    example = make_example(cfg, sources)
    logs = log_magnitude(cfg, jnp.concatenate([example.song1, example.song2]))
    return jnp.mean(logs, axis=(0, 1)), jnp.mean(logs**2, axis=(0, 1))
