"""A model's scores on a split of a store: each example's, their means and how sure these are."""

import dataclasses
from typing import Any

import numpy as np

from mashjax.data.store import Store
from mashjax.tasks import TASKS
from mashjax.training.config import TrainConfig
from mashjax.training.feed import in_order

RESAMPLES = 2000
INTERVAL = (2.5, 97.5)  # percentiles: 95 %


@dataclasses.dataclass(frozen=True)
class Scores:
    """scores: of each example by name, [examples], numbers or truths; songs: of each, its own."""

    task: str
    scores: dict[str, np.ndarray]
    songs: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many examples there are, of how many songs, and of how many each truth holds."""
        truths = {name: int(x.sum()) for name, x in self.scores.items() if x.dtype == bool}
        return {"examples": len(self.songs), "songs": len(set(self.songs)), **truths}

    def means(self) -> dict[str, dict[str, float | None]]:
        """Of each score, and of what the task derives from them: mean, low and high.

        low and high enclose 95 % of what the mean becomes when the songs are drawn anew, with
        replacement (percentile bootstrap, Efron & Tibshirani 1993, with a fixed seed). Songs are
        drawn rather than examples, since a song's examples are alike. None of a single song, as
        is a number that means nothing.
        """
        names, song = np.unique(self.songs, return_inverse=True)
        count = len(names)
        drawn = np.random.default_rng(0).multinomial(count, [1 / count] * count, size=RESAMPLES)
        numbers = {name: x for name, x in self.scores.items() if x.dtype != bool}
        derived = TASKS[self.task].derived
        means = {name: float(np.mean(x)) for name, x in numbers.items()}
        sizes = drawn @ np.bincount(song)
        resampled = {name: drawn @ np.bincount(song, x) / sizes for name, x in numbers.items()}
        resampled |= derived(resampled)
        found = {}
        for name, value in (derived(means) | means).items():
            low, high = np.percentile(resampled[name], INTERVAL) if count > 1 else (None, None)
            found[name] = {"mean": _rounded(value), "low": _rounded(low), "high": _rounded(high)}
        return found


def evaluate(
    cfg: TrainConfig,
    params: Any,
    statistics: Any,
    store: Store,
    *,
    split: str,
    examples: int | None = None,
) -> dict[str, float]:
    """Means of the task's quick scores on the first `examples` of a split, or on all (None).

    Truths are counted.
    """
    task = TASKS[cfg.task]
    parts = in_order(cfg, store, split=split, examples=examples)
    scores = task.evaluate(cfg.model, params, statistics, parts, measures=task.VALIDATION)
    means = {
        name: int(x.sum()) if x.dtype == bool else round(float(np.mean(x)), 4)
        for name, x in scores.items()
    }
    return {"examples": len(next(iter(scores.values()))), **means}


def score(
    cfg: TrainConfig,
    params: Any,
    statistics: Any,
    store: Store,
    *,
    split: str,
    examples: int | None = None,
) -> Scores:
    """All scores of the first `examples` of a split, or of all of it (None)."""
    parts = in_order(cfg, store, split=split, examples=examples)
    scores = TASKS[cfg.task].evaluate(cfg.model, params, statistics, parts)
    songs = [example["song"] for example in store.examples(split)[:examples]]
    return Scores(cfg.task, scores, songs)


def _rounded(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else round(float(value), 4)
