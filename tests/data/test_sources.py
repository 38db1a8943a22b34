import numpy as np
import pytest

from mashjax.data.sources import moments, split_groups


def test_moments_are_those_of_white_noise():
    """Power per bin: variance * sum of the squared window, times an exponential variable.

    Its natural logarithm has a mean of -0.5772 and a variance of pi**2 / 6.
    """
    noise = np.random.default_rng(0).normal(0, 0.1, (4, 200_000))
    total, square, frames = moments(noise)
    mean = np.median(total / frames)
    assert mean == pytest.approx(np.log10(0.01 * 0.375 * 2048) - 0.5772 / np.log(10), abs=0.02)
    spread = np.median(np.sqrt(square / frames - (total / frames) ** 2))
    assert spread == pytest.approx(np.pi / np.sqrt(6) / np.log(10), abs=0.03)


def test_splits_are_disjoint_stable_and_about_a_twentieth():
    groups = [f"artist {i}" for i in range(2000)]
    splits = split_groups(groups * 2)
    counts = {s: list(splits.values()).count(s) for s in ("train", "valid", "test")}
    # Binomial(2000, .05): 100 +- 10.
    assert 60 < counts["test"] < 140
    assert 60 < counts["valid"] < 140
    some = split_groups(groups[:1000])
    assert all(splits[i] == split for i, split in some.items())
    assert set(split_groups(groups[:11]).values()) == {"train"}
    chosen = [group for group in groups if splits[group] == "test"]
    assert set(split_groups(chosen).values()) == {"test"}  # as they were, however few are left
    few = list(split_groups(groups[:14]).values())
    assert (few.count("test"), few.count("valid")) == (2, 2)
