"""A tiny network and songs of a few seconds, shared by the tests of the mashup task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mashjax.tasks import mashup
from mashjax.tasks.mashup.config import Network
from mashjax.tasks.mashup.examples import make_example


@pytest.fixture(scope="session")
def cfg():
    return mashup.Config(
        sample_rate=8000,
        n_fft=512,
        hop_length=128,
        linear_bins=40,
        log_bands=16,
        top_hz=3500.0,
        magnitude=Network(embedding=12, hidden=8, attention=4, window=8, head=16),
        phase=Network(embedding=8, hidden=6, attention=4, window=8, head=16),
        block_frames=160,
    )


def make_sources(seed: int, *, batch: int = 4, seconds: float = 1.5, sr: int = 8000) -> np.ndarray:
    """Pulsing tones as leads, decaying noise as backings: [batch, 4, samples]."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * sr)) / sr

    def lead():
        partials = [np.sin(2 * np.pi * rng.uniform(200, 900) * k * t) / k for k in (1, 2, 3)]
        return sum(partials) * (np.sin(2 * np.pi * rng.uniform(1, 3) * t) > 0)

    def backing():
        return rng.normal(size=len(t)) * np.exp(-8 * (t * rng.uniform(2, 4) % 1))

    sources = [[lead(), backing(), lead(), backing()] for _ in range(batch)]
    return np.asarray(0.1 * np.asarray(sources), np.float32)


@pytest.fixture(scope="session")
def synthesise():
    return make_sources


@pytest.fixture(scope="session")
def sources():
    return make_sources(0)


@pytest.fixture(scope="session")
def mashups(sources):
    """The same music as somebody's mashups: [batch, label and two originals, samples]."""
    lead1, backing1, lead2, backing2 = np.moveaxis(sources, 1, 0)
    return np.stack([lead1 + backing2, lead1 + backing1, lead2 + backing2], axis=1)


@pytest.fixture(scope="session")
def statistics(cfg, sources):
    return mashup.statistics(cfg, [sources])


@pytest.fixture(scope="session")
def example(cfg, sources):
    return jax.jit(lambda sources: make_example(cfg, sources))(sources)


@pytest.fixture(scope="session")
def fresh(cfg, statistics):
    """A model before training: a clean overlay."""
    params = mashup.init_model(cfg, jax.random.key(0))
    return mashup.ModelState(cfg, params, statistics, {})


@pytest.fixture(scope="session")
def lively(fresh):
    """A model whose masks and rotations go up and down with what it hears, as after training."""
    rng = np.random.default_rng(0)

    def stir(path, leaf):
        spread = 1.0 if path[-2].key in ("head", "last") else 0.03
        return leaf + jnp.asarray(rng.normal(size=leaf.shape) * spread, jnp.float32)

    params = jax.tree_util.tree_map_with_path(stir, fresh.params)
    return mashup.ModelState(fresh.cfg, params, fresh.statistics, {})
