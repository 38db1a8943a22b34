"""How often a network is right, how sure it is, and what it says of whole sets of songs."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from mashjax.tasks.genre.config import Config
from mashjax.tasks.genre.examples import Statistics, labels
from mashjax.tasks.genre.model import Params, said

SCORE = "log_probability"
"""Of the scores of `evaluate`, the one that says which checkpoint is best: higher is better."""

VALIDATION = ("accuracy", "log_probability", "confidence")
"""The measures that training's validation waits for: all that there are.

accuracy: 1 where the most probable genre is the song's; log_probability: of the song's genre,
natural; confidence: the probability of the most probable genre.
"""


class Predictions(NamedTuple):
    """Of songs: embeddings, log probabilities as `model.Said`, and labels, -1 where not known."""

    embedding: np.ndarray
    genre: np.ndarray
    decile: np.ndarray
    right_genre: np.ndarray
    right_decile: np.ndarray


def predictions(
    cfg: Config, params: Params, statistics: Statistics, batches: Iterable[np.ndarray]
) -> Predictions:
    """What the network says of all rows of the batches."""
    parts = [
        (*said(cfg, params, statistics, rows), *labels(statistics, rows))
        for rows in map(np.asarray, batches)
    ]
    return Predictions(*map(np.concatenate, zip(*jax.device_get(parts), strict=True)))


def evaluate(
    cfg: Config,
    params: Params,
    statistics: Statistics,
    batches: Iterable[np.ndarray],
    *,
    measures: tuple[str, ...] = VALIDATION,
) -> dict[str, np.ndarray]:
    """Scores of the songs of the batches, [examples] each: `measures`, and accuracy_majority.

    The latter is what the commonest genre of the training songs has, always said.
    """
    found = predictions(cfg, params, statistics, batches)
    named = found.genre.argmax(axis=1)
    every = {
        "accuracy": (named == found.right_genre).astype(float),
        "log_probability": found.genre[np.arange(len(named)), found.right_genre],
        "confidence": np.exp(found.genre.max(axis=1)),
    }
    majority = found.right_genre == int(np.argmax(statistics["prior"]))
    return {name: every[name] for name in measures} | {"accuracy_majority": majority.astype(float)}


def derived(means: dict[str, Any]) -> dict[str, Any]:
    """What follows from the means: how much surer than right the network is."""
    return {"overconfidence": means["confidence"] - means["accuracy"]}


def headline(means: dict[str, dict[str, Any]]) -> str:
    """The means in a few words."""
    model, majority = (means[name]["mean"] for name in ("accuracy", "accuracy_majority"))
    return f"{model:.1%} right, {majority:.1%} by always saying the commonest genre"


def samples(
    cfg: Config, params: Params, statistics: Statistics, sources: np.ndarray
) -> dict[str, np.ndarray]:
    """Nothing to listen to: features are not heard."""
    return {}
