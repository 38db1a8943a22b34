"""The network against the same one written out, in bfloat16, and with less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend import core

from mashjax.nn.encoder_decoder import EncoderDecoder

BATCH, FRAMES, FEATURES, HIDDEN, WINDOW = 2, 7, 5, 4, 3
TRANSFORMER = {"encoder": "transformer", "layers": 2, "attention": 4}


def make(bidirectional=False, **options):
    """A network and random parameters, large enough for every path to reach the output."""
    sizes = {"hidden": HIDDEN, "attention": 3, "window": WINDOW, "head": 8, "outputs": 3}
    settings = {"features": FEATURES, "embedding": 6, **sizes, **options}
    network = EncoderDecoder(**settings, bidirectional=bidirectional, rngs=nnx.Rngs(0))
    graph, params = nnx.split(network, nnx.Param)
    rng = np.random.default_rng(0)
    stir = lambda leaf: np.asarray(leaf + 0.3 * rng.normal(size=leaf.shape), np.float32)  # noqa: E731
    params = jax.tree.map(stir, nnx.to_pure_dict(params))
    return params, lambda params, songs: nnx.merge(graph, nnx.State(params))(*songs)


def make_songs(features=FEATURES, frames=FRAMES):
    return np.random.default_rng(1).normal(size=(2, BATCH, frames, features)).astype(np.float32)


def gradients(run, params, songs):
    """Of a loss in which every output has a weight of its own."""

    def loss(params):
        said = run(params, songs)
        return jnp.mean(jnp.sin(jnp.arange(said.size).reshape(said.shape)) * said)

    return jax.jit(jax.grad(loss))(params)


def dense(layer, x):
    return x @ layer["kernel"] + layer.get("bias", 0)


def lstm(layer, x, h, c, reverse):
    outputs = []
    for t in reversed(range(FRAMES)) if reverse else range(FRAMES):
        z = x[:, t] @ layer["kernel"] + layer["bias"] + h @ layer["recurrent"]
        i, f, g, o = jnp.split(z, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        outputs.append(h)
    return jnp.stack(outputs[::-1] if reverse else outputs, 1), h, c


def written_out(params, songs):
    """Every layer over all that it sees, song after song, with attention over all pairs of
    frames and a mask."""
    zeros = jnp.zeros((BATCH, HIDDEN))
    heard = [
        [
            lstm(layer, jax.nn.relu(dense(params["embed"], song)), zeros, zeros, name == "backward")
            for name, layer in sorted(params["encoder"].items(), reverse=True)
        ]
        for song in songs
    ]
    encoded = jnp.concatenate([way[0] for song in heard for way in song], -1)
    query, key, value = jnp.split(dense(params["attention"]["query_key_value"], encoded), 3, -1)
    scores = query @ key.swapaxes(1, 2) / query.shape[-1] ** 0.5
    at = jnp.arange(FRAMES)
    near = jnp.abs(at[:, None] - at) <= WINDOW
    attended = jax.nn.softmax(jnp.where(near, scores, -jnp.inf)) @ value
    bridged = jax.nn.relu(dense(params["bridge"], jnp.concatenate([encoded, attended], -1)))
    decoded = []
    for way, (name, layer) in enumerate(sorted(params["decoder"].items(), reverse=True)):
        last = [jnp.concatenate([song[way][1 + part] for song in heard], -1) for part in (0, 1)]
        first = jnp.tanh(dense(params["first_h"], last[0])), dense(params["first_c"], last[1])
        decoded.append(lstm(layer, bridged, *first, name == "backward")[0])
    seen = jnp.concatenate([*decoded, bridged, *songs], -1)
    return dense(params["head"], jax.nn.relu(dense(params["hidden"], seen)))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_equals_the_network_written_out(bidirectional):
    songs = make_songs()
    params, run = make(bidirectional)
    expected = jax.jit(written_out)(params, songs)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(jax.jit(run)(params, songs), expected, atol=1e-5)
    theirs = gradients(written_out, params, songs)
    for remat in (False, True):
        ours = gradients(make(bidirectional, remat=remat)[1], params, songs)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())


def test_a_transformer_with_less_memory_learns_the_same():
    songs = make_songs()
    params, run = make(True, **TRANSFORMER)
    theirs = gradients(run, params, songs)
    ours = gradients(make(True, remat=True, **TRANSFORMER)[1], params, songs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.isfinite(b).all()
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("coder", [{}, TRANSFORMER], ids=["lstm", "transformer"])
def test_bfloat16_is_close_to_float32(coder):
    """8 bits of each factor: each product is within 2^-8, sums of many are closer."""
    songs = make_songs()
    params, run = make(**coder)
    narrow = make(dtype="bfloat16", **coder)[1]
    expected, ours = jax.jit(run)(params, songs), jax.jit(narrow)(params, songs)
    assert ours.dtype == jnp.float32
    error = np.linalg.norm(ours - expected) / np.linalg.norm(expected)
    assert 1e-4 < error < 2e-2  # and it is not float32


def test_gradients_in_bfloat16_point_the_same_way():
    """Of LSTMs. A Transformer this small is too rough for it; its products are looked at below."""
    songs = make_songs()
    params, run = make()
    narrow = make(dtype="bfloat16")[1]
    both = gradients(run, params, songs), gradients(narrow, params, songs)
    for name in params:
        a, b = (np.concatenate([x.ravel() for x in jax.tree.leaves(g[name])]) for g in both)
        assert a @ b > 0.99 * np.linalg.norm(a) * np.linalg.norm(b), name


@pytest.mark.parametrize("coder", [{}, TRANSFORMER], ids=["lstm", "transformer"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_product_is_of_the_type_asked_for(dtype, coder):
    """Forwards and backwards, in loops, too; sums and everything else are float32."""
    params, run = make(True, dtype=dtype, remat=True, **coder)
    jaxpr = jax.make_jaxpr(lambda p: gradients(run, p, make_songs()))(params)
    products = [eqn for eqn in equations(jaxpr.jaxpr) if eqn.primitive.name == "dot_general"]
    assert len(products) > 50
    assert {str(x.aval.dtype) for eqn in products for x in eqn.invars} == {dtype}
    assert {str(x.aval.dtype) for eqn in products for x in eqn.outvars} == {"float32"}
    between = [eqn for eqn in equations(jaxpr.jaxpr) if eqn.primitive.name in ("tanh", "exp")]
    assert {str(eqn.outvars[0].aval.dtype) for eqn in between} == {"float32"}


def equations(jaxpr):
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in core.jaxprs_in_params(eqn.params):
            yield from equations(inner)
