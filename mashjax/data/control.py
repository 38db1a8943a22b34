"""The notes that are sung, as a track beside the sound: one int16 per sample.

0: no note. Otherwise the magnitude is 256 * note + 2 * (64 + deviation) + voiced: the MIDI number
of the note that is meant, how far the voice is from it, in steps of 1/32 semitone, and whether it
is voiced there. The sign alternates from note to note, so that a note sung twice is seen to begin
anew. A store's track, like all that it holds, is divided by its `SCALE` when it is read.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mashjax.data.store import SCALE

STEPS = 32
"""Of the deviation, per semitone."""

FARTHEST = 63
"""Steps; a voice that is farther away, in a glide, counts as so far."""


class Told(NamedTuple):
    """What a track says of each sample.

    note: MIDI number, 0 where none sounds; deviation: of the voice's pitch from it, in semitones;
    voiced: whether it is; side: -1 or 1, another one for the next note, 0 where none sounds.
    """

    note: Any
    deviation: Any
    voiced: Any
    side: Any


def written(
    spans: Sequence[tuple[int, int, int]], pitch: np.ndarray, voiced: np.ndarray
) -> np.ndarray:
    """The track of notes one after another, float32 [samples] in [-1, 1].

    spans: first sample, end and MIDI number (1..127) of each note, in order, none over another;
    pitch: of the voice, in MIDI numbers [samples]; voiced: bool [samples].
    """
    track = np.zeros(len(pitch), np.int16)
    for count, (first, end, note) in enumerate(spans):
        away = np.clip(np.round(STEPS * (pitch[first:end] - note)), -FARTHEST, FARTHEST)
        value = 256 * note + 2 * (FARTHEST + 1 + away) + voiced[first:end]
        track[first:end] = value if count % 2 == 0 else -value
    return track.astype(np.float32) / np.float32(SCALE)


def told(track: Any) -> Told:
    """The inverse of `written`, of a NumPy array or of one of JAX, of any shape."""
    xp = np if isinstance(track, np.ndarray) else _jax_numpy()
    value = xp.round(track * np.float32(SCALE)).astype(np.int32)
    size = xp.abs(value)
    note, rest = size // 256, size % 256
    deviation = (rest // 2 - (FARTHEST + 1)) / np.float32(STEPS)
    sounds = note > 0
    return Told(note, xp.where(sounds, deviation, 0.0), sounds & (rest % 2 == 1), xp.sign(value))


def moved(track: Any, semitones: Any) -> Any:
    """A track, NumPy's or JAX's, whose voice is `semitones` farther up from the same notes."""
    xp = np if isinstance(track, np.ndarray) else _jax_numpy()
    at = told(track)
    away = xp.clip(xp.round(STEPS * (at.deviation + semitones)), -FARTHEST, FARTHEST)
    value = at.side * (256 * at.note + 2 * (FARTHEST + 1 + away) + at.voiced)
    return (value / np.float32(SCALE)).astype(np.float32)


def _jax_numpy() -> Any:
    import jax.numpy

    return jax.numpy
