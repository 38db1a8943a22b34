import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashjax.audio.midi import Note
from mashjax.music.playable import in_key, one_tempo, pulse, quantised, simplified, transposed
from mashjax.music.tonality import Key

BEATS = 0.3 + 0.5 * np.arange(20)


def notes(*spans, pitch=60):
    return [Note(start, end, pitch, 80) for start, end in spans]


def spans(found):
    return [(round(n.start, 4), round(n.end, 4)) for n in found]


def test_notes_fall_on_the_parts_of_the_beats():
    found = quantised(notes((0.32, 0.52), (0.83, 1.26)), BEATS, per_beat=2)
    assert spans(found) == [(0.3, 0.55), (0.8, 1.3)]
    found = quantised(notes((0.32, 0.45)), BEATS, per_beat=4)
    assert spans(found) == [(0.3, 0.425)]


def test_beats_go_on_before_the_first_and_after_the_last():
    found = quantised(notes((0.06, 0.2), (12.04, 12.3)), BEATS, per_beat=2)
    assert spans(found) == [(0.05, 0.3), (12.05, 12.3)]
    assert quantised(notes((0.0, 0.2)), BEATS, per_beat=1)[0].start == pytest.approx(0.3)


def test_of_two_notes_in_one_place_the_longer_stays():
    pair = [Note(0.28, 0.34, 60, 80), Note(0.34, 0.8, 64, 80)]
    assert [n.pitch for n in quantised(pair, BEATS, per_beat=2)] == [64]


@given(
    st.lists(st.tuples(st.floats(0, 12), st.floats(0.01, 3)), max_size=20),
    st.sampled_from([2, 4]),
)
def test_quantised_notes_neither_overlap_nor_vanish(drawn, per_beat):
    drawn = sorted(drawn)
    found = quantised(notes(*[(a, a + d) for a, d in drawn]), BEATS, per_beat=per_beat)
    assert bool(found) == bool(drawn)
    part = 0.5 / per_beat
    for before, after in itertools.pairwise(found):
        assert before.end <= after.start + 1e-9
    for note in found:
        assert note.start >= 0 and note.end - note.start > part - 1e-9
        assert abs((note.start - 0.3) / part - round((note.start - 0.3) / part)) < 1e-6


def test_one_tempo_of_unsteady_beats():
    rng = np.random.default_rng(0)
    line = one_tempo(BEATS + rng.normal(0, 0.01, 20))
    assert np.ptp(np.diff(line)) < 1e-9
    assert np.diff(line)[0] == pytest.approx(0.5, abs=0.003)
    assert one_tempo(np.cumsum(np.linspace(0.4, 0.7, 30))) is None


@pytest.mark.parametrize("bpm", [72, 100, 134])
def test_a_melody_tells_its_pulse(bpm):
    rng = np.random.default_rng(bpm)
    beat = 60 / bpm
    steps = np.cumsum(rng.choice([1, 1, 2, 3], 40))
    onsets = 0.4 + steps * beat / 2 + rng.normal(0, 0.01, 40)
    beats = pulse(onsets, seconds=onsets[-1] + 1)
    period = float(np.diff(beats).mean())
    assert min(abs(period / beat - x) for x in (0.5, 1, 2)) < 0.01  # an octave is a matter of taste
    off = (onsets - beats[0]) / (period / 2)
    assert np.abs(off - np.round(off)).mean() < 0.15


def test_what_keeps_no_time_has_no_pulse():
    rng = np.random.default_rng(0)
    assert pulse(np.sort(rng.uniform(0, 30, 60)), seconds=30.0) is None
    assert pulse(np.array([0.0, 0.5, 1.0]), seconds=2.0) is None


def test_notes_move_to_the_scale():
    melody = [Note(k, k + 1, pitch, 80) for k, pitch in enumerate([60, 61, 63, 66, 70, 71])]
    found = in_key(melody, Key("C", "major", 1.0))
    assert [n.pitch for n in found] == [60, 60, 62, 65, 69, 71]
    found = in_key(melody, Key("A", "minor", 1.0))
    assert all(n.pitch % 12 in {9, 11, 0, 2, 4, 5, 7} for n in found)


def test_transposing_changes_pitches_only():
    (moved,) = transposed(notes((0.0, 1.0)), -12)
    assert moved == dataclasses.replace(notes((0.0, 1.0))[0], pitch=48)


def test_ornaments_go_and_their_neighbours_last_for_them():
    melody = [Note(0.0, 0.5, 60, 80), Note(0.5, 0.58, 62, 80), Note(0.58, 1.0, 60, 80)]
    melody += [Note(2.0, 2.05, 70, 80)]
    assert simplified(melody, 0.0, beat=0.5) == melody
    found = simplified(melody, 0.5, beat=0.5)
    assert spans(found) == [(0.0, 0.58), (0.58, 1.0), (2.0, 2.05)]
    (left,) = simplified(melody, 1.0, beat=4.0)
    assert left.start == 0.0


def test_a_grace_note_gives_its_time_to_what_follows():
    melody = [Note(1.0, 1.06, 62, 80), Note(1.06, 2.0, 60, 80)]
    assert spans(simplified(melody, 0.5, beat=0.5)) == [(1.0, 2.0)]
