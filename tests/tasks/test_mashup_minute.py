"""What a minute of the students' networks, 2,584 frames in one piece, takes to train."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import pytest

from mashjax.tasks.mashup.model import init_model, said
from mashjax.train import read_config

CONFIG = pathlib.Path(__file__).parents[2] / "configs" / "students.py"


@pytest.mark.slow
def test_a_minute_fits_and_remat_saves_a_fifth():
    cfg = read_config(str(CONFIG))
    songs = [jax.ShapeDtypeStruct((cfg.batch_size, cfg.frames, 1025), jnp.float32)] * 2

    def memory(**changes):
        model = dataclasses.replace(cfg.model, **changes)
        params = jax.eval_shape(lambda: init_model(model, jax.random.key(0)))
        loss = lambda params, *songs: sum(map(jnp.sum, said(model, params, songs, songs)))  # noqa: E731
        compiled = jax.jit(jax.value_and_grad(loss)).lower(params, *songs).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    plain = memory()
    # Scores of all pairs of frames alone would be 53 MB for each network and pass.
    assert plain < 1.5e9
    assert memory(remat=True) < 0.8 * plain
