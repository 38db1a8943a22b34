"""Inference: songs of any length in blocks of one compiled shape and bounded memory."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from mashjax.audio.resample import cut
from mashjax.nn.blockwise import Blockwise
from mashjax.nn.weights import Weights, fitted_config
from mashjax.tasks.mashup.config import Config, config_from_dict
from mashjax.tasks.mashup.examples import transform
from mashjax.tasks.mashup.masks import eased
from mashjax.tasks.mashup.model import HEADS, Networks, init_model

SHIPPED = pathlib.Path(__file__).parents[2] / "pretrained" / "mashup"


@dataclasses.dataclass(frozen=True)
class ModelState:
    """A model ready to use: its settings, parameters and statistics, and where it comes from."""

    cfg: Config
    params: dict[str, Any]
    statistics: dict[str, Any]
    metadata: dict[str, Any]

    @functools.cached_property
    def features(self) -> Callable:
        """A block of both songs' samples -> features of both networks; compiled once."""
        cfg, edge = self.cfg, _edge_frames(self.cfg)

        def features(statistics, songs, exists):
            spectra = transform(cfg, songs)[:, edge:-edge, : cfg.bands.bins]
            spectra = jnp.where(exists[:, None], spectra, 0)
            # One frame more than the block to either side: phases are compared with neighbours.
            seen = HEADS[cfg.head].features(cfg, statistics, spectra[:1], spectra[1:])
            return [jnp.concatenate(songs)[:, 1:-1] for songs in seen]

        return jax.jit(features)

    @functools.cached_property
    def networks(self) -> tuple[Blockwise, Blockwise]:
        """Magnitude and phase network, ready to run in blocks."""
        shapes = nnx.eval_shape(lambda: Networks(self.cfg, rngs=nnx.Rngs(0)))
        block = self.cfg.block_frames
        return Blockwise(shapes.magnitude, block=block), Blockwise(shapes.phase, block=block)

    @functools.cached_property
    def joined(self) -> Callable:
        """The phase network's features of a block, with the masks; compiled once."""
        cfg = self.cfg
        return jax.jit(
            lambda song1, song2, said: HEADS[cfg.head].with_masks(cfg, (song1, song2), said)
        )

    @functools.cached_property
    def result(self) -> Callable:
        """What both networks say of a block -> the head's result; compiled once."""
        cfg = self.cfg
        return jax.jit(lambda statistics, *said: HEADS[cfg.head].result(cfg, statistics, *said))


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
        eased(mask1),
        eased(mask2),
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


def from_weights(weights: Weights, *, name: str) -> ModelState:
    """A model from weights in memory; name: what to call them in an error.

    Raises UserError if they are of another task, or do not fit their own settings.
    """
    cfg = fitted_config(
        weights,
        task="mashup",
        name=name,
        config_from_dict=config_from_dict,
        init_model=init_model,
        statistics=lambda cfg: dict.fromkeys(("mean", "scale"), (cfg.bands.count,)),
    )
    return ModelState(cfg, weights.params, weights.statistics, weights.metadata)


def in_blocks(state: ModelState, y1: np.ndarray, y2: np.ndarray) -> list[np.ndarray]:
    """Every array of the head's result for two whole songs, each [frames, ...].

    Everything that JAX runs has the shape of one block; the result is that of one piece.
    """
    cfg = state.cfg
    if y1.shape != y2.shape or y1.ndim != 1:
        raise ValueError(f"two songs of one length are needed, got {y1.shape} and {y2.shape}")
    frames = cfg.stft.frames(len(y1))
    starts = range(0, frames, cfg.block_frames)
    songs = np.stack([_unit_level(y1), _unit_level(y2)])
    seen = [jax.device_get(_features(state, songs, start)) for start in starts]
    magnitude, phase = (np.concatenate(blocks, axis=1) for blocks in zip(*seen, strict=True))
    for_magnitude, for_phase = state.networks
    masks = for_magnitude(state.params["magnitude"], magnitude[:, :frames])
    joined = [_with_masks(state, phase, masks, start) for start in starts]
    phase = np.concatenate(joined, axis=1)[:, :frames]
    said = [masks, for_phase(state.params["phase"], phase)]
    blocks = [_result(state, said, start) for start in starts]
    return [np.concatenate(parts)[:frames] for parts in zip(*blocks, strict=True)]


def _features(state: ModelState, songs: np.ndarray, start: int) -> list[jax.Array]:
    """Features of the block that begins at frame `start`, of each network [2, block, features]."""
    cfg = state.cfg
    before = start - 1
    heard = _heard(cfg, songs, before, cfg.block_frames + 2)
    at = np.arange(before, before + cfg.block_frames + 2)
    exists = (at >= 0) & (at < cfg.stft.frames(songs.shape[-1]))
    return state.features(state.statistics, heard, exists)


def _with_masks(state: ModelState, phase: np.ndarray, masks: np.ndarray, start: int) -> np.ndarray:
    """What the phase network sees of a block, [2, block, features]; masks: [frames, outputs]."""
    stop = start + state.cfg.block_frames
    there = _padded(state.cfg, masks[start:stop])[None]
    return np.concatenate(state.joined(phase[:1, start:stop], phase[1:, start:stop], there))


def _result(state: ModelState, said: list[np.ndarray], start: int) -> list[np.ndarray]:
    stop = start + state.cfg.block_frames
    padded = [_padded(state.cfg, x[start:stop])[None] for x in said]
    return [array[0] for array in jax.device_get(state.result(state.statistics, *padded))]


def _padded(cfg: Config, x: np.ndarray) -> np.ndarray:
    """[frames, outputs], of the end of a song, as a whole block."""
    return np.pad(x, ((0, cfg.block_frames - len(x)), (0, 0)))


def _heard(cfg: Config, songs: np.ndarray, first: int, frames: int) -> np.ndarray:
    """The samples under some frames and their windows, [2, samples], zeros outside."""
    edge = _edge_frames(cfg)
    begin = (first - edge) * cfg.hop_length
    return cut(songs, start=begin, samples=(frames - 1 + 2 * edge) * cfg.hop_length)


def _edge_frames(cfg: Config) -> int:
    """Frames at either end of a piece whose windows reach over its end."""
    return -(-(cfg.n_fft // 2) // cfg.hop_length)


def _unit_level(y: np.ndarray) -> np.ndarray:
    rms = float(np.sqrt(np.mean(np.square(y, dtype=np.float64)))) if len(y) else 0.0
    return np.asarray(y, np.float32) / max(rms, 1e-4)


def _axes(cfg: Config, frames: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(frames) / cfg.stft.frame_rate, cfg.bands.frequencies
