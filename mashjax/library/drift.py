"""Whether new songs are like the library's, and which songs' analysis is not to be trusted."""

import dataclasses

import numpy as np

LEAST = 8  # songs on either side, below which nothing can be said
FALSE_ALARMS = 0.01  # of all comparisons of songs that are alike, those that are called drift
RESAMPLES = 2000
SEED = 0


@dataclasses.dataclass(frozen=True)
class Drift:
    """One feature of new songs against the library's.

    distance: the largest difference of the two distribution functions (Kolmogorov-Smirnov), 0..1;
    threshold: what it must pass to be called drift; before, now: medians.
    """

    feature: str
    distance: float
    threshold: float
    before: float
    now: float

    @property
    def found(self) -> bool:
        return self.distance > self.threshold


def drift(known: np.ndarray, new: np.ndarray, *, names: list[str]) -> list[Drift]:
    """Compare the distribution of each feature, the farthest first.

    Songs are compared, not segments: a song's segments are alike, and would count as often as it
    has them. The threshold is what the largest distance of all features stays below in 99 of 100
    random exchanges of known and new songs: however many features there are and however they
    depend on each other, songs like the library's raise an alarm once in a hundred times.

    known, new: [songs, features], e.g. medians of `features.table` over each song's segments.
    Returns nothing where either side has fewer than `LEAST` songs.
    """
    if min(len(known), len(new)) < LEAST:
        return []
    both = np.concatenate([known, new])
    ranked = np.sort(both, axis=0)
    # Of each song and feature, the last place among the sorted that is not above it: ties count.
    places = np.stack(
        [np.searchsorted(s, x, side="right") - 1 for s, x in zip(ranked.T, both.T, strict=True)]
    )
    distances = _distances(places, np.arange(len(both)) < len(known))
    rng = np.random.default_rng(SEED)
    largest = [
        _distances(places, rng.permutation(len(both)) < len(known)).max() for _ in range(RESAMPLES)
    ]
    threshold = float(np.quantile(largest, 1 - FALSE_ALARMS, method="higher"))
    before, now = np.median(known, axis=0), np.median(new, axis=0)
    found = [
        Drift(name, float(distances[k]), threshold, float(before[k]), float(now[k]))
        for k, name in enumerate(names)
    ]
    return sorted(found, key=lambda feature: -feature.distance)


def _distances(places: np.ndarray, is_known: np.ndarray) -> np.ndarray:
    """Kolmogorov-Smirnov distances [features]; places: [features, songs], is_known: [songs]."""
    steps = np.where(is_known, 1 / is_known.sum(), -1 / (~is_known).sum())
    features, songs = places.shape
    at = np.arange(features)[:, None] * songs + places
    weights = np.broadcast_to(steps, places.shape).ravel()
    summed = np.bincount(at.ravel(), weights, minlength=features * songs)
    return np.abs(summed.reshape(features, songs).cumsum(axis=1)).max(axis=1)
