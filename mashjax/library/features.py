"""A segment as a row of numbers: to group, to draw, and to compare distributions."""

from collections.abc import Sequence

import numpy as np

from mashjax.library.segments import Segment

SCALES = {
    "tempo": "octaves above 1 BPM",
    "loudness": "LUFS",
    "brightness": "octaves above 1 Hz",
    "voice": "0..1",
    "key_confidence": "0..1",
    "lead": "0..1, mean share of the energy",
    "lead_changes": "0..1, deviation of that share",
    "onsets": "mean strength",
    "syncopation": "0..1, share of the onsets between the beats",
    "chords": "0..1, how far the beats' pitch classes are from their mean",
}
"""The features that one number of a segment tells, and what they are measured in."""


def table(segments: Sequence[Segment]) -> np.ndarray:
    """Float64 [segments, features], in the order of `SCALES`."""
    return np.array([_row(segment) for segment in segments], float).reshape(-1, len(SCALES))


def vectors(segments: Sequence[Segment]) -> np.ndarray:
    """All that says how segments sound, float64 [segments, numbers], ready to be compared.

    The embedding, the timbre and the features of `SCALES` have mean 0 and, each as a whole, a
    variance of 1: none of them drowns the others by having more numbers.
    """
    blocks = [
        np.array([segment.embedding for segment in segments], float),
        _standardised(np.array([segment.timbre for segment in segments], float)),
        _standardised(table(segments)),
    ]
    blocks = [block.reshape(len(segments), -1) for block in blocks]
    blocks = [block - block.mean(axis=0) for block in blocks]
    return np.concatenate([x / max(_spread(x), 1e-9) for x in blocks], axis=1)


def _row(segment: Segment) -> list[float]:
    onsets = segment.rhythm.mean(axis=0)
    total = max(float(onsets.sum()), 1e-9)
    chroma = segment.chroma / np.maximum(segment.chroma.sum(axis=1, keepdims=True), 1e-9)
    return [
        float(np.log2(segment.tempo_bpm)),
        segment.loudness_lufs,
        float(np.log2(max(segment.brightness_hz, 1.0))),
        segment.voice,
        segment.key_confidence,
        float(segment.lead.mean()),
        float(segment.lead.std()),
        float(onsets.mean()),
        1 - float(onsets[0]) / total,
        float(np.abs(chroma - chroma.mean(axis=0)).sum(axis=1).mean() / 2),
    ]


def _standardised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)


def _spread(x: np.ndarray) -> float:
    """The root of the summed variance of all columns."""
    return float(np.sqrt(x.var(axis=0).sum()))
