"""A piano for any voice: painted and made sound in blocks, however long it is."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from mashjax.audio.resample import cut, fit, resample
from mashjax.nn.weights import Weights, fitted_config
from mashjax.tasks.melody.examples import levelled
from mashjax.tasks.melody_spectrogram.config import Config, config_from_dict
from mashjax.tasks.melody_spectrogram.model import init_model, painted, sound

BLOCK, AROUND = 1600, 200
"""Frames painted at a time, and those heard before and after them: 16 s and 2 s."""

SEAM, CHOICE = 4, 400
"""Frames over which one block's sound gives way to the next one's, and frames of which it does so
in the quietest: phases that were found apart would take from each other where it is loud."""


@dataclasses.dataclass(frozen=True)
class ModelState:
    """A model ready to use."""

    cfg: Config
    params: dict[str, Any]
    statistics: dict[str, Any]
    metadata: dict[str, Any]

    @functools.cached_property
    def paint(self) -> Callable:
        """Sounds [batch, samples] -> looks, compiled once."""
        return jax.jit(functools.partial(painted, self.cfg))

    @functools.cached_property
    def sound(self) -> Callable:
        """Looks [batch, frames, bins] -> sounds [batch, samples], compiled once."""
        hop = self.cfg.hop_length
        return jax.jit(
            lambda statistics, look: sound(
                self.cfg, statistics, look, length=(look.shape[1] - 1) * hop
            )
        )


def from_weights(weights: Weights, *, name: str) -> ModelState:
    """A model from weights in memory; name: what to call them in an error.

    Raises UserError if they are of another task, or do not fit their own settings.
    """
    cfg = fitted_config(
        weights,
        task="melody_spectrogram",
        name=name,
        config_from_dict=config_from_dict,
        init_model=init_model,
        statistics=_statistics_shapes,
    )
    return ModelState(cfg, weights.params, weights.statistics, weights.metadata)


def play(state: ModelState, y: np.ndarray, *, sr: int) -> np.ndarray:
    """The piano that is painted for a voice, float32 [samples] at `sr` Hz, as long as the voice.

    y: mono float32 [samples], at any level. There is nothing above the model's own Nyquist.
    """
    cfg = state.cfg
    voice = levelled(resample(y[None], sr_in=sr, sr_out=cfg.sample_rate)[0])
    played = np.zeros(len(voice) + cfg.hop_length, np.float32)
    for start, part in _parts(state, _look(state, voice)):
        end = min(start + len(part), len(played))
        played[start:end] += part[: end - start]
    found = resample(played[None, : len(voice)], sr_in=cfg.sample_rate, sr_out=sr)[0]
    return fit(found, samples=len(y))


def _look(state: ModelState, voice: np.ndarray) -> np.ndarray:
    """[frames, bins], one frame more than there are hops."""
    hop, seen = state.cfg.hop_length, BLOCK + 2 * AROUND
    frames, looks = 1 + len(voice) // hop, []
    for first in range(0, frames, BLOCK):
        heard = cut(voice, start=(first - AROUND) * hop, samples=(seen - 1) * hop)
        look = state.paint(state.params, state.statistics, heard[None])[0]
        looks.append(np.asarray(look[AROUND : AROUND + min(BLOCK, frames - first)]))
    return np.concatenate(looks)


def _parts(state: ModelState, look: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Sounds that add up to the whole, and the samples at which they begin."""
    hop, frames = state.cfg.hop_length, len(look)
    silent = -state.statistics["painted_mean"] / state.statistics["painted_scale"]
    rise = ((np.arange(SEAM * hop) + 0.5) / (SEAM * hop)).astype(np.float32)
    first = 0
    while first < frames:
        last = min(first + BLOCK, frames)
        if last < frames:
            last -= CHOICE - int(look[last - CHOICE : last].sum(axis=1).argmin())
        # A margin of silence around it, and the next block's first frames, which it gives way to.
        block = np.full((BLOCK + 4 * SEAM, look.shape[1]), silent, np.float32)
        own = look[max(0, first - SEAM) : last + 2 * SEAM]
        before = first - max(0, first - SEAM)
        block[SEAM - before : SEAM - before + len(own)] = own
        y = np.array(state.sound(state.statistics, block[None])[0])[SEAM * hop :]
        y = y[: (last - first + SEAM) * hop]
        if first:
            y[: SEAM * hop] *= rise
        if last < frames:
            y[-SEAM * hop :] *= 1 - rise
        yield first * hop, y
        first = last


def _statistics_shapes(cfg: Config) -> dict[str, tuple[int, ...]]:
    bands = (cfg.heard.bands,)
    scalars = {name: () for name in ("mean", "scale", "painted_mean", "painted_scale")}
    return {**scalars, "band_mean": bands, "band_scale": bands}
