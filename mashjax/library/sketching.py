"""A segment's chords in 96 numbers: of a large library, which segments are worth comparing.

Chosen on 50 planted pairs (`tests/benchmarks/ranking.py`), half of whose partners four bars keep
among the first 1.7 % of the library, eight bars among the first 0.1 %, and eight bars without half
of the mean among the first 0.05 %.
"""

import numpy as np

from mashjax.library.segments import Segment
from mashjax.music.alignment import Limits
from mashjax.music.mashability import SHIFTS
from mashjax.music.tiv import tiv

LOOP = 8  # bars after which chords mostly repeat: those of a sketch
MIDDLE_TEMPO = 115.0  # BPM; sketches count bars at the tempo within half an octave of it
SKETCH = LOOP * 12  # numbers of a sketch
_COMMON = 0.5  # share of a segment's mean chord that is taken off: it says the key, not the chords
_ROWS = 1 << 12  # sketches at a time: their scores stay in the processor's cache


def sketch(segment: Segment) -> np.ndarray:
    """The chords of a segment, folded over `LOOP` bars, float32 [SKETCH] of unit length."""
    faster = 2.0 ** -np.round(np.log2(segment.tempo_bpm / MIDDLE_TEMPO))
    bar = np.arange(len(segment.chroma)) * faster // segment.beats_per_bar
    vectors = tiv(segment.chroma)
    loop = np.stack([vectors[bar % LOOP == k].sum(axis=0) for k in range(LOOP)])
    loop = loop - _COMMON * loop.mean(axis=0)
    flat = np.concatenate([loop.real, loop.imag], axis=1).ravel()
    return (flat / max(float(np.linalg.norm(flat)), 1e-9)).astype(np.float32)


def sketch_scores(
    query: Segment, sketches: np.ndarray, rows: np.ndarray, *, limits: Limits = Limits()
) -> np.ndarray:
    """How alike the chords of `query` and of some sketches are, -1..1 [rows].

    At the best of all offsets of whole bars and shifts within `limits`. For choosing whom to
    compare: 100,000 sketches take tens of milliseconds.

    sketches: [segments, SKETCH]; rows: numbers of those that are wanted.
    """
    loop = sketch(query).reshape(LOOP, 12)
    loop = loop[:, :6] + 1j * loop[:, 6:]
    shifts = SHIFTS[np.abs(SHIFTS) <= 2 * limits.max_shift]
    turn = np.exp(-2j * np.pi * np.arange(1, 7) * -shifts[:, None] / 12)
    turned = np.stack([np.roll(loop, k, axis=0) * turn[:, None] for k in range(LOOP)])
    wanted = np.concatenate([turned.real, turned.imag], axis=-1).reshape(-1, SKETCH)
    wanted = wanted.astype(np.float32)
    blocks = (sketches[rows[i : i + _ROWS]].T for i in range(0, len(rows), _ROWS))
    # The maximum down the columns is several times as fast as along the rows.
    best = [(wanted @ block).max(axis=0) for block in blocks]
    return np.concatenate([np.zeros(0, np.float32), *best])
