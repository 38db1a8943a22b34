"""Both networks in the same loops: what each says alone, in half as many iterations."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mashjax.errors import UserError
from mashjax.tasks.mashup.config import Config, Network
from mashjax.tasks.mashup.model import init_model, said
from mashjax.training.flops import cost

SIZE = Network(embedding=12, hidden=8, attention=4, window=4, head=12, bidirectional=True)


@pytest.mark.parametrize("encoder", ["lstm", "transformer"])
def test_stacked_networks_say_and_learn_the_same(encoder):
    size = dataclasses.replace(SIZE, encoder=encoder)
    cfg = Config(n_fft=64, linear_bins=33, log_bands=0, head="direct", magnitude=size, phase=size)
    params = init_model(cfg, jax.random.key(0))
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: np.asarray(x + 0.2 * rng.normal(size=x.shape), np.float32), params
    )
    songs = rng.normal(size=(2, 2, 3, 20, 33)).astype(np.float32)

    def loss(cfg):
        def of(params):
            both = said(cfg, params, tuple(songs[0]), tuple(songs[1]))
            return sum(jnp.mean((n + 1) * jnp.sin(x)) for n, x in enumerate(both))

        return jax.jit(jax.value_and_grad(of))

    apart, together = (loss(dataclasses.replace(cfg, stacked=s)) for s in (False, True))
    for a, b in zip(jax.tree.leaves(apart(params)), jax.tree.leaves(together(params)), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)
    assert cost(together, params).iterations == cost(apart, params).iterations / 2


def test_networks_of_two_sizes_cannot_be_stacked():
    cfg = Config(stacked=True)
    songs = (np.zeros((1, 4, cfg.bands.count), np.float32),) * 2
    with pytest.raises(UserError, match="both networks must be of one size"):
        said(cfg, init_model(cfg, jax.random.key(0)), songs, songs)


def test_other_types_are_named():
    with pytest.raises(UserError, match=r"model\.dtype='float16': say float32 or bfloat16"):
        init_model(Config(dtype="float16"), jax.random.key(0))
