"""A model ready to use, and what it says of a track that is in no store."""

import dataclasses
from typing import Any

import numpy as np

from mashjax.data.store import decode, encode
from mashjax.data.track_rows import row_of
from mashjax.data.tracks import Track
from mashjax.errors import UserError
from mashjax.nn.weights import Weights, fitted_config
from mashjax.tasks.genre.config import Config, config_from_dict
from mashjax.tasks.genre.evaluate import Predictions, predictions
from mashjax.tasks.genre.examples import CHANNELS, DECILES
from mashjax.tasks.genre.model import init_model

CALIBRATION = "calibration"
"""In a checkpoint's metadata: "temperature" and "threshold" as `calibration.calibrated` found."""


@dataclasses.dataclass(frozen=True)
class ModelState:
    """A model ready to use.

    temperature: what logits are divided by; threshold: of the most probable genre, below which a
    song counts as unknown.
    """

    cfg: Config
    params: dict[str, Any]
    statistics: dict[str, Any]
    metadata: dict[str, Any]

    @property
    def calibrated(self) -> bool:
        return CALIBRATION in self.metadata

    @property
    def temperature(self) -> float:
        return float(self.metadata.get(CALIBRATION, {}).get("temperature", 1.0))

    @property
    def threshold(self) -> float:
        return float(self.metadata.get(CALIBRATION, {}).get("threshold", 0.0))


def predict(state: ModelState, tracks: list[Track]) -> Predictions:
    """What the network says of tracks; their own genres are not looked at.

    Raises:
      UserError: a track has no segments.
    """
    if not tracks:
        raise UserError("no songs to say anything of")
    cfg = state.cfg
    rows = [row_of(t, cfg.words, genres=cfg.genres, segments=cfg.segments) for t in tracks]
    # As a store would give them; one at a time: one compiled shape for any number.
    batches = (decode(encode(row[None])) for row in rows)
    return predictions(cfg, state.params, state.statistics, batches)


def tempered(log_probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities [..., genres] of log probabilities divided by a temperature."""
    x = log_probabilities / temperature
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def from_weights(weights: Weights, *, name: str) -> ModelState:
    """A model from weights in memory; name: what to call them in an error.

    Raises UserError if they are of another task, or do not fit their own settings.
    """
    cfg = fitted_config(
        weights,
        task="genre",
        name=name,
        config_from_dict=config_from_dict,
        init_model=init_model,
        statistics=_statistics_shapes,
    )
    return ModelState(cfg, weights.params, weights.statistics, weights.metadata)


def _statistics_shapes(cfg: Config) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "mean": (CHANNELS,),
        "scale": (CHANNELS,),
        "prior": (len(cfg.names),),
        "deciles": (DECILES - 1,),
    }
    if cfg.reads:
        words = 1 + cfg.vocabulary
        shapes |= {"rarity": (words,), "vectors": (words, cfg.topics)}
        shapes |= {"centre": (cfg.topics,), "spread": (cfg.topics,)}
    return shapes
