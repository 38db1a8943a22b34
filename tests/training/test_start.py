import dataclasses
import runpy

import numpy as np
import pytest

from mashjax.errors import UserError
from mashjax.training.config import as_dict
from mashjax.training.saved_step import Saved
from mashjax.training.start import take_over
from mashjax.training.step import TrainState


@pytest.mark.parametrize("name", ["melody", "melody_spectrogram", "genre_cnn", "tiny"])
def test_a_run_of_any_task_can_go_on_as_another(name):
    """Where its own settings are the same: not every task augments."""
    cfg = runpy.run_path(f"configs/{name}.py")["get_config"]()
    old, fresh = np.float32(3), TrainState(np.int32(0), {"a": {"w": 0.0}}, {"a": {"w": 0.0}}, ())
    arrays = {"ema/a/w": old, "statistics/mean": np.float32(2)}
    source = Saved(7, arrays, {"task": cfg.task, "config": as_dict(cfg)})
    begun, statistics = take_over(cfg, source, fresh, store=None, where="run")
    assert begun.params["a"]["w"] == begun.ema["a"]["w"] == old and begun.step == 0
    assert statistics == {"mean": 2}
    field = next(x.name for x in dataclasses.fields(cfg.model) if x.type in (int, "int"))
    other = dataclasses.replace(cfg.model, **{field: getattr(cfg.model, field) * 2})
    with pytest.raises(UserError, match=f"run: was trained with model.{field}="):
        take_over(dataclasses.replace(cfg, model=other), source, fresh, store=None, where="run")
