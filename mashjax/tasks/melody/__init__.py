"""The melody task: which notes a voice sings, frame by frame.

It learns from stores of --layout=melody. What a frame may be is in `Posteriors`; to make notes of
them is `mashjax.music`'s.
"""

from mashjax.tasks.melody.config import Config, config_from_dict, fitted
from mashjax.tasks.melody.evaluate import (
    SCORE,
    VALIDATION,
    derived,
    evaluate,
    headline,
    samples,
)
from mashjax.tasks.melody.examples import example_samples, read_samples, statistics
from mashjax.tasks.melody.loss import loss_fn
from mashjax.tasks.melody.model import init_model
from mashjax.tasks.melody.picture import draw_scores
from mashjax.tasks.melody.posteriors import (
    SHIPPED,
    ModelState,
    Posteriors,
    from_weights,
    predict,
    shipped,
)

__all__ = [
    "SCORE",
    "SHIPPED",
    "VALIDATION",
    "Config",
    "ModelState",
    "Posteriors",
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
    "read_samples",
    "samples",
    "shipped",
    "statistics",
]
