import numpy as np
import pytest

from mashjax.audio.midi import Note
from mashjax.music.notes import notes_of, with_velocities

FRAME = 0.01
LOWEST, PITCHES = 48, 30


def posteriors(melody, *, seconds, rng=None, onsets=True):
    """What a network would say of (start, end, pitch); with rng, a doubtful one."""
    frames = round(seconds / FRAME)
    note, voicing = np.zeros((frames, PITCHES)), np.full(frames, -3.0)
    onset = np.full(frames, -4.0)
    for start, end, pitch in melody:
        a, b = round(start / FRAME), round(end / FRAME)
        note[a:b, pitch - LOWEST] += 6
        voicing[a:b] = 3.0
        if onsets:
            onset[a] = 3.0
    if rng is not None:
        note += rng.normal(0, 2.0, note.shape)
        voicing += rng.normal(0, 1.5, frames)
        onset += rng.normal(0, 0.7, frames)
    odds = np.exp(note)
    return (
        odds / odds.sum(axis=1, keepdims=True),
        1 / (1 + np.exp(-onset)),
        1 / (1 + np.exp(-voicing)),
    )


def heard(*said):
    return notes_of(*said, frame_seconds=FRAME, lowest=LOWEST)


def close(notes, melody):
    return len(notes) == len(melody) and all(
        n.pitch == pitch and abs(n.start - start) < 0.03 and abs(n.end - end) < 0.05
        for n, (start, end, pitch) in zip(notes, melody, strict=True)
    )


MELODY = [(0.2, 0.5, 60), (0.5, 0.8, 62), (0.8, 1.1, 62), (1.3, 2.0, 67), (2.1, 2.2, 65)]


def test_notes_come_back():
    assert close(heard(*posteriors(MELODY, seconds=3.0)), MELODY)


@pytest.mark.parametrize("seed", range(5))
def test_notes_come_back_from_doubtful_frames(seed):
    said = posteriors(MELODY, seconds=3.0, rng=np.random.default_rng(seed))
    assert close(heard(*said), MELODY)


def test_only_an_onset_parts_a_repeated_note():
    twice = [(0.2, 0.5, 60), (0.5, 0.8, 60)]
    assert close(heard(*posteriors(twice, seconds=1.0)), twice)
    assert close(heard(*posteriors(twice, seconds=1.0, onsets=False)), [(0.2, 0.8, 60)])


def test_vibrato_between_two_pitches_is_one_note():
    note, onset, voicing = posteriors([(0.2, 1.2, 60)], seconds=1.5)
    away = np.sin(2 * np.pi * 6 * np.arange(len(note)) * FRAME) > 0.5
    note[away] = np.roll(note[away], 1, axis=1)
    assert close(heard(note, onset, voicing), [(0.2, 1.2, 60)])


def test_a_click_is_no_note_and_a_short_gap_no_rest():
    note, onset, voicing = posteriors([(0.5, 1.5, 60)], seconds=2.0)
    voicing[[10, 11]] = 0.9
    voicing[[100, 101]] = 0.1
    assert close(heard(note, onset, voicing), [(0.5, 1.5, 60)])


def test_a_note_of_many_seconds_is_one_and_so_is_a_rest():
    held = [(5.0, 11.0, 60)]
    assert close(heard(*posteriors(held, seconds=17.0)), held)


def test_silence_has_no_notes():
    assert heard(*posteriors([], seconds=2.0)) == []
    assert heard(np.zeros((0, PITCHES)), np.zeros(0), np.zeros(0)) == []
    one = np.full((1, PITCHES), 1 / PITCHES), np.array([0.01]), np.array([0.01])
    assert heard(*one) == []


def test_louder_notes_are_struck_harder():
    sr = 8000
    y = np.ones(3 * sr)
    y[sr : 2 * sr] = 0.5
    y[2 * sr :] = 1e-4
    notes = with_velocities([Note(t, t + 1, 60, 1) for t in (0.0, 1.0, 2.0)], y, sr=sr)
    assert [n.velocity for n in notes] == [92, 80, 40]
    assert with_velocities([], y, sr=sr) == []
