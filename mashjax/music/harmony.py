"""Chords for a melody: a triad for each bar, and a left hand that plays them."""

import numpy as np

from mashjax.audio.midi import Note
from mashjax.music.playable import SCALES
from mashjax.music.tonality import TONICS, Key

# Of POP909's chords in songs of one key: the share of time of those on each degree. The diminished
# triads are left out.
DEGREES = {
    "major": (0.257, 0.093, 0.104, 0.167, 0.230, 0.146, 0.0),
    "minor": (0.336, 0.0, 0.111, 0.121, 0.156, 0.125, 0.145),
}
SHARP = 6.0  # how much a bar's notes count against what is usual
ROOTS, FIFTHS = 40, 52  # the lowest root, and the lowest note of the chord above it, MIDI numbers
VELOCITY = 48


def triads(weights: np.ndarray, key: Key) -> list[tuple[int, int, int]]:
    """Pitch classes (root, third, fifth) for each bar, of the key's own triads.

    weights: how much each pitch class sounds in each bar, [bars, 12], C first; a bar may be silent.
    The most probable ones: a triad fits by the cosine of its notes and the bar's.
    """
    scale = [(TONICS.index(key.tonic) + step) % 12 for step in SCALES[key.mode]]
    usual = DEGREES[key.mode]
    chords = [(scale[d], scale[(d + 2) % 7], scale[(d + 4) % 7]) for d in range(7) if usual[d] > 0]
    prior = np.log([x for x in usual if x > 0])
    templates = np.zeros((len(chords), 12))
    for row, chord in zip(templates, chords, strict=True):
        row[list(chord)] = 1 / np.sqrt(3)
    length = np.linalg.norm(weights, axis=1, keepdims=True)
    fits = SHARP * (weights / np.maximum(length, 1e-9)) @ templates.T + prior
    return [chords[k] for k in fits.argmax(axis=1)]


def sounding(notes: list[Note], bars: np.ndarray) -> np.ndarray:
    """Seconds for which each pitch class sounds in each bar, [bars, 12]; bars: edges in seconds."""
    weights = np.zeros((len(bars) - 1, 12))
    for note in notes:
        shared = np.minimum(bars[1:], note.end) - np.maximum(bars[:-1], note.start)
        weights[:, note.pitch % 12] += np.maximum(shared, 0)
    return weights


def left_hand(chords: list[tuple[int, int, int]], bars: np.ndarray) -> list[Note]:
    """The root deep down and the triad above it, each bar anew; bars: edges in seconds.

    The triad's notes lie in one octave, whatever the chord: hands move little.
    """
    notes = []
    for chord, start, end in zip(chords, bars[:-1], bars[1:], strict=True):
        root = ROOTS + (chord[0] - ROOTS) % 12
        middle = (start + end) / 2
        notes.append(Note(float(start), float(end), root, VELOCITY))
        for on, off in ((start, middle), (middle, end)):
            notes += [
                Note(float(on), float(off), FIFTHS + (c - FIFTHS) % 12, VELOCITY - 8) for c in chord
            ]
    return notes
