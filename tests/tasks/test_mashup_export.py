"""Inference as a program without Python."""

import pathlib
import runpy

import jax
import numpy as np
import pytest

from mashjax.tasks import mashup
from mashjax.tasks.mashup.examples import transform
from mashjax.tasks.mashup.model import apply

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("encoder", ["lstm", "transformer"])
def test_inference_exports_for_every_platform(encoder):
    """A block's masks, without Python: what is written on a CPU runs on a TPU or a GPU."""
    cfg = runpy.run_path(str(CONFIGS / "tiny.py"))["get_config"]().model
    cfg.magnitude.encoder = cfg.phase.encoder = encoder
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: np.float32(0.2 * rng.normal(size=leaf.shape)),
        jax.eval_shape(lambda: mashup.init_model(cfg, jax.random.key(0))),
    )
    statistics = {"mean": np.zeros(cfg.bands.count, np.float32)}
    statistics["scale"] = np.ones(cfg.bands.count, np.float32)
    samples = (cfg.block_frames - 1) * cfg.hop_length
    songs = rng.normal(size=(2, samples)).astype(np.float32)

    def masks(params, statistics, songs):
        spectra = transform(cfg, songs)[..., : cfg.bands.bins]
        return tuple(apply(cfg, params, statistics, spectra[:1], spectra[1:]))

    exported = jax.export.export(jax.jit(masks), platforms=["cpu", "tpu", "cuda"])(
        params, statistics, songs
    )
    again = jax.export.deserialize(exported.serialize())
    assert again.platforms == ("cpu", "tpu", "cuda")
    found = again.call(params, statistics, songs)
    for ours, theirs in zip(found, jax.jit(masks)(params, statistics, songs), strict=True):
        assert np.ptp(ours) > 0.3
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
