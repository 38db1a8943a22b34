"""From what was sung to what is played: on the beat, in the key, without ornaments."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mashjax.audio.midi import Note
from mashjax.music.tonality import TONICS, Key

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
TOUCHING = 0.06  # seconds: a shorter gap between two notes is no rest
DRIFT = 0.25  # of a beat: songs that stay closer to one tempo have one
SLOWEST, FASTEST = 60.0, 180.0  # beats a minute of a pulse that only the onsets tell
CLEAR = 0.45  # 0..1: how well onsets lie on a pulse that is one
FEW = 8  # onsets that a pulse needs


def one_tempo(beats: np.ndarray) -> np.ndarray | None:
    """The beats of one tempo that fit `beats` (seconds) best; None where they drift from it."""
    index = np.arange(len(beats))
    if len(beats) < 3:
        return None
    period, first = np.polyfit(index, beats, 1)
    line = first + period * index
    return line if np.abs(line - beats).max() < DRIFT * period else None


def pulse(onsets: np.ndarray, *, seconds: float) -> np.ndarray | None:
    """Beats of one tempo, in seconds, that the onsets of a melody tell; None if they tell none.

    The tempo at whose half beats the onsets lie closest together (the length of their mean
    vector), less willingly the farther from 105 BPM.
    """
    if len(onsets) < FEW:
        return None
    periods = 60 / np.geomspace(SLOWEST, FASTEST, 1200)
    vectors = np.exp(4j * np.pi * onsets / periods[:, None]).mean(axis=1)
    octaves = np.log2(60 / periods / 105)
    best = int((np.abs(vectors) * np.exp(-0.5 * octaves**2)).argmax())
    if np.abs(vectors[best]) < CLEAR:
        return None
    half = periods[best] / 2
    phase = float(np.angle(vectors[best]) / (2 * np.pi)) * half
    # Of both half beats the beat is where longer notes begin: where more time passes afterwards.
    lasts = np.diff(onsets, append=onsets[-1])
    place = np.round((onsets - phase) / half).astype(int) % 2
    phase += half * (lasts[place == 1].sum() > lasts[place == 0].sum())
    return np.arange(phase % periods[best], seconds, periods[best])


def quantised(notes: Sequence[Note], beats: np.ndarray, *, per_beat: int) -> list[Note]:
    """`notes` that begin and end on the `per_beat` parts of the beats (seconds, two at least).

    Before the first beat and after the last, beats go on as they are there. Of notes that fall to
    one place the longest stays. None is shorter than a part.
    """
    place = np.arange(len(beats)) * per_beat
    before = beats[0] / (beats[1] - beats[0])
    edges = [(n.start, n.end) for n in notes]
    after = (max([e for _, e in edges], default=0.0) - beats[-1]) / (beats[-1] - beats[-2]) + 2
    more = [np.arange(-np.ceil(max(before, 0)) - 1, 0), np.arange(1, max(after, 1) + 1)]
    times = np.concatenate(
        [
            beats[0] + more[0] * (beats[1] - beats[0]),
            beats,
            beats[-1] + more[1] * (beats[-1] - beats[-2]),
        ]
    )
    place = np.concatenate([more[0] * per_beat, place, place[-1] + more[1] * per_beat])
    first = int(np.ceil(np.interp(0.0, times, place)))  # nothing begins before the song
    at: dict[int, Note] = {}
    for note in notes:
        start, end = np.round(np.interp([note.start, note.end], times, place)).astype(int)
        start = max(int(start), first)
        if start not in at or note.end - note.start > at[start].end - at[start].start:
            at[start] = note
    starts = sorted(at)
    result = []
    for k, start in enumerate(starts):
        end = max(int(np.round(np.interp(at[start].end, times, place))), start + 1)
        end = min([end, *starts[k + 1 : k + 2]])
        on, off = np.interp([start, end], place, times)
        result.append(dataclasses.replace(at[start], start=float(on), end=float(off)))
    return result


def in_key(notes: Sequence[Note], key: Key) -> list[Note]:
    """`notes` moved to the nearest of the scale (minor: the natural one), down if two are."""
    tonic = TONICS.index(key.tonic)
    scale = {(tonic + step) % 12 for step in SCALES[key.mode]}
    return [
        note
        if note.pitch % 12 in scale
        else dataclasses.replace(note, pitch=note.pitch - 1)
        if (note.pitch - 1) % 12 in scale
        else dataclasses.replace(note, pitch=note.pitch + 1)
        for note in notes
    ]


def transposed(notes: Sequence[Note], semitones: int) -> list[Note]:
    """`notes` as many semitones higher."""
    return [dataclasses.replace(note, pitch=note.pitch + semitones) for note in notes]


def simplified(notes: Sequence[Note], amount: float, *, beat: float) -> list[Note]:
    """`notes` without ornaments: no two begin closer together than `amount` (0..1) beats.

    Of two that do, the shorter goes, the shortest of all first, and the note that it touched before
    or after lasts for both. beat: seconds.
    """
    left = list(notes)
    while len(left) > 1:
        starts = np.array([note.start for note in left])
        gaps = np.concatenate([[np.inf], np.diff(starts), [np.inf]])
        crowded = np.minimum(gaps[:-1], gaps[1:]) < amount * beat - 1e-6
        if not crowded.any():
            break
        lengths = np.array([note.end - note.start for note in left])
        k = int(np.where(crowded, lengths, np.inf).argmin())
        gone = left.pop(k)
        if k > 0 and gone.start - left[k - 1].end < TOUCHING:
            left[k - 1] = dataclasses.replace(left[k - 1], end=gone.end)
        elif k < len(left) and left[k].start - gone.end < TOUCHING:
            left[k] = dataclasses.replace(left[k], start=gone.start)
    return left
