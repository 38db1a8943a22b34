import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mashjax.nn.local_head import LocalHead

PLACES, FEATURES, OUTPUTS = 12, 3, 2


@pytest.fixture(scope="module")
def head():
    """With weights everywhere: it starts with a last layer of zeros."""
    head = LocalHead(
        5, FEATURES * PLACES, OUTPUTS * PLACES, places=PLACES, units=8, rngs=nnx.Rngs(0)
    )
    head.last.kernel[...] = jax.random.normal(jax.random.key(1), head.last.kernel.shape)
    return head


def inputs(seed: int = 0):
    """What is seen of the whole, and both songs [batch, frames, features, places]."""
    rng = np.random.default_rng(seed)
    songs = rng.normal(size=(2, 4, 7, FEATURES, PLACES)).astype(np.float32)
    return rng.normal(size=(4, 7, 5)).astype(np.float32), songs


def said(head, seen, songs):
    flat = [song.reshape(*song.shape[:2], -1) for song in songs]
    return np.asarray(head(seen, *flat)).reshape(4, 7, OUTPUTS, PLACES)


def test_it_begins_at_nothing():
    head = LocalHead(5, FEATURES * PLACES, PLACES, places=PLACES, units=8, rngs=nnx.Rngs(0))
    seen, songs = inputs()
    assert not np.any(head(seen, *(song.reshape(4, 7, -1) for song in songs)))


def test_a_place_sees_two_neighbours_to_either_side_in_both_songs(head):
    seen, songs = inputs()
    before = said(head, seen, songs)
    for song in range(2):
        changed = songs.copy()
        changed[song, :, :, 1, 6] += 1.0
        differs = np.any(said(head, seen, changed) != before, axis=(0, 1, 2))
        np.testing.assert_array_equal(np.flatnonzero(differs), [4, 5, 6, 7, 8])


def test_all_places_are_judged_alike(head):
    """Where the whole says nothing, what is moved by a place moves the outputs by a place."""
    seen, songs = inputs()
    silent = 0 * seen
    moved = said(head, silent, np.roll(songs, 1, axis=-1))
    np.testing.assert_allclose(
        moved[..., 3:-2], said(head, silent, songs)[..., 2:-3], rtol=1e-5, atol=1e-6
    )


def test_the_whole_reaches_every_place(head):
    seen, songs = inputs()
    differs = said(head, seen + 1, songs) != said(head, seen, songs)
    assert differs.any(axis=(0, 1, 2)).all()


def test_outputs_come_output_by_output(head):
    """The first output of all places, then the second: a bias of the second moves that alone."""
    seen, songs = inputs()
    before = said(head, seen, songs)
    graph, state = nnx.split(head)
    other = nnx.merge(graph, state)
    other.last.bias[...] = other.last.bias[...] + jnp.array([0.0, 1.0])
    moved = said(other, seen, songs) - before
    np.testing.assert_allclose(moved[..., 0, :], 0, atol=1e-5)
    np.testing.assert_allclose(moved[..., 1, :], 1, atol=1e-5)
