"""How well two songs sound together, for every offset of bars and every shift at once."""

import dataclasses

import numpy as np
from scipy import fft

from mashjax.music.analysis import SUBDIVISIONS, Analysis
from mashjax.music.tiv import tiv

SHIFTS = np.arange(-6, 7)  # semitones by which song 1 goes up against song 2
PARTS = {"harmony": 0.5, "rhythm": 0.3, "spectrum": 0.2}
SCALE = np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1], bool)  # major on C
SHARED = {7: 1.0, 6: 0.85, 5: 0.4, 4: 0.15, 3: 0.0, 2: 0.0}  # worth of so many common notes
AUDIBLE = 0.03  # of the loud cells' level (-30 dB): below it a song is silent


@dataclasses.dataclass(frozen=True)
class Pulses:
    """A song on the pulse that both songs share: cells of one pulse each.

    times [cells + 1] seconds; vectors [cells, 6] (Tonal Interval Vectors), rhythm
    [cells, SUBDIVISIONS], spectrum [cells, bands], active [cells] 0 or 1; downbeats:
    indices into `times`; per_bar: pulses in a bar.
    """

    times: np.ndarray
    vectors: np.ndarray
    rhythm: np.ndarray
    spectrum: np.ndarray
    active: np.ndarray
    downbeats: np.ndarray
    per_bar: int


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores in 0..1 by offset (cell of song 1 minus cell of song 2) and by shift.

    offsets [n]; harmony [n, shifts]; rhythm, spectrum [n]; common [n]: cells in which both
    sound.
    """

    offsets: np.ndarray
    harmony: np.ndarray
    rhythm: np.ndarray
    spectrum: np.ndarray
    common: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """[n, shifts]"""
        flat = PARTS["rhythm"] * self.rhythm + PARTS["spectrum"] * self.spectrum
        return PARTS["harmony"] * self.harmony + flat[:, None]

    def row(self, offset: int) -> int:
        """Where an offset is found in the arrays."""
        return int(np.clip(offset - self.offsets[0], 0, len(self.offsets) - 1))


def pulses(a: Analysis, *, divide: int = 1) -> Pulses:
    """`a` on its beats, each divided in `divide` (1, 2 or 4) pulses."""
    n = len(a.cells) - 1
    at = np.searchsorted(a.cells, a.downbeats - 1e-6)
    times = np.interp(np.arange(n * divide + 1) / divide, np.arange(n + 1), a.cells)
    loudness = np.sqrt((a.spectrum**2).sum(axis=1))
    active = loudness > AUDIBLE * max(float(np.quantile(loudness, 0.9)) if n else 0.0, 1e-6)
    rhythm = a.rhythm.reshape(n * divide, SUBDIVISIONS // divide)
    return Pulses(
        times=times,
        vectors=np.repeat(tiv(a.chroma), divide, axis=0),
        rhythm=np.repeat(rhythm, divide, axis=1),
        spectrum=np.repeat(a.spectrum, divide, axis=0),
        active=np.repeat(active.astype(float), divide),
        downbeats=at[at < n] * divide,
        per_bar=a.beats_per_bar * divide,
    )


def scores(a: Pulses, b: Pulses) -> Scores:
    """Harmony, rhythm and spectral balance of every overlap of `a` and `b`.

    Harmony is the cosine between the beats' Tonal Interval Vectors; rhythm the cosine
    between their onsets; spectrum the flatness of the two spectra's sum (Davies et al. 2014,
    "AutoMashUpper", IEEE/ACM TASLP 22(12)). Sums over overlaps are correlations by FFT.
    """
    n, m = len(a.active), len(b.active)
    offsets = np.arange(-m + 1, n)
    common = np.maximum(0.0, np.round(_correlate(a.active[:, None], b.active[:, None])[:, 0]))

    va, vb = a.vectors * a.active[:, None], b.vectors * b.active[:, None]
    turn = np.exp(2j * np.pi * np.arange(1, 7)[:, None] * SHIFTS / 12)
    product = (_correlate(va, vb) @ np.conj(turn)).real
    power = _power(va, b.active) * _power(vb, a.active, reverse=True)
    harmony = 0.5 + 0.5 * product / np.sqrt(np.maximum(power, 1e-9))[:, None]

    ra, rb = _unit(a.rhythm) * a.active[:, None], _unit(b.rhythm) * b.active[:, None]
    power = _power(ra, b.active) * _power(rb, a.active, reverse=True)
    rhythm = _correlate(ra, rb).sum(axis=1) / np.sqrt(np.maximum(power, 1e-9))

    sa, sb = _level(a) * a.active[:, None], _level(b) * b.active[:, None]
    both = _correlate(sa, b.active[:, None]) + _correlate(a.active[:, None], sb)
    both = np.maximum(both, 1e-9) / np.maximum(common, 1.0)[:, None]
    flatness = np.exp(np.log(both).mean(axis=1)) / both.mean(axis=1)
    return Scores(
        offsets=offsets,
        harmony=np.clip(harmony, 0, 1),
        rhythm=np.clip(rhythm, 0, 1),
        spectrum=np.clip(flatness, 0, 1),
        common=common,
    )


def scale_fit(a: Analysis, b: Analysis) -> np.ndarray:
    """Expected worth (`SHARED`) of the notes that the scales share at each of `SHIFTS`."""
    pa, pb = _collections(a.key_likelihood), _collections(b.key_likelihood)
    worth = np.array([SHARED[int((SCALE & np.roll(SCALE, k)).sum())] for k in range(12)])
    out = np.empty(len(SHIFTS))
    for i, shift in enumerate(SHIFTS):
        moved = np.roll(pa, shift)
        out[i] = sum(moved @ np.roll(pb, -k) * worth[k] for k in range(12))
    return out


def _collections(likelihood: np.ndarray) -> np.ndarray:
    """Probability of each major scale's notes [12]; a minor key has its relative's."""
    return likelihood[0] + np.roll(likelihood[1], 3)


def _correlate(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """sum_k x[k + offset] conj(y[k]) for offsets -len(y)+1 .. len(x)-1, per column."""
    size = fft.next_fast_len(len(x) + len(y) - 1)
    product = fft.fft(x, size, axis=0) * np.conj(fft.fft(y, size, axis=0))
    full = fft.ifft(product, axis=0)
    out = np.concatenate([full[len(full) - len(y) + 1 :], full[: len(x)]])
    return out if np.iscomplexobj(x) else out.real


def _power(x: np.ndarray, other: np.ndarray, *, reverse: bool = False) -> np.ndarray:
    """The energy of `x` in the cells that overlap active cells of the other song."""
    energy = (np.abs(x) ** 2).sum(axis=1, keepdims=True)
    pair = (other[:, None], energy) if reverse else (energy, other[:, None])
    return np.maximum(_correlate(*pair)[:, 0], 0.0)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-9)


def _level(p: Pulses) -> np.ndarray:
    """Band levels [cells, bands] of a song brought to unit mean."""
    return p.spectrum / max(float(p.spectrum.mean()), 1e-9)
