"""How a melody is sung: when its notes begin and end, and the way of the voice from one to another.

The network that finds melodies (`mashjax.tasks.melody`) must know singers' liberties from what was
meant; what they do is drawn for every song.
"""

import dataclasses
import itertools

import numpy as np
from scipy import ndimage

from mashjax.audio.midi import Note

RATE = 200
"""Hz, of the curves that say how it is sung."""

SHORTEST = 0.07
"""Seconds of a note."""

WIDEST = 0.45
"""Semitones by which a note may be out of tune; with half a semitone it would be another one."""


@dataclasses.dataclass(frozen=True)
class Performance:
    """notes: as they are sung, none over another; syllables: the same, with notes that are sung on
    one syllable as one; pitch: of the voice, in MIDI numbers, RATE times a second."""

    notes: list[Note]
    syllables: list[Note]
    pitch: np.ndarray


def perform(notes: list[Note], *, seconds: float, rng: np.random.Generator) -> Performance:
    """Sing sorted notes, one at a time, freely: early and late, connected or not, out of tune.

    Of every singer are drawn: how much a note's time wavers, how many notes are connected and sung
    on one syllable, glides, scoops from below, falls at the ends, vibrato, tuning and its drift.
    """
    sung = _timed(notes, seconds, rng)
    joined = [a.end >= b.start - 1e-9 for a, b in itertools.pairwise(sung)]
    slurs = rng.uniform(0, 0.4)
    slurred = [False] + [
        joint and 0 < abs(a.pitch - b.pitch) <= 7 and rng.random() < slurs
        for a, b, joint in zip(sung, sung[1:], joined, strict=False)
    ]
    syllables: list[Note] = []
    for note, slur in zip(sung, slurred, strict=True):
        if slur:
            syllables[-1] = dataclasses.replace(syllables[-1], end=note.end)
        else:
            syllables.append(note)
    return Performance(sung, syllables, _voice(sung, [False, *joined], slurred, seconds, rng))


def _timed(notes: list[Note], seconds: float, rng: np.random.Generator) -> list[Note]:
    """Notes at the times at which they are sung."""
    legato, waver, lag = rng.uniform(0.3, 1.0), rng.uniform(0.005, 0.03), rng.uniform(-0.03, 0.05)
    starts = (
        np.array([note.start for note in notes]) + lag + waver * rng.standard_normal(len(notes))
    )
    kept: list[Note] = []
    for note, start in zip(notes, np.maximum(starts, 0.05), strict=True):
        start = max(start, kept[-1].start + SHORTEST) if kept else start
        end = max(note.end, start + SHORTEST)
        if end < seconds - 0.1:
            kept.append(Note(float(start), float(end), note.pitch, note.velocity))
    for i, (note, following) in enumerate(itertools.pairwise(kept)):
        gap = following.start - note.end
        end = note.end + max(gap, 0) * rng.uniform(0, 0.7) if gap < 0.5 else note.end
        if gap < 0.02 or (gap < 0.45 and rng.random() < legato):
            end = following.start
        kept[i] = dataclasses.replace(note, end=min(end, following.start))
    return kept


