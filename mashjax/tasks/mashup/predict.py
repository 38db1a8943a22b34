"""Inference: songs of any length in blocks of one compiled shape and bounded memory."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from mashjax.errors import UserError
from mashjax.nn.weights import Weights, flatten, read_weights
from mashjax.tasks.mashup.config import Config, config_from_dict
from mashjax.tasks.mashup.examples import transform
from mashjax.tasks.mashup.model import apply, init_model

SHIPPED = pathlib.Path(__file__).parents[2] / "pretrained" / "mashup"
FADE_FRAMES = 16  # from one block to the next
BLOCKS_PER_CALL = 4  # blocks side by side fill the cores that one recurrence leaves idle


@dataclasses.dataclass(frozen=True)
class ModelState:
    """A model ready to use: its settings, parameters and statistics, and where it comes from."""

    cfg: Config
    params: dict[str, Any]
    statistics: dict[str, Any]
    metadata: dict[str, Any]

    @functools.cached_property
    def run(self) -> Callable:
        """Blocks of both songs' samples -> the head's result; compiled once."""
        cfg = self.cfg

        def run(params, statistics, songs):
            edge = _edge_frames(cfg)
            spectra = transform(cfg, songs)[..., edge:-edge, : cfg.bands.bins]
            return apply(cfg, params, statistics, *spectra)

        return jax.jit(run)


@dataclasses.dataclass(frozen=True)
class Masks:
    """What to keep of each song, and how far to turn its phase.

    mask1, mask2: 0..1 [frames, bands]; rotation1, rotation2: radians [frames, bands];
    times: the frames' centres in seconds; frequencies: the bands' centres in Hz.
    """

    mask1: np.ndarray
    mask2: np.ndarray
    rotation1: np.ndarray
    rotation2: np.ndarray
    times: np.ndarray
    frequencies: np.ndarray


@dataclasses.dataclass(frozen=True)
class Direct:
    """A painted mashup of two songs of RMS 1: magnitude and phase (radians) [frames, bins]."""

    magnitude: np.ndarray
    phase: np.ndarray
    times: np.ndarray
    frequencies: np.ndarray


def predict(state: ModelState, y1: np.ndarray, y2: np.ndarray) -> Masks:
    """The masks and rotations for two aligned songs.

    y1, y2: mono float32 [samples] at `state.cfg.sample_rate`, equally long, any length; their
    levels do not matter. Raises ValueError if the model paints instead (see `predict_direct`).
    """
    if state.cfg.head != "mask":
        raise ValueError(f"a model with head={state.cfg.head!r} has no masks")
    mask1, mask2, rotation1, rotation2 = in_blocks(state, y1, y2)
    # Wide bands hold many phases and are not turned.
    still = ((0, 0), (0, state.cfg.bands.count - state.cfg.bands.linear))
    return Masks(
        mask1,
        mask2,
        np.pad(rotation1, still),
        np.pad(rotation2, still),
        *_axes(state.cfg, len(mask1)),
    )


def predict_direct(state: ModelState, y1: np.ndarray, y2: np.ndarray) -> Direct:
    """The painted mashup of two aligned songs; arguments as for `predict`."""
    if state.cfg.head != "direct":
        raise ValueError(f"a model with head={state.cfg.head!r} does not paint")
    log_power, phase = in_blocks(state, y1, y2)
    magnitude = 10 ** (log_power / 2) * (0.375 * state.cfg.n_fft) ** 0.5
    return Direct(magnitude, phase, *_axes(state.cfg, len(phase)))


def load(directory: str | os.PathLike | None = None) -> ModelState:
    """A model from an exported checkpoint; None: the one shipped in the package.

    Raises UserError if the folder is not a checkpoint, is of another task, is damaged, or holds
    arrays that do not fit its settings.
    """
    directory = SHIPPED if directory is None else directory
    return from_weights(read_weights(directory), name=str(directory))


def from_weights(weights: Weights, *, name: str) -> ModelState:
    """A model from weights in memory; name: what to call them in an error. Raises as `load`."""
    task = weights.metadata.get("task")
    if task != "mashup":
        raise UserError(f"{name}: a checkpoint of the task {task!r}, not of 'mashup'")
    try:
        cfg = config_from_dict(weights.metadata["config"]["model"])
        wanted = jax.eval_shape(lambda: init_model(cfg, jax.random.key(0)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{name}: its settings cannot be read: {error}") from error
    bands = (cfg.bands.count,)
    _compare(
        {path: leaf.shape for path, leaf in flatten(wanted).items()}
        | {"mean": bands, "scale": bands},
        {path: leaf.shape for path, leaf in flatten(weights.params | weights.statistics).items()},
        f"{name}: its arrays do not fit its settings (n_fft={cfg.n_fft}, {cfg.bands.count} bands)",
    )
    return ModelState(cfg, weights.params, weights.statistics, weights.metadata)


def in_blocks(state: ModelState, y1: np.ndarray, y2: np.ndarray) -> list[np.ndarray]:
    """Every array of the head's result for two whole songs, each [frames, ...].

    Blocks overlap by twice `margin_frames`; in the middle of the overlap one is cross-faded into
    the next. Songs begin and end as in one piece.
    """
    cfg = state.cfg
    if y1.shape != y2.shape or y1.ndim != 1:
        raise ValueError(f"two songs of one length are needed, got {y1.shape} and {y2.shape}")
    frames = cfg.stft.frames(len(y1))
    starts = block_starts(cfg, frames)
    songs = np.stack([_unit_level(y1), _unit_level(y2)])
    merged: list[np.ndarray] = []
    total = np.zeros((frames, 1), np.float32)
    for first in range(0, len(starts), BLOCKS_PER_CALL):
        some = starts[first : first + BLOCKS_PER_CALL]
        padded = some + [frames] * (BLOCKS_PER_CALL - len(some))  # beyond the end: silence
        blocks = np.stack([_cut(cfg, songs, start) for start in padded], axis=1)
        results = jax.device_get(state.run(state.params, state.statistics, blocks))
        merged = merged or [np.zeros((frames, r.shape[-1]), np.float32) for r in results]
        for row, start in enumerate(some):
            stop = min(start + cfg.block_frames, frames)
            weight = _fade(cfg, start, stop, frames)[:, None]
            total[start:stop] += weight
            for whole, result in zip(merged, results, strict=True):
                whole[start:stop] += weight * result[row, : stop - start]
    return [whole / total for whole in merged]


def block_starts(cfg: Config, frames: int) -> list[int]:
    """The first frame of each block; the last block ends with the song if the song is longer."""
    step = cfg.block_frames - 2 * cfg.margin_frames
    last = max(0, frames - cfg.block_frames)
    return [*range(0, last, step), last]


def _cut(cfg: Config, songs: np.ndarray, start: int) -> np.ndarray:
    """The samples under one block's frames and their windows, [2, samples], zeros outside."""
    edge = _edge_frames(cfg)
    begin = (start - edge) * cfg.hop_length
    length = (cfg.block_frames - 1 + 2 * edge) * cfg.hop_length
    inside = songs[:, max(0, begin) : max(0, begin + length)]
    before = max(0, -begin)
    return np.pad(inside, ((0, 0), (before, length - before - inside.shape[1])))


