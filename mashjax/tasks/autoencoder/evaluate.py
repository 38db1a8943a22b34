"""How much of a description its code keeps, beside as many principal components."""

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.tasks.autoencoder.config import Config
from mashjax.tasks.autoencoder.examples import Statistics, described, songs
from mashjax.tasks.autoencoder.model import Params, decode, encode

SCORE = "explained_model"
"""Of the scores of `evaluate`, the one that says which checkpoint is best: higher is better."""

VALIDATION = ("explained",)
"""The measures that training's validation waits for: all that there are.

explained: the share of the descriptions' variance, around the training songs' mean, that comes
back; of one example, 1 less its squared error in units of the variance of all examples, so that
the mean over the examples is the explained variance.
"""


def evaluate(
    cfg: Config,
    params: Params,
    statistics: Statistics,
    batches: Iterable[np.ndarray],
    *,
    measures: tuple[str, ...] = VALIDATION,
) -> dict[str, np.ndarray]:
    """Scores of song 1 of each example of the batches, [examples] each.

    batches: sources [batch, 4 or 3, samples], see `examples.songs`; measures: some of `VALIDATION`.

    Returns `MEASURE_ESTIMATE` for "model" and "pca", the principal components alone; and
    "worse_than_pca": whether the model's is lower.
    """
    collected = [jax.device_get(_errors(cfg, params, statistics, s)) for s in batches]
    model, pca, variance = (np.concatenate(parts) for parts in zip(*collected, strict=True))
    scores = {
        f"{measure}_{name}": 1 - error / max(variance.mean(), 1e-12)
        for measure in measures
        for name, error in (("model", model), ("pca", pca))
    }
    return scores | {"worse_than_pca": model > pca}


def derived(means: dict[str, Any]) -> dict[str, Any]:
    """What follows from the means of the scores: the gain over the principal components."""
    return {"gain": means["explained_model"] - means["explained_pca"]}


def headline(means: dict[str, dict[str, Any]]) -> str:
    """The means in a few words."""
    model, pca = (means[f"explained_{name}"]["mean"] for name in ("model", "pca"))
    return f"{model:.1%} of the variance explained, {pca:.1%} by principal components"


def samples(
    cfg: Config, params: Params, statistics: Statistics, sources: np.ndarray
) -> dict[str, np.ndarray]:
    """Both songs of the first example of a batch, to listen to: a code is not heard."""
    song1, song2 = np.clip(songs(sources[:1])[0], -1, 1)
    return {"song1": song1, "song2": song2}


@functools.partial(jax.jit, static_argnums=0)
def _errors(
    cfg: Config, params: Params, statistics: Statistics, sources: jax.Array
) -> tuple[jax.Array, ...]:
    """Squared errors of both estimates, and the square of the description, [batch] each."""
    x = described(cfg, statistics, songs(sources)[:, 0])
    basis = statistics["basis"]
    estimates = (
        decode(cfg, params, statistics, encode(cfg, params, statistics, x)),
        x @ basis @ basis.T,
        jnp.zeros_like(x),
    )
    return tuple(jnp.mean((estimate - x) ** 2, axis=-1) for estimate in estimates)
