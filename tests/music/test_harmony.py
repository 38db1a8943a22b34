import numpy as np
import pytest

from mashjax.audio.midi import Note
from mashjax.music.harmony import left_hand, sounding, triads
from mashjax.music.tonality import Key

BARS = np.arange(5) * 2.0


def test_a_melody_of_broken_triads_gets_these_triads():
    chords = [(0, 4, 7), (5, 9, 0), (7, 11, 2), (9, 0, 4)]
    melody = [
        Note(bar * 2 + k * 0.6, bar * 2 + k * 0.6 + 0.6, 60 + chord[k], 80)
        for bar, chord in enumerate(chords)
        for k in range(3)
    ]
    weights = sounding(melody, BARS)
    assert weights.sum() == pytest.approx(4 * 3 * 0.6)
    assert triads(weights, Key("C", "major", 1.0)) == chords


def test_a_silent_bar_keeps_to_the_key():
    found = triads(np.zeros((3, 12)), Key("D", "minor", 1.0))
    assert found == [(2, 5, 9)] * 3


def test_a_left_hand_lies_under_the_melody():
    notes = left_hand([(0, 4, 7), (11, 2, 6)], BARS[:3])
    assert all(40 <= n.pitch < 64 for n in notes)
    assert {n.pitch % 12 for n in notes if n.start >= 2.0} == {11, 2, 6}
    assert min(n.start for n in notes) == 0 and max(n.end for n in notes) == 4.0
