"""What the network hears: a spectrum of pitches, sharp in pitch, and bands, sharp in time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.audio.stft import stft
from mashjax.tasks.melody.config import Config

PER_SEMITONE = 3
"""Bins: the middle one of a note's three is the note, the others are 33 cents beside it."""

HARMONICS = (0.5, 1, 2, 3, 4, 5, 6, 7)
"""At a pitch's own place the network sees its partials, and half of it, where an octave error would
have its first one (Bittner et al., 2022)."""


def pitches(cfg: Config, y: jax.Array) -> jax.Array:
    """Log powers [batch, frames, bins] around the pitches from `cfg.lowest` on.

    y: [batch, samples].
    """
    return _logs(cfg, y, cfg.n_fft, _semitones(cfg))


def bands(cfg: Config, y: jax.Array) -> jax.Array:
    """Log powers [batch, frames, bands] of mel bands in short windows; y: [batch, samples]."""
    return _logs(cfg, y, cfg.short_fft, _mel(cfg))


def by_harmonic(cfg: Config, x: jax.Array) -> jax.Array:
    """Every pitch with its partials, [batch, frames, PER_SEMITONE * notes, harmonics].

    x: [batch, frames, bins], as `pitches` has it; what lies outside of it is 0.
    """
    count, bins = PER_SEMITONE * cfg.notes, x.shape[-1]
    shifts = [round(12 * PER_SEMITONE * np.log2(harmonic)) for harmonic in HARMONICS]
    before, after = -min(shifts), max(0, max(shifts) + count - bins)
    x = jnp.pad(x, ((0, 0), (0, 0), (before, after)))
    return jnp.stack([x[..., before + s : before + s + count] for s in shifts], axis=-1)


def _logs(cfg: Config, y: jax.Array, n_fft: int, weights: np.ndarray) -> jax.Array:
    spectrum = stft(y, n_fft=n_fft, hop_length=cfg.hop_length)
    power = (jnp.real(spectrum) ** 2 + jnp.imag(spectrum) ** 2) / np.float32(0.375 * n_fft)
    return jnp.log10(power @ weights + 10 ** (cfg.floor_db / 10))


@functools.lru_cache(maxsize=16)
def _semitones(cfg: Config) -> np.ndarray:
    """Weights [frequencies, bins]: thirds of a semitone from a third below `cfg.lowest` on."""
    lowest = 440 * 2 ** ((cfg.lowest - 1 / PER_SEMITONE - 69) / 12)
    count = int(12 * PER_SEMITONE * np.log2(cfg.top_hz / lowest))
    hz = lowest * 2 ** (np.arange(-1, count + 1) / (12 * PER_SEMITONE))
    return _triangles(hz, cfg.sample_rate, cfg.n_fft)


@functools.lru_cache(maxsize=16)
def _mel(cfg: Config) -> np.ndarray:
    low, top = (2595 * np.log10(1 + hz / 700) for hz in (60.0, cfg.top_hz))
    mel = low + (top - low) / (cfg.bands - 1) * np.arange(-1, cfg.bands + 1)
    return _triangles(700 * (10 ** (mel / 2595) - 1), cfg.sample_rate, cfg.short_fft)


def _triangles(hz: np.ndarray, sample_rate: int, n_fft: int) -> np.ndarray:
    """Weights [frequencies, len(hz) - 2] of triangles, a bin wide at least; each sums to 1."""
    spacing = sample_rate / n_fft
    below, above = np.maximum(np.diff(hz)[:-1], spacing), np.maximum(np.diff(hz)[1:], spacing)
    away = np.arange(n_fft // 2 + 1)[:, None] * spacing - hz[1:-1]
    weights = np.maximum(0.0, 1 - np.where(away < 0, -away / below, away / above))
    return np.asarray(weights / weights.sum(0), np.float32)
