"""The embedding of any sound: the direction of its code."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.nn.weights import Weights, fitted_config, read_weights
from mashjax.tasks.autoencoder.config import Config, config_from_dict
from mashjax.tasks.autoencoder.description import size
from mashjax.tasks.autoencoder.examples import described, example_samples
from mashjax.tasks.autoencoder.model import encode, init_model

SHIPPED = pathlib.Path(__file__).parents[2] / "pretrained" / "autoencoder"


@dataclasses.dataclass(frozen=True)
class ModelState:
    """A model ready to use; frames: how many it was trained to describe at a time."""

    cfg: Config
    frames: int
    params: dict[str, Any]
    statistics: dict[str, Any]
    metadata: dict[str, Any]

    @functools.cached_property
    def codes(self) -> Callable:
        """Sounds [batch, samples] -> codes [batch, code], compiled once."""

        def codes(params, statistics, y):
            z = encode(self.cfg, params, statistics, described(self.cfg, statistics, y))
            # Halfway to whitened: between clips, directions of little variance count, but less.
            return z / jnp.sqrt(statistics["spread"])

        return jax.jit(codes)


def embed(state: ModelState, y: np.ndarray, *, sr: int) -> np.ndarray:
    """The embedding of a sound, [code], of unit length.

    y: mono float32 [samples] at `sr` Hz, any length; its level does not matter. It is the mean of
    as many windows as lie in it side by side; a shorter sound is repeated to fill one. Silence has
    an embedding, too.
    """
    from mashjax.audio.resample import resample

    y = resample(y, sr_in=sr, sr_out=state.cfg.sample_rate)
    window = example_samples(state.cfg, state.frames)
    if len(y) < window:
        y = np.resize(y, window)  # an empty one becomes zeros
    starts = np.linspace(0, len(y) - window, round(len(y) / window)).astype(int)
    # One at a time: one compiled shape for all lengths.
    codes = [state.codes(state.params, state.statistics, y[None, s : s + window]) for s in starts]
    code = np.mean(jax.device_get(codes), axis=(0, 1))
    return code / max(float(np.linalg.norm(code)), 1e-12)


@functools.cache
def shipped() -> ModelState:
    """The model that is part of the package."""
    return from_weights(read_weights(SHIPPED), name=str(SHIPPED))


def from_weights(weights: Weights, *, name: str) -> ModelState:
    """A model from weights in memory; name: what to call them in an error.

    Raises UserError if they are of another task, or do not fit their own settings.
    """
    cfg = fitted_config(
        weights,
        task="autoencoder",
        name=name,
        config_from_dict=config_from_dict,
        init_model=init_model,
        statistics=_statistics_shapes,
    )
    frames = weights.metadata["config"]["frames"]
    return ModelState(cfg, frames, weights.params, weights.statistics, weights.metadata)


def _statistics_shapes(cfg: Config) -> dict[str, tuple[int, ...]]:
    features = size(cfg)
    shapes: dict[str, tuple[int, ...]] = {"mean": (features,), "scale": (features,)}
    return shapes | {"basis": (features, cfg.code), "spread": (cfg.code,)}
