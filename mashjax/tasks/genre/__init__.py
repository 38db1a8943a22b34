"""The genre task: what a song is, told from its segments' harmony and timbre and from its words.

Three networks (`networks`) read a row of a store of tracks. The layer under the classes, of 50
numbers, is the song's place on a map of songs; a second head says how popular it is.
"""

from mashjax.tasks.genre.config import Augment, Config, config_from_dict, fitted
from mashjax.tasks.genre.evaluate import (
    SCORE,
    VALIDATION,
    Predictions,
    derived,
    evaluate,
    headline,
    predictions,
    samples,
)
from mashjax.tasks.genre.examples import example_samples, read_samples, statistics
from mashjax.tasks.genre.model import init_model, loss_fn
from mashjax.tasks.genre.picture import draw_scores
from mashjax.tasks.genre.prediction import ModelState, from_weights, predict, tempered

__all__ = [
    "SCORE",
    "VALIDATION",
    "Augment",
    "Config",
    "ModelState",
    "Predictions",
    "config_from_dict",
    "derived",
    "draw_scores",
    "evaluate",
    "example_samples",
    "fitted",
    "from_weights",
    "headline",
    "init_model",
    "loss_fn",
    "predict",
    "predictions",
    "read_samples",
    "samples",
    "statistics",
    "tempered",
]
