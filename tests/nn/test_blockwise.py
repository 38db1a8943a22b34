"""A network in blocks says what it says in one piece, whatever the length."""

import jax
import numpy as np
import pytest
from flax import nnx

from mashjax.nn.blockwise import Blockwise
from mashjax.nn.encoder_decoder import EncoderDecoder

BLOCK = 12
LSTMS = [("lstm", False), ("lstm", True)]
TRANSFORMERS = [("transformer", False), ("transformer", True)]


@pytest.fixture(scope="module", params=LSTMS + TRANSFORMERS, ids=str)
def network(request):
    """Random throughout, the head too, so that every path reaches the output."""
    encoder, bidirectional = request.param
    network = EncoderDecoder(
        features=5,
        embedding=None if bidirectional else 6,
        hidden=4,
        attention=4,
        window=7,
        head=8,
        outputs=3,
        bidirectional=bidirectional,
        encoder=encoder,
        layers=2,  # together they reach over more than a block
        rngs=nnx.Rngs(0),
    )
    graph, params = nnx.split(network, nnx.Param)
    rng = np.random.default_rng(0)
    stir = lambda leaf: np.asarray(leaf + 0.5 * rng.normal(size=leaf.shape), np.float32)  # noqa: E731
    params = jax.tree.map(stir, nnx.to_pure_dict(params))
    return network, jax.jit(nnx.merge(graph, nnx.State(params)).__call__), params


@pytest.mark.parametrize("frames", [1, 11, 12, 13, 24, 31, 100])
def test_equals_one_piece(network, frames):
    shapes, run, params = network
    songs = np.random.default_rng(frames).normal(size=(2, frames, 5)).astype(np.float32)
    whole = np.asarray(run(songs[:1], songs[1:]))[0]
    ours = Blockwise(shapes, block=BLOCK)(params, songs)
    assert ours.shape == whole.shape == (frames, 3)
    np.testing.assert_allclose(ours, whole, atol=2e-4)  # of outputs of up to 8


@pytest.mark.parametrize("network", LSTMS, indirect=True, ids=str)
def test_the_first_frame_depends_on_the_last(network):
    """So a block on its own could not know: the decoder starts from what the encoder heard last."""
    shapes, _, params = network
    songs = np.random.default_rng(0).normal(size=(2, 3 * BLOCK, 5)).astype(np.float32)
    changed = songs.copy()
    changed[:, -1] += 1
    blockwise = Blockwise(shapes, block=BLOCK)
    difference = np.abs(blockwise(params, songs) - blockwise(params, changed))[0]
    assert difference.max() > 1e-4
