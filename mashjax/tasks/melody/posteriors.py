"""What is sung in any sound: the shipped network's word on every 10 ms of it."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.audio.resample import cut, resample
from mashjax.nn.weights import Weights, fitted_config, read_weights
from mashjax.tasks.melody.config import Config, config_from_dict
from mashjax.tasks.melody.examples import levelled
from mashjax.tasks.melody.model import init_model, logits
from mashjax.tasks.melody.spectrum import PER_SEMITONE

SHIPPED = pathlib.Path(__file__).parents[2] / "pretrained" / "melody"

BLOCK, AROUND = 1600, 200
"""Frames judged at a time, and those heard before and after them: 16 s and 2 s."""


@dataclasses.dataclass(frozen=True)
class Posteriors:
    """Of every frame, what is sung.

    frame_seconds: frame t is centred on t * frame_seconds; note: float32 [frames, notes],
    probabilities of the MIDI numbers from `lowest` on, if a note sounds; onset: that one begins
    [frames], voicing: that one sounds [frames]; cents: how far the voice is from the nearest note
    of A = 440 Hz, -50..50 [frames], said of silence, too; f0: MIDI number [frames] of that pitch.
    """

    frame_seconds: float
    note: np.ndarray
    lowest: int
    onset: np.ndarray
    voicing: np.ndarray
    cents: np.ndarray
    f0: np.ndarray


@dataclasses.dataclass(frozen=True)
class ModelState:
    """A model ready to use."""

    cfg: Config
    params: dict[str, Any]
    statistics: dict[str, Any]
    metadata: dict[str, Any]

    @functools.cached_property
    def judge(self) -> Callable:
        """Sounds [batch, samples] -> note, onset, voicing and f0 of each frame, compiled once."""
        return jax.jit(functools.partial(judged, self.cfg))


def predict(state: ModelState, y: np.ndarray, *, sr: int) -> Posteriors:
    """What is sung in a sound.

    y: mono float32 [samples] at `sr` Hz, any length, at any level. Memory does not grow with the
    length, but for the posteriors: 270 bytes a frame.
    """
    cfg = state.cfg
    frames = max(1, round(len(y) / sr * cfg.sample_rate / cfg.hop_length))
    y = levelled(resample(y[None], sr_in=sr, sr_out=cfg.sample_rate)[0])
    hop, seen = cfg.hop_length, BLOCK + 2 * AROUND
    parts = []
    for first in range(0, frames, BLOCK):
        heard = cut(y, start=(first - AROUND) * hop, samples=(seen - 1) * hop)
        said = jax.device_get(state.judge(state.params, state.statistics, heard[None]))
        last = AROUND + min(BLOCK, frames - first)
        parts.append([x[0, AROUND:last] for x in said])
    note, onset, voicing, f0 = (np.concatenate(x) for x in zip(*parts, strict=True))
    cents = 100 * (f0 - np.round(f0))
    frame_seconds = hop / cfg.sample_rate
    return Posteriors(frame_seconds, note, cfg.lowest, onset, voicing, cents, f0)


def judged(cfg: Config, params: Any, statistics: Any, y: jax.Array) -> tuple[jax.Array, ...]:
    """note [batch, frames, notes], onset, voicing and f0 [batch, frames] of sounds, as levelled."""
    said = logits(cfg, params, statistics, y)
    return (
        jax.nn.softmax(said.note),
        jax.nn.sigmoid(said.onset),
        jax.nn.sigmoid(said.voicing),
        pitch_of(cfg, said.f0),
    )


def pitch_of(cfg: Config, f0: jax.Array) -> jax.Array:
    """MIDI numbers [...] of logits [..., thirds]: the mean around the most probable third."""
    near = jnp.arange(f0.shape[-1]) - jnp.argmax(f0, axis=-1, keepdims=True)
    weights = jax.nn.softmax(jnp.where(jnp.abs(near) <= 2, f0, -jnp.inf))
    third = jnp.sum(weights * jnp.arange(f0.shape[-1]), axis=-1)
    return cfg.lowest + (third - PER_SEMITONE // 2) / PER_SEMITONE


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
        task="melody",
        name=name,
        config_from_dict=config_from_dict,
        init_model=init_model,
        statistics=_statistics_shapes,
    )
    return ModelState(cfg, weights.params, weights.statistics, weights.metadata)


def _statistics_shapes(cfg: Config) -> dict[str, tuple[int, ...]]:
    return {"mean": (), "scale": (), "band_mean": (cfg.bands,), "band_scale": (cfg.bands,)}
