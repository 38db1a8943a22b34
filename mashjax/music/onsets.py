"""Where sound begins: a novelty curve fine enough to place beats to a few milliseconds."""

import dataclasses

import numpy as np
from scipy import fft, signal

SR = 22050
N_FFT = 512
HOP = 64
LAG = 4  # frames between the two spectra that are compared: 11.6 ms, half the window
BANDS = 24
BLOCK = 8192


@dataclasses.dataclass(frozen=True)
class Onsets:
    """novelty [bands, frames] >= 0, at `rate` frames a second.

    Frame i tells of an onset at `time(i)` seconds: the middle of the two windows that
    were compared, plus the delay measured on clicks (`DELAY`).
    """

    novelty: np.ndarray
    energy: np.ndarray
    rate: float = SR / HOP

    @property
    def total(self) -> np.ndarray:
        return self.novelty.mean(axis=0)

    @property
    def low(self) -> np.ndarray:
        return self.novelty[:3].mean(axis=0)


DELAY = 0.007  # seconds; measured on unit impulses, whose log flux peaks early


def onsets(y: np.ndarray) -> Onsets:
    """Log-compressed spectral flux of `y` ([samples] at `SR`) in `BANDS` bands.

    Each band is compressed relative to its own loud moments, so that a quiet hi-hat counts
    beside a loud bass (spectral flux: Bello et al. 2005, IEEE TSAP 13(5), section III-B).
    """
    frames = len(y) // HOP + 1
    padded = np.pad(y, (N_FFT // 2, N_FFT // 2 + HOP))
    window = signal.get_window("hann", N_FFT).astype(np.float32)
    weights = _bands()
    energy = np.empty((BANDS, frames), np.float32)
    for i in range(0, frames, BLOCK):
        n = min(BLOCK, frames - i)
        cut = padded[i * HOP : (i + n - 1) * HOP + N_FFT]
        view = np.lib.stride_tricks.sliding_window_view(cut, N_FFT)[::HOP]
        power = np.abs(fft.rfft(view * window, axis=-1))
        energy[:, i : i + n] = weights @ power.T
    loud = np.quantile(energy[:, ::4], 0.95, axis=1, keepdims=True)
    compressed = np.log1p(energy / (0.05 * loud + 6e-3 * loud.max() + 1e-6))
    novelty = np.zeros_like(compressed)
    novelty[:, LAG:] = np.maximum(0.0, compressed[:, LAG:] - compressed[:, :-LAG])
    return Onsets(novelty=novelty, energy=energy)


def time_of(frame: np.ndarray | float) -> np.ndarray | float:
    """Seconds at which the onset told by (fractional) `frame` begins."""
    return (np.asarray(frame) - LAG / 2) * HOP / SR + DELAY


def frame_of(seconds: np.ndarray | float) -> np.ndarray | float:
    """The inverse of `time_of`."""
    return (np.asarray(seconds) - DELAY) * SR / HOP + LAG / 2


def _bands() -> np.ndarray:
    """Triangles [bands, bins], a constant ratio apart, 30 Hz to 10.5 kHz, unit peak."""
    hz = np.arange(N_FFT // 2 + 1) * SR / N_FFT
    low_mel, high_mel = 2595 * np.log10(1 + np.array([20.0, 10800.0]) / 700)
    edges = 700 * (10 ** (np.linspace(low_mel, high_mel, BANDS + 2) / 2595) - 1)
    low, mid, high = (edges[k : k + BANDS, None] for k in range(3))
    up, down = (hz - low) / (mid - low), (high - hz) / (high - mid)
    return np.maximum(0.0, np.minimum(up, down)).astype(np.float32)
