"""Every optimiser takes a downhill step of its own kind."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

from mashjax.training.config import METHODS, Optim
from mashjax.training.step import optimiser


def after(cfg, optim: Optim, steps: int = 30) -> float:
    """How far parameters that began at 1 are from 0, where their gradient points away from it."""
    tx = optimiser(dataclasses.replace(cfg, optim=optim, steps=1000))
    params = {"magnitude": {"w": np.ones(4, np.float32)}, "phase": {"w": np.ones(2, np.float32)}}
    state = tx.init(params)
    for _ in range(steps):
        updates, state = tx.update(params, state, params)
        params = optax.apply_updates(params, updates)
    return float(np.linalg.norm(jax.tree.leaves(params)[0]) / 2)


@pytest.mark.parametrize("method", METHODS)
def test_parameters_go_down(tiny, method):
    rates = [after(tiny, Optim(method=method, learning_rate=r, warmup=1)) for r in (1e-3, 1e-2)]
    assert rates[1] < 0.9 and rates[1] < rates[0] < 1


def test_they_differ(tiny):
    found = [after(tiny, Optim(method=m, learning_rate=1e-2, warmup=1)) for m in METHODS]
    assert len({round(x, 3) for x in found}) == len(METHODS)
