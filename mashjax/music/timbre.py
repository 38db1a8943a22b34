"""A song in half beats: the harmony and the timbre of each.

Half a beat is about as long as a segment of the Echo Nest's analyser (4 a second at 120 BPM; its
are 4.4 a second), and coefficient 0 is, as there, the level in dB with 60 the loudest. The other
coefficients are a cosine transform of the spectrum, where the Echo Nest's are principal components:
the two describe the same, but a network trained on one does not know the other.
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
PARTS = 2  # of a beat


class HalfBeats(NamedTuple):
    """starts float64 [halves] seconds, chroma float32 [halves, 12] in 0..1, timbre likewise."""

    analysis: Analysis
    starts: np.ndarray
    chroma: np.ndarray
    timbre: np.ndarray


def half_beats(y: np.ndarray, *, sr: int) -> HalfBeats:
    """Describe mono samples `y` [samples] at `sr` Hz.

    A song without a beat comes in quarters of a second, silence with chroma and timbre of 0. What
    is shorter than a beat and a half has no half beats.
    """
    analysis, chroma, onsets = analyse_frames(y, sr=sr)
    cells = analysis.cells
    parts = np.arange(PARTS * (len(cells) - 1) + 1) / PARTS
    edges = np.interp(parts, np.arange(len(cells)), cells)
    in_chroma = pool(chroma, edges * SR / HOP)
    strongest = in_chroma.max(axis=1, keepdims=True, initial=0.0)
    energy = pool(onsets.energy.T, np.asarray(frame_of(edges)))
    return HalfBeats(
        analysis=analysis,
        starts=edges[:-1],
        chroma=(in_chroma / np.maximum(strongest, 1e-9)).astype(np.float32),
        timbre=_coefficients(energy).astype(np.float32),
    )


def _coefficients(energy: np.ndarray) -> np.ndarray:
    """Mean level and shape of spectra [n, BANDS] of magnitudes, [n, COEFFICIENTS] in dB."""
    db = LOUDEST + 20 * np.log10(np.maximum(energy / FULL_SCALE, 1e-9))
    shape = fft.dct(np.maximum(0.0, db), axis=1, norm="ortho")[:, :COEFFICIENTS]
    shape[:, 0] /= np.sqrt(BANDS)  # the mean
    return shape