def _edge_frames(cfg: Config) -> int:
    """Frames at either end of a piece whose windows reach over its end."""
    return -(-(cfg.n_fft // 2) // cfg.hop_length)


def _fade(cfg: Config, start: int, stop: int, frames: int) -> np.ndarray:
    """A block's weight per frame: a short ramp from 0 to 1 in the middle of either overlap."""
    at = np.arange(start, stop, dtype=np.float32)
    weight = np.ones(stop - start, np.float32)
    if start > 0:
        weight = np.clip((at - start - cfg.margin_frames) / FADE_FRAMES + 0.5, 0, 1)
    if stop < frames:
        weight *= np.clip((stop - at - cfg.margin_frames) / FADE_FRAMES + 0.5, 0, 1)
    return weight


def _unit_level(y: np.ndarray) -> np.ndarray:
    rms = float(np.sqrt(np.mean(np.square(y, dtype=np.float64)))) if len(y) else 0.0
    return np.asarray(y, np.float32) / max(rms, 1e-4)


def _axes(cfg: Config, frames: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(frames) / cfg.stft.frame_rate, cfg.bands.frequencies


def _compare(wanted: dict[str, tuple], found: dict[str, tuple], what: str) -> None:
    for path in sorted(set(wanted) | set(found)):
        if wanted.get(path) != found.get(path):
            raise UserError(f"{what}: {path} should be {wanted.get(path)} and is {found.get(path)}")
