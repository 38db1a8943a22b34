"""Which partials stand out when: what is left of a recording when another one is mixed over it."""

import numpy as np
from scipy import fft, ndimage, signal

SR = 22050
N_FFT = 4096
HOP = 512
RATE = SR / HOP  # frames a second
BANDS = 84  # semitones
LOWEST = 65.4  # Hz, C2; the highest band is B8
BLOCK = 512  # frames
STEADY = 1.0  # seconds (sigma): what lasts longer is background
BROAD = 3.0  # semitones (sigma): what is broader is an equaliser, or a drum
FLOOR = 1e-3  # of the loud magnitudes: what is quieter is not heard


def partials(y: np.ndarray) -> np.ndarray:
    """How far each semitone rises above its surroundings, float32 [BANDS, frames].

    Args:
      y: [samples] at `SR`.

    The log magnitude less its average over a second and over neighbouring semitones, cut at
    zero: gains and equalisers vanish, and of two recordings mixed the louder one shows in
    each place instead of their sum. Bands have mean 0 and variance 1 (silent ones are 0), so
    that the products of two unrelated recordings average to 0. Frame i is centred on i / RATE.
    """
    x = _semitones(y)
    level = np.log(x + FLOOR * np.quantile(x, 0.9) + 1e-9)
    level -= ndimage.gaussian_filter1d(level, STEADY * RATE, axis=1)
    level -= ndimage.gaussian_filter1d(level, BROAD, axis=0)
    return standardised(np.maximum(level, 0.0))


def standardised(x: np.ndarray) -> np.ndarray:
    """`x` [bands, frames] with mean 0 and variance 1 in each band."""
    x = x - x.mean(axis=1, keepdims=True)
    return np.asarray(x / (x.std(axis=1, keepdims=True) + 1e-6), np.float32)


def coarser(x: np.ndarray, *, factor: int) -> np.ndarray:
    """Means of `factor` frames each, standardised, [bands, frames // factor]."""
    frames = x.shape[1] // factor * factor
    return standardised(x[:, :frames].reshape(len(x), -1, factor).mean(axis=2))


def sampled(x: np.ndarray, *, at: np.ndarray) -> np.ndarray:
    """`x` [bands, frames] at fractional frames `at` [n], linearly; 0 outside. [bands, n]."""
    i = np.clip(np.floor(at).astype(int), 0, x.shape[1] - 2)
    part = (at - i).astype(np.float32)
    inside = (at >= 0) & (at <= x.shape[1] - 1)
    return (x[:, i] * (1 - part) + x[:, i + 1] * part) * inside


def transposed(x: np.ndarray, *, semitones: int) -> np.ndarray:
    """`x` [bands, frames] moved up by whole semitones; 0 where nothing moves in."""
    moved = np.zeros_like(x)
    up, down = max(semitones, 0), max(-semitones, 0)
    moved[up : len(x) - down] = x[down : len(x) - up]
    return moved


def _semitones(y: np.ndarray) -> np.ndarray:
    """Magnitudes [BANDS, frames] of `y` [samples]."""
    frames = len(y) // HOP + 1
    padded = np.pad(np.asarray(y, np.float32), (N_FFT // 2, N_FFT // 2 + HOP))
    view = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    window = signal.get_window("hann", N_FFT).astype(np.float32)
    weights = _triangles()
    out = np.empty((BANDS, frames), np.float32)
    for i in range(0, frames, BLOCK):
        x = np.abs(fft.rfft(view[i : min(i + BLOCK, frames)] * window, axis=1))
        out[:, i : i + len(x)] = weights @ x.T
    return out


def _triangles() -> np.ndarray:
    """Weights [BANDS, bins]: a semitone to each side, a bin at least; each sums to 1."""
    bins = np.arange(N_FFT // 2 + 1) * SR / N_FFT
    hz = LOWEST * 2 ** (np.arange(BANDS)[:, None] / 12)
    width = np.maximum(hz * (2 ** (1 / 12) - 1), SR / N_FFT)
    weights = np.maximum(0.0, 1 - np.abs(bins - hz) / width)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