def _voice(
    notes: list[Note],
    joined: list[bool],
    slurred: list[bool],
    seconds: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The voice's pitch, in MIDI numbers, RATE times a second; joined: to the note before."""
    n = int(seconds * RATE) + 2
    now = np.arange(n) / RATE
    tuning = np.clip(
        rng.uniform(-0.4, 0.4)
        + 0.08 * drift(n, rng, seconds=3.0)
        + _constant(notes, rng.uniform(0.03, 0.2) * rng.standard_normal(len(notes)), n),
        -WIDEST,
        WIDEST,
    )
    pitch = np.full(n, float(notes[0].pitch) if notes else 60.0)
    extra, depth = np.zeros(n), np.zeros(n)
    lazy, falls, trembles = rng.uniform(0, 0.5), rng.uniform(0, 0.3), rng.uniform(0, 1)
    wide, quick = 10 ** rng.uniform(-1, -0.05), rng.uniform(0.3, 1.0)
    for i, note in enumerate(notes):
        if i:
            longest = 0.16 if slurred[i] else 0.1 if joined[i] else 0.02
            glide = max(longest * quick * rng.uniform(0.3, 1), 0.01)
            middle = note.start + (rng.uniform(-0.2, 0.2) * glide if joined[i] else -0.02)
            pitch += (note.pitch - notes[i - 1].pitch) / (
                1 + np.exp(-np.clip((now - middle) * 6 / glide, -50, 50))
            )
        if rng.random() < lazy * (0.4 if joined[i] else 1):
            after = span(note.start, note.end)
            fade = np.exp(-(now[after] - note.start) / rng.uniform(0.015, 0.06))
            extra[after] -= rng.uniform(0.4, 3.0) * fade
        if not (i + 1 < len(notes) and joined[i + 1]) and rng.random() < falls:
            length = min(rng.uniform(0.05, 0.2), 0.5 * (note.end - note.start))
            last = span(note.end - length, note.end)
            share = np.clip((now[last] - note.end + length) / length, 0, 1)
            extra[last] -= rng.uniform(0.5, 4.0) * share**2
        if note.end - note.start > 0.3 and rng.random() < trembles:
            depth[span(note.start + rng.uniform(0.1, 0.3), note.end)] = wide * rng.uniform(0.5, 1.2)
    rate = rng.uniform(4.5, 7.0) * (1 + 0.08 * drift(n, rng, seconds=0.4))
    swing = np.sin(2 * np.pi * np.cumsum(rate) / RATE)
    pitch += ndimage.gaussian_filter1d(depth, 0.08 * RATE) * swing
    unsteady = rng.uniform(0.03, 0.12) * drift(n, rng, seconds=0.25)
    return pitch + extra + tuning + unsteady + 0.03 * drift(n, rng, seconds=0.02)


def _constant(notes: list[Note], values: np.ndarray, n: int) -> np.ndarray:
    """A value for each note, from it to the next, a little smoothed, RATE times a second."""
    curve = np.zeros(n)
    for note, value in zip(notes, values, strict=True):
        curve[span(note.start, n / RATE)] = value
    return ndimage.gaussian_filter1d(curve, 0.02 * RATE)


def in_range(notes: list[Note], comfortable: float) -> list[Note]:
    """Sorted notes, moved by octaves until their middle is near a comfortable pitch (MIDI)."""
    middle = float(np.median([note.pitch for note in notes]))
    shift = 12 * round((comfortable - middle) / 12)
    return [
        dataclasses.replace(note, pitch=note.pitch + shift)
        for note in sorted(notes, key=lambda note: note.start)
    ]


def intonation(
    notes: list[Note], seconds: float, rng: np.random.Generator, *, late: float
) -> np.ndarray:
    """Pitch in MIDI numbers, RATE times a second: glides, scoops, vibrato, unsteadiness.

    late: seconds by which the singer is behind the notes.
    """
    n = int(seconds * RATE) + 2
    pitch, depth = np.full(n, float(notes[0].pitch)), np.zeros(n)
    wide, glide, lazy = rng.uniform(0.1, 0.7), rng.uniform(0.012, 0.05), rng.uniform(0.1, 0.6)
    for i, note in enumerate(notes):
        following = notes[i + 1].start if i + 1 < len(notes) else note.end + 1.0
        start, end = note.start, min(note.end, following)
        pitch[span(start, seconds + 1, late)] = note.pitch
        if end - start > 0.4 and rng.random() < 0.8:
            depth[span(start + 0.2, end, late)] = wide * rng.uniform(0.5, 1.2)
        if rng.random() < lazy:  # scooped from below
            pitch[span(start, start + 0.08, late)] -= rng.uniform(0.5, 2.5)
    pitch = ndimage.gaussian_filter1d(pitch, glide * RATE)
    rate = rng.uniform(4.8, 6.5) * (1 + 0.08 * drift(n, rng, seconds=0.4))
    swing = np.sin(2 * np.pi * np.cumsum(rate) / RATE)
    pitch += ndimage.gaussian_filter1d(depth, 0.08 * RATE) * swing
    return pitch + 0.15 * drift(n, rng, seconds=0.25) + 0.04 * drift(n, rng, seconds=0.02)


def span(start: float, stop: float, late: float = 0.0) -> slice:
    """The part of a curve between two times, in seconds."""
    return slice(max(round((start + late) * RATE), 0), max(round((stop + late) * RATE), 0))


def drift(n: int, rng: np.random.Generator, *, seconds: float) -> np.ndarray:
    """Smooth noise of unit deviation, RATE values a second, that changes over `seconds`."""
    knots = rng.standard_normal(int(n / (seconds * RATE)) + 3)
    return np.interp(np.arange(n) / (seconds * RATE), np.arange(len(knots)), knots)
