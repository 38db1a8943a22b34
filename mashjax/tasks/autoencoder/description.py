"""What a few seconds sound like, whatever their key, their level and where they begin."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.audio.stft import stft
from mashjax.tasks.autoencoder.config import Config

C4_HZ = 261.63
CHROMA_HZ = (65.0, 2100.0)  # harmonics below can be told apart, and above say little of chords


def size(cfg: Config) -> int:
    """The length of a description."""
    return 3 * cfg.bands + cfg.groups * cfg.rates + 12


def description(cfg: Config, y: jax.Array) -> jax.Array:
    """Numbers of order 1 that say how songs sound: [batch, samples] -> [batch, features].

    Of each band: the log power's mean, its deviation within `cfg.block` frames (what strikes and
    decays) and that of the blocks' means (what comes and goes); of groups of bands, how strong
    onsets at each rate are; and how much of the pitch classes repeats every 12 / k semitones (the
    magnitudes of a Tonal Interval Vector, which no transposition changes), of the whole and of
    single frames.
    """
    y = y / jnp.maximum(jnp.sqrt(jnp.mean(y**2, axis=-1, keepdims=True)), 1e-4)
    spectrum = stft(y, n_fft=cfg.n_fft, hop_length=cfg.hop_length)
    power = (jnp.real(spectrum) ** 2 + jnp.imag(spectrum) ** 2) / np.float32(0.375 * cfg.n_fft)
    logs = jnp.log10(power @ _mel(cfg) + 10 ** (cfg.floor_db / 10))
    return jnp.concatenate(
        [jnp.mean(logs, axis=1), *_deviations(cfg, logs), _rhythm(cfg, logs), _harmony(cfg, power)],
        axis=-1,
    )


def _deviations(cfg: Config, logs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of log powers [batch, frames, bands]: within blocks and between them, [batch, bands] each."""
    batch, frames, bands = logs.shape
    count = max(1, frames // cfg.block)
    blocks = logs[:, : count * cfg.block].reshape(batch, count, -1, bands)
    means = jnp.mean(blocks, axis=2)
    within = jnp.mean((blocks - means[:, :, None]) ** 2, axis=(1, 2))
    between = jnp.mean((means - jnp.mean(means, axis=1, keepdims=True)) ** 2, axis=1)
    # A deviation of 0.1 dB and none at all are the same to the ear.
    return jnp.sqrt(within + 1e-4), jnp.sqrt(between + 1e-4)


def _rhythm(cfg: Config, logs: jax.Array) -> jax.Array:
    """Log power of the onsets' strength at each rate, [batch, groups * rates]."""
    flux = jnp.maximum(jnp.diff(logs, axis=1), 0)
    groups = np.array_split(np.arange(cfg.bands), cfg.groups)
    strength = jnp.stack([jnp.mean(flux[..., group], axis=-1) for group in groups], axis=1)
    strength = strength - jnp.mean(strength, axis=-1, keepdims=True)
    frames = strength.shape[-1]
    window = np.hanning(frames).astype(np.float32)
    power = jnp.abs(jnp.fft.rfft(strength * window)) ** 2 / np.float32(np.sum(window**2))
    rates = power @ _rates(cfg, frames)
    return 0.5 * jnp.log10(rates + 1e-5).reshape(len(logs), -1)


def _harmony(cfg: Config, power: jax.Array) -> jax.Array:
    """How periodic the pitch classes are, whole and frame by frame, 0..1, [batch, 12]."""
    chroma = jnp.sqrt(power) @ _pitch_classes(cfg)

    def magnitudes(chroma: jax.Array) -> jax.Array:
        total = jnp.maximum(jnp.sum(chroma, axis=-1, keepdims=True), 1e-6)
        return jnp.abs(jnp.fft.fft(chroma / total))[..., 1:7]

    whole, single = magnitudes(jnp.sum(chroma, axis=1)), jnp.mean(magnitudes(chroma), axis=1)
    return 3 * jnp.concatenate([whole, single], axis=-1)


@functools.lru_cache(maxsize=16)
def _mel(cfg: Config) -> np.ndarray:
    """Weights [bins, bands] of triangles on the mel scale, a bin wide at least; each sums to 1."""
    mel = lambda hz: 2595 * np.log10(1 + np.asarray(hz) / 700)  # noqa: E731
    low, top = mel(cfg.low_hz), mel(cfg.top_hz)
    step = (top - low) / (cfg.bands - 1)
    centres = 700 * (10 ** ((low + step * np.arange(-1, cfg.bands + 1)) / 2595) - 1)
    spacing = cfg.sample_rate / cfg.n_fft
    below, above = (np.maximum(np.diff(centres)[k:][: cfg.bands], spacing) for k in (0, 1))
    away = cfg.stft.frequencies[:, None] - centres[1:-1]
    weights = np.maximum(0.0, 1 - np.where(away < 0, -away / below, away / above))
    return np.asarray(weights / weights.sum(0), np.float32)


@functools.lru_cache(maxsize=16)
def _rates(cfg: Config, frames: int) -> np.ndarray:
    """Weights [frequencies of so many frames, rates] of triangles in octaves; each sums to 1."""
    hz = np.arange(frames // 2 + 1) * cfg.stft.frame_rate / frames
    octaves = np.linspace(np.log2(cfg.slowest_hz), np.log2(cfg.fastest_hz), cfg.rates)
    step = np.maximum(octaves[1] - octaves[0], np.log2(1 + hz[1] / 2**octaves))  # or none is within
    away = np.abs(np.log2(np.maximum(hz, hz[1] / 4))[:, None] - octaves)
    weights = np.maximum(0.0, 1 - away / step)
    return np.asarray(weights / weights.sum(0), np.float32)


@functools.lru_cache(maxsize=16)
def _pitch_classes(cfg: Config) -> np.ndarray:
    """Weights [bins, 12]: every bin goes to the two pitch classes that it lies between."""
    hz = cfg.stft.frequencies
    inside = (hz >= CHROMA_HZ[0]) & (hz <= CHROMA_HZ[1])
    pitch = 12 * np.log2(np.where(inside, hz, C4_HZ) / C4_HZ)
    away = np.abs((pitch[:, None] - np.arange(12) + 6) % 12 - 6)
    return np.asarray(np.maximum(0.0, 1 - away) * inside[:, None], np.float32)
