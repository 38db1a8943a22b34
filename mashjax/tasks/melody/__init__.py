"""The melody task: which notes a voice sings, frame by frame."""

from mashjax.tasks.melody.config import Config, config_from_dict
from mashjax.tasks.melody.examples import example_samples, read_samples, statistics
from mashjax.tasks.melody.model import init_model
from mashjax.tasks.melody.posteriors import (
    SHIPPED,
    ModelState,
    Posteriors,
    from_weights,
    predict,
    shipped,
)

__all__ = [
    "SHIPPED",
    "Config",
    "ModelState",
    "Posteriors",
    "config_from_dict",
    "example_samples",
    "from_weights",
    "init_model",
    "predict",
    "read_samples",
    "shipped",
    "statistics",
]
