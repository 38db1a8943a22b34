"""The mashup task: two aligned songs in, one mask and one rotation per song out.

mashup = sum over both songs of mask * |X| * exp(i (angle X + rotation)), X the song's own STFT.
Song 1 gives the lead and song 2 the backing; a training example is the four sources
lead 1, backing 1, lead 2, backing 2, of which the wanted mashup is the first plus the last; or it
is a mashup that somebody made, and its two originals.
"""

from mashjax.tasks.mashup.config import Config, config_from_dict, fitted
from mashjax.tasks.mashup.evaluate import (
    SCORE,
    VALIDATION,
    derived,
    evaluate,
    headline,
    samples,
)
from mashjax.tasks.mashup.examples import example_samples, read_samples, statistics
from mashjax.tasks.mashup.model import init_model, loss_fn
from mashjax.tasks.mashup.picture import draw_scores
from mashjax.tasks.mashup.predict import (
    SHIPPED,
    Direct,
    Masks,
    ModelState,
    from_weights,
    predict,
    predict_direct,
)

__all__ = [
    "SCORE",
    "SHIPPED",
    "VALIDATION",
    "Config",
    "Direct",
    "Masks",
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
    "predict",
    "predict_direct",
    "read_samples",
    "samples",
    "statistics",
]
