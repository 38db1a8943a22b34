"""Tonal Interval Vectors: harmony as a point, so that compatibility is a distance.

Bernardes, Cocharro, Caetano, Guedes & Davies 2016, "A multi-level tonal interval space for
modelling pitch relatedness and musical consonance", J. New Music Research 45(4).
"""

import numpy as np

WEIGHTS = np.array([3.0, 8.0, 11.5, 15.0, 14.5, 7.5])  # table 1 of the paper
LENGTH = float(np.linalg.norm(WEIGHTS))


def tiv(chroma: np.ndarray) -> np.ndarray:
    """Tonal Interval Vectors [..., 6] (complex) of pitch classes [..., 12]; 0 for silence."""
    total = chroma.sum(axis=-1, keepdims=True)
    spectrum = np.fft.fft(chroma / np.maximum(total, 1e-12), axis=-1)[..., 1:7]
    return WEIGHTS * np.where(total > 1e-9, spectrum, 0.0)


def transpose(vectors: np.ndarray, *, semitones: float) -> np.ndarray:
    """The vectors of the same music `semitones` higher."""
    return vectors * np.exp(-2j * np.pi * np.arange(1, 7) * semitones / 12)
