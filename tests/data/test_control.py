import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mashjax.data.control import told, written
from mashjax.data.store import FILL, decode, encode

notes = st.lists(st.tuples(st.integers(1, 127), st.integers(1, 9)), min_size=1, max_size=6)


@given(notes, st.floats(-1.9, 1.9))
def test_what_is_written_is_told_after_it_was_stored(sizes, away):
    spans, first = [], 3
    for note, length in sizes:
        spans.append((first, first + length, note))
        first += length
    pitch, voiced = np.zeros(first + 2), np.arange(first + 2) % 3 > 0
    for start, end, note in spans:
        pitch[start:end] = note + away
    stored = encode(written(spans, pitch, voiced))
    assert not (stored == FILL).any()
    said = told(decode(stored))
    sounds = np.zeros(len(pitch), bool)
    for start, end, note in spans:
        assert (said.note[start:end] == note).all()
        sounds[start:end] = True
        # A note that follows at once, even of the same pitch, is on the other side.
        assert said.side[end] != said.side[start]
    np.testing.assert_array_equal(said.note > 0, sounds)
    np.testing.assert_array_equal(said.voiced, sounds & voiced)
    np.testing.assert_allclose(said.deviation[sounds], away, atol=1 / 64)


def test_a_voice_far_from_its_note_counts_as_at_the_end_of_the_scale():
    said = told(written([(0, 4, 60)], np.array([50.0, 57, 63, 80]), np.ones(4, bool)))
    np.testing.assert_allclose(said.deviation, [-63 / 32, -63 / 32, 63 / 32, 63 / 32])
