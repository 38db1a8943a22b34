"""Drift of made distributions: alarms where there is some, and hardly any where there is none."""

import numpy as np
import pytest
from scipy import stats

from mashjax.library.drift import FALSE_ALARMS, LEAST, drift

NAMES = ["tempo", "loudness", "voice", "lead"]


def songs(count: int, *, seed: int) -> np.ndarray:
    """Features of unlike kinds, two of them dependent: [count, 4]."""
    rng = np.random.default_rng(seed)
    tempo, loudness = rng.normal(7, 0.3, count), -12 - rng.gamma(2, 2, count)
    voice = rng.integers(0, 3, count) / 2  # many ties
    return np.stack([tempo, loudness, voice, voice + 0.1 * rng.normal(size=count)], axis=1)


def test_the_distance_is_that_of_kolmogorov_and_smirnov():
    known, new = songs(60, seed=0), songs(25, seed=1)
    for found in drift(known, new, names=NAMES):
        k = NAMES.index(found.feature)
        assert found.distance == pytest.approx(stats.ks_2samp(known[:, k], new[:, k]).statistic)
        assert found.before == np.median(known[:, k]) and found.now == np.median(new[:, k])


def test_songs_like_the_librarys_raise_hardly_any_alarm(monkeypatch):
    """One in a hundred is promised; of 200 libraries, 7 or more would then be 1 in 200."""
    monkeypatch.setattr("mashjax.library.drift.RESAMPLES", 500)
    alarms = sum(
        any(d.found for d in drift(songs(60, seed=2 * k), songs(20, seed=2 * k + 1), names=NAMES))
        for k in range(200)
    )
    assert stats.binom.sf(6, 200, FALSE_ALARMS) < 0.005
    assert alarms <= 6


def test_faster_songs_are_noticed_and_named():
    known, new = songs(60, seed=0), songs(20, seed=1)
    new[:, 0] += 0.5
    first, *others = drift(known, new, names=NAMES)
    assert (first.feature, first.found) == ("tempo", True)
    assert first.now - first.before == pytest.approx(0.5, abs=0.15)
    assert not any(other.found for other in others)


def test_too_few_songs_say_nothing():
    known, new = songs(LEAST, seed=0), songs(LEAST - 1, seed=1) + 10
    assert drift(known, new, names=NAMES) == []
    assert drift(new, known, names=NAMES) == []
    assert all(d.found for d in drift(known, known + 10, names=NAMES))
