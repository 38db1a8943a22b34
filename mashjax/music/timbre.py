"""A song in parts of beats: the harmony and the timbre of each.

A part is a beat, a half or a quarter of it, whichever is nearest to the 0.23 s that a segment of
the Echo Nest's analyser lasts; so a song has about as many, and the same ones whether its tempo is
taken for 62 or for 124 BPM. Coefficient 0 is, as there, the level in dB with 60 the loudest. The
others are a cosine transform of the spectrum, where the Echo Nest's are principal components: the
two describe the same, but a network trained on one does not know the other.
"""

from typing import NamedTuple

import numpy as np
from scipy import fft

from mashjax.music.analysis import Analysis, analyse_frames, pool
from mashjax.music.onsets import BANDS, N_FFT, frame_of
from mashjax.music.tonality import HOP, SR

COEFFICIENTS = 12
FULL_SCALE = N_FFT / 4  # magnitude of the loudest sine through a Hann window of N_FFT samples
LOUDEST = 60.0  # dB, of which silence is 0
NOMINAL = 0.23  # seconds of a part
MOST = 4  # parts of a beat


class BeatParts(NamedTuple):
    """starts: float64 [parts] seconds; chroma: float32 [parts, 12] in 0..1, the strongest 1;
    timbre: float32 [parts, 12] in dB."""

    analysis: Analysis
    starts: np.ndarray
    chroma: np.ndarray
    timbre: np.ndarray


def beat_parts(y: np.ndarray, *, sr: int) -> BeatParts:
    """Describe mono samples `y` [samples] at `sr` Hz.

    A song without a beat comes in quarters of a second; silence has chroma and timbre of 0. What
    is shorter than a beat has no parts.
    """
    analysis, chroma, onsets = analyse_frames(y, sr=sr)
    edges = _edges(analysis.cells)
    in_chroma = pool(chroma, edges * SR / HOP)
    strongest = in_chroma.max(axis=1, keepdims=True, initial=0.0)
    energy = pool(onsets.energy.T, np.asarray(frame_of(edges)))
    return BeatParts(
        analysis=analysis,
        starts=edges[:-1],
        chroma=(in_chroma / np.maximum(strongest, 1e-9)).astype(np.float32),
        timbre=_coefficients(energy).astype(np.float32),
    )


def _edges(cells: np.ndarray) -> np.ndarray:
    """Where parts begin and end, in seconds, of cells that begin and end at `cells`."""
    lasts = float(np.median(np.diff(cells))) if len(cells) > 1 else NOMINAL
    parts = int(np.clip(2.0 ** np.round(np.log2(lasts / NOMINAL)), 1, MOST))
    places = np.arange(parts * (len(cells) - 1) + 1) / parts
    return np.interp(places, np.arange(len(cells)), cells)


def _coefficients(energy: np.ndarray) -> np.ndarray:
    """Mean level and shape of spectra [n, BANDS] of magnitudes, [n, COEFFICIENTS] in dB."""
    db = LOUDEST + 20 * np.log10(np.maximum(energy / FULL_SCALE, 1e-9))
    shape = fft.dct(np.maximum(0.0, db), axis=1, norm="ortho")[:, :COEFFICIENTS]
    shape[:, 0] /= np.sqrt(BANDS)  # the mean
    return shape
