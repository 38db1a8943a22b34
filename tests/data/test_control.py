import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mashjax.data.control import moved, told, written
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


def test_a_moved_track_says_the_same_notes():
    pitch = np.repeat([60.0, 64.0, 0.0], 50)
    track = written([(0, 50, 60), (50, 100, 64)], pitch, pitch > 0)
    for x in (track, jnp.asarray(track)):
        now, before = told(moved(x, -1.5)), told(track)
        np.testing.assert_array_equal(now.note, before.note)
        np.testing.assert_array_equal(now.side, before.side)
        np.testing.assert_array_equal(now.voiced, before.voiced)
        np.testing.assert_allclose(np.asarray(now.deviation)[:100], -1.5)
        assert not np.asarray(now.deviation)[100:].any()
