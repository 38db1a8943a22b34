"""Weights learned from simulated listeners, whose own weights are known."""

import numpy as np
import pytest

from mashjax.library.learning import FEW, agreement, held_out, learn, refit

PRIOR = np.array([0.35, 0.2, 0.15, 0.1, 0.1, 0.1])
NAMES = ["harmony", "loudness", "rhythm", "spectrum", "timbre", "voice"]


def listener(weights: np.ndarray, ratings: int, *, seed: int, noise: float = 0.03):
    """Parts of pairs [ratings, parts], and stars by the listener's own score and some noise."""
    rng = np.random.default_rng(seed)
    x = np.clip(rng.normal(0.6, 0.15, size=(ratings, len(weights))), 0, 1)
    score = x @ weights + noise * rng.normal(size=ratings)
    return x, 1.0 + np.searchsorted(np.quantile(score, [0.15, 0.4, 0.65, 0.87]), score)


@pytest.fixture(scope="module")
def own():
    """A listener who cares for voices and hardly for harmony."""
    return np.array([0.15, 0.1, 0.15, 0.1, 0.15, 0.35])


def test_a_listeners_weights_are_recovered_from_200_ratings(own):
    """0.1 is a third of what they were off; noise of 0.03 is half of what a star is wide."""
    x, stars = listener(own, 200, seed=0)
    found = refit(x, stars, prior=PRIOR)
    assert np.abs(PRIOR - own).max() == pytest.approx(0.25)
    assert np.abs(found - own).max() < 0.1
    assert found.sum() == pytest.approx(1) and found.min() >= 0
    more, stars = listener(own, 1000, seed=1)
    assert np.abs(refit(more, stars, prior=PRIOR) - own).max() < 0.04


@pytest.mark.parametrize("seed", range(5))
def test_five_ratings_change_hardly_anything(own, seed):
    found = refit(*listener(own, 5, seed=seed), prior=PRIOR)
    assert 0 < np.abs(found - PRIOR).max() < 0.04


def test_without_a_preference_nothing_changes(own):
    x, _ = listener(own, 50, seed=0)
    np.testing.assert_array_equal(refit(x, np.full(50, 3.0), prior=PRIOR), PRIOR)
    np.testing.assert_array_equal(refit(x[:0], np.zeros(0), prior=PRIOR), PRIOR)


def test_ratings_that_contradict_each_other_do_not_explode():
    """The same pairs, as good as bad; then stars thrown by dice; then the score turned round."""
    x, stars = listener(PRIOR, 60, seed=3)
    both = refit(np.concatenate([x, x]), np.concatenate([stars, 6 - stars]), prior=PRIOR)
    np.testing.assert_allclose(both, PRIOR, atol=0.02)
    dice = np.random.default_rng(0).integers(1, 6, size=60).astype(float)
    assert np.abs(refit(x, dice, prior=PRIOR) - PRIOR).max() < 0.1
    turned = refit(x, 6 - stars, prior=PRIOR)
    assert turned.min() >= 0 and turned.sum() == pytest.approx(1) and np.isfinite(turned).all()


def test_agreement_counts_pairs_in_the_right_order():
    x = np.array([[0.9, 0.0], [0.5, 0.5], [0.5, 0.1]])
    weights = np.array([1.0, 0.0])
    assert agreement(x, np.array([5.0, 3.0, 1.0]), weights=weights) == (2.5, 3)
    assert agreement(x, np.array([1.0, 3.0, 3.0]), weights=weights) == (0.0, 2)


def test_held_out_ratings_agree_more_with_what_was_learned(own):
    old, new = held_out(*listener(own, 120, seed=4), prior=PRIOR)
    assert 0.6 < old < new - 0.05
    assert new > 0.85


def test_both_versions_are_kept_and_few_ratings_are_said_to_be_few(own):
    def rated(ratings: int, seed: int = 5):
        x, stars = listener(own, ratings, seed=seed)
        parts = [dict(zip(NAMES, row, strict=True)) for row in x]
        return parts, stars.astype(int).tolist()

    weights = dict(zip(NAMES, PRIOR.tolist(), strict=True))
    many = learn(*rated(120), weights=weights)
    assert many.before == pytest.approx(weights)
    assert many.after["voice"] > 0.2 > weights["voice"]
    assert many.better and "few" not in many.note
    few = learn(*rated(FEW // 2), weights=weights)
    assert "15 ratings are few" in few.note
    fewer = learn(*rated(4), weights=weights)
    assert fewer.agreement_after is None and not fewer.better
    assert "too few to hold some back" in fewer.note


def test_weights_that_would_be_worse_are_not_called_better():
    """Ratings that say nothing: what is learned from them cannot beat the weights that made the
    other ratings."""
    x, stars = listener(PRIOR, 40, seed=6, noise=0.0)
    stars[:12] = 6 - stars[:12]
    weights = dict(zip(NAMES, PRIOR.tolist(), strict=True))
    parts = [dict(zip(NAMES, row, strict=True)) for row in x]
    learned = learn(parts, stars.astype(int).tolist(), weights=weights)
    assert learned.better == (learned.agreement_after >= learned.agreement_before)
    assert ("stay in use" in learned.note) != learned.better
