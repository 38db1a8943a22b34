"""The Transformer against the same one written out, and what it hears of a song."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from mashjax.nn.attention import rotated
from mashjax.nn.encoder_decoder import EncoderDecoder
from mashjax.nn.transformer import Transformer

FEATURES, HIDDEN, WINDOW = 5, 8, 4


def random(make):
    """A network with random parameters, large enough for every path to reach the output."""
    graph, params = nnx.split(nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0))), nnx.Param)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: np.float32(rng.normal(size=leaf.shape) / leaf.shape[0] ** 0.5),
        nnx.to_pure_dict(params),
    )
    return params, jax.jit(nnx.merge(graph, nnx.State(params)).__call__)


def dense(layer, x):
    return x @ layer["kernel"] + layer.get("bias", 0)


def normalised(layer, x):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * layer["scale"] + layer["bias"]


def attention(layer, x, heads, causal):
    """Frame by frame; each plane of a key is turned by how far away it is from the query."""
    parts = [
        np.split(part, heads, -1) for part in np.split(dense(layer["query_key_value"], x), 3, -1)
    ]
    return np.concatenate([one_head(*head, causal) for head in zip(*parts, strict=True)], -1)


def one_head(query, key, value, causal):
    width = query.shape[-1]
    planes = lambda x: x[:, : width // 2] + 1j * x[:, width // 2 :]  # noqa: E731
    query, key = planes(query), planes(key)
    rates = (np.pi / 2 / WINDOW) ** (np.arange(width // 2) / (width // 2 - 1))
    mixed = []
    for t in range(len(query)):
        near = range(max(0, t - WINDOW), min(len(query), t + 1 + (0 if causal else WINDOW)))
        scores = [(query[t] * key[s].conj() * np.exp(1j * (t - s) * rates)).sum() for s in near]
        weights = np.exp(np.real(scores) / np.sqrt(width))
        mixed.append(weights @ value[list(near)] / weights.sum())
    return np.stack(mixed)


def written_out(params, x, heads, causal):
    """x: [frames, features]."""
    x = dense(params["project"], x)
    for block in params["blocks"].values():
        heard = attention(
            block["attention"], normalised(block["before_attention"], x), heads, causal
        )
        x = x + dense(block["attended"], heard)
        units = dense(block["units"], normalised(block["before_units"], x))
        x = x + dense(block["made"], np.maximum(units, 0))
    return normalised(params["norm"], x)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("width", "heads"), [(4, 1), (64, 2)])
def test_equals_the_transformer_written_out(width, heads, causal):
    settings = {"layers": 2, "attention": width, "window": WINDOW, "causal": causal}
    params, run = random(functools.partial(Transformer, FEATURES, HIDDEN, **settings))
    x = np.random.default_rng(1).normal(size=(20, 2, FEATURES)).astype(np.float32)
    ours = np.asarray(run(x))
    for song in range(2):
        expected = written_out(params, x[:, song].astype(np.float64), heads, causal)
        assert expected.std() > 0.3
        np.testing.assert_allclose(ours[:, song], expected, atol=2e-5)


def test_positions_are_as_exact_late_in_a_song_as_at_its_beginning():
    """Ten minutes in; float32 angles would put the products off by more than 1e-3."""
    window, late = 64, 25_000
    x = np.random.default_rng(0).normal(size=(2, 1, 2 * window, 16)).astype(np.float32)

    def products(x):
        query, key = (rotated(part, window=window)[0, -2 * window :] for part in x)
        return np.asarray(query @ key.T)

    early = products(x)
    assert np.abs(early - x[0, 0] @ x[1, 0].T).max() > 1  # they do know where they are
    np.testing.assert_allclose(
        products(np.pad(x, ((0, 0), (0, 0), (late, 0), (0, 0)))), early, atol=2e-5
    )


@pytest.fixture(scope="module", params=[True, False], ids=["both ways", "causal"])
def network(request):
    """Whether it looks ahead, and the whole encoder-decoder."""
    make = functools.partial(
        EncoderDecoder,
        features=FEATURES,
        embedding=6,
        hidden=HIDDEN,
        attention=4,
        window=WINDOW,
        head=8,
        outputs=3,
        bidirectional=request.param,
        encoder="transformer",
        layers=1,
    )
    return request.param, random(make)[1]


REACH = 3 * WINDOW  # of encoder, attention between, and decoder


def make_songs(frames, seed=0):
    return np.random.default_rng(seed).normal(size=(2, 1, frames, FEATURES)).astype(np.float32)


def test_a_frame_is_heard_as_far_as_the_windows_reach(network):
    """To both sides, or only later if causal; so blocks that overlap by as much are exact."""
    both_ways, run = network
    at, songs = 30, make_songs(60)
    changed = songs.copy()
    changed[1, :, at] += 3
    difference = np.abs(np.asarray(run(*changed) - run(*songs))[0]).max(-1)
    heard = np.flatnonzero(difference)
    # From the farthest frames of all three windows little may come.
    assert at + REACH - WINDOW < heard[-1] <= at + REACH
    if both_ways:
        assert at - REACH <= heard[0] < at - REACH + WINDOW
    else:
        assert heard[0] == at


def test_what_is_said_moves_with_the_songs(network):
    """It was never told where in a song it is; 300 frames are more than a chunk of attention."""
    _, run = network
    by, songs = 300, make_songs(500)
    later = np.concatenate([make_songs(by, seed=1), songs], axis=2)
    expected = np.asarray(run(*songs))[:, REACH:]
    assert expected.std() > 0.3
    np.testing.assert_allclose(run(*later)[:, by + REACH :], expected, atol=2e-5)
    # At the edges there is less to hear.
    edge = np.asarray(run(*later)[:, by : by + WINDOW] - run(*songs)[:, :WINDOW])
    assert np.abs(edge).max() > 1e-3
