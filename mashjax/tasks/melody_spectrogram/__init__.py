"""The study's route from a voice to a piano: a spectrogram in, a spectrogram out.

Convolutions paint the piano that plays what a voice sings; Griffin and Lim's algorithm finds a
sound for it. It learns from the melody task's stores, and is measured beside that task.
"""

from mashjax.tasks.melody.picture import draw_scores
from mashjax.tasks.melody_spectrogram.config import (
    Config,
    config_from_dict,
    example_samples,
    fitted,
    read_samples,
)
from mashjax.tasks.melody_spectrogram.evaluate import (
    SCORE,
    VALIDATION,
    derived,
    evaluate,
    headline,
    samples,
    statistics,
)
from mashjax.tasks.melody_spectrogram.loss import loss_fn
from mashjax.tasks.melody_spectrogram.model import init_model
from mashjax.tasks.melody_spectrogram.playing import ModelState, from_weights, play

__all__ = [
    "SCORE",
    "VALIDATION",
    "Config",
    "ModelState",
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
    "play",
    "read_samples",
    "samples",
    "statistics",
]
