"""The autoencoder task: what a few seconds of sound are like, in 64 numbers.

A description of the sound (`description`) goes through a code and comes back. The code's direction
is the embedding by which a library's segments are compared, grouped and drawn: no labels are
needed. What is described is a song, the sum of its sources.
"""

from mashjax.tasks.autoencoder.config import Config, config_from_dict, fitted
from mashjax.tasks.autoencoder.embedding import SHIPPED, ModelState, embed, from_weights, shipped
from mashjax.tasks.autoencoder.evaluate import (
    SCORE,
    VALIDATION,
    derived,
    evaluate,
    headline,
    samples,
)
from mashjax.tasks.autoencoder.examples import example_samples, read_samples, statistics
from mashjax.tasks.autoencoder.model import init_model, loss_fn
from mashjax.tasks.autoencoder.picture import draw_scores

__all__ = [
    "SCORE",
    "SHIPPED",
    "VALIDATION",
    "Config",
    "ModelState",
    "config_from_dict",
    "derived",
    "draw_scores",
    "embed",
    "evaluate",
    "example_samples",
    "fitted",
    "from_weights",
    "headline",
    "init_model",
    "loss_fn",
    "read_samples",
    "samples",
    "shipped",
    "statistics",
]
