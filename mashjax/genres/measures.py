"""How good probabilities of genres are, and guesses of popularity."""

from typing import Any

import numpy as np

from mashjax.tasks.genre import tempered
from mashjax.tasks.genre.examples import DECILES

BINS = 15  # of probability, for the calibration error


def measured(probabilities: np.ndarray, right: np.ndarray, *, threshold: float) -> dict[str, Any]:
    """Scores of probabilities [songs, genres] against the right genres, int [songs].

    accuracy; macro_f1: the mean over the genres that there are; average_precision: the mean area
    under their precision-recall curves; calibration_error: how far the probability of the named
    genre is from the share that is right, mean over 15 bins of probability weighed by songs (ECE;
    Guo et al., 2017); log_probability: of the right genre; named: the share of the songs whose
    genre reaches the threshold; accuracy_named: of these, those that are right.
    """
    from sklearn.metrics import average_precision_score, f1_score

    named, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    correct, told = named == right, sure >= threshold
    present = np.unique(right)
    precision = [average_precision_score(right == k, probabilities[:, k]) for k in present]
    of_right = probabilities[np.arange(len(right)), right]
    return {
        "accuracy": _rounded(correct.mean()),
        "macro_f1": _rounded(
            f1_score(right, named, labels=present, average="macro", zero_division=0)
        ),
        "average_precision": _rounded(np.mean(precision)),
        "calibration_error": _rounded(calibration_error(sure, correct)),
        "log_probability": _rounded(np.log(np.maximum(of_right, 1e-12)).mean()),
        "named": _rounded(told.mean()),
        "accuracy_named": _rounded(correct[told].mean()) if told.any() else None,
    }


def calibration_error(sure: np.ndarray, correct: np.ndarray) -> float:
    """Of the probabilities of what was named, [songs], and whether that was right, bool [songs]."""
    bins = np.minimum((BINS * sure).astype(int), BINS - 1)
    gap = np.bincount(bins, sure - correct, BINS)
    return float(np.abs(gap).sum() / len(sure))


def of_popularity(probabilities: np.ndarray, right: np.ndarray) -> dict[str, Any] | None:
    """Scores of probabilities of deciles [songs, 10] against the right ones, -1 where not known.

    accuracy, within_one: of the most probable decile; rank_correlation: Spearman's, of the
    expected one; chance: what a guess of all deciles alike has. None where fewer than three songs'
    popularity is known, or it is the same for all.
    """
    from scipy.stats import spearmanr

    known = right >= 0
    if known.sum() < 3 or len(np.unique(right[known])) < 2:
        return None
    probabilities, right = probabilities[known], right[known]
    off = np.abs(probabilities.argmax(axis=1) - right)
    neighbours = np.minimum(right + 1, DECILES - 1) - np.maximum(right - 1, 0) + 1
    return {
        "songs": int(known.sum()),
        "accuracy": _rounded((off == 0).mean()),
        "within_one": _rounded((off <= 1).mean()),
        "rank_correlation": _rounded(spearmanr(probabilities @ np.arange(DECILES), right)[0]),
        "chance": {
            "accuracy": 1 / DECILES,
            "within_one": _rounded(neighbours.mean() / DECILES),
            "rank_correlation": 0.0,
        },
    }


def calibrated(
    log_probabilities: np.ndarray, right: np.ndarray, *, missed: float = 0.05
) -> dict[str, float]:
    """The temperature at which probabilities are as they should be, and when to say "unknown".

    log_probabilities: [songs, genres], of songs not trained on; right: int [songs]. The temperature
    gives the right genres the highest likelihood (Guo et al., 2017). The threshold is such that of
    the songs that are named rightly a share of `missed` would be called unknown: what is less
    sure than that is unlike the songs that the network knows.
    """
    from scipy.optimize import minimize_scalar

    songs = np.arange(len(right))

    def cost(log_temperature: float) -> float:
        p = tempered(log_probabilities, float(np.exp(log_temperature)))
        return -float(np.log(np.maximum(p[songs, right], 1e-12)).mean())

    temperature = float(np.exp(minimize_scalar(cost, bounds=(-3, 3), method="bounded").x))
    p = tempered(log_probabilities, temperature)
    rightly = p.max(axis=1)[p.argmax(axis=1) == right]
    threshold = float(np.quantile(rightly, missed)) if len(rightly) else 0.0
    return {"temperature": round(temperature, 4), "threshold": round(threshold, 4)}


def _rounded(value: Any) -> float:
    return round(float(value), 4)
