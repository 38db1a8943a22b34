"""Groups and places of segments whose groups are known."""

import numpy as np
import pytest

from mashjax.library.grouping import group


def blobs(count: int, *, each: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points of 20 numbers around centres 8 deviations apart, the first group the largest."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), [each + 10 * (count - k) for k in range(count)])
    return 8 * np.eye(count, 20)[labels] + rng.normal(size=(len(labels), 20)), labels


@pytest.mark.parametrize("count", [2, 3, 5])
def test_groups_are_found_without_being_counted(count):
    x, labels = blobs(count)
    found = group(x)
    assert found.count == count
    np.testing.assert_array_equal(found.labels, labels)
    assert found.silhouette > 0.3


def test_few_segments_have_few_groups():
    """Nine songs of three segments each, which are best apart in nine groups."""
    rng = np.random.default_rng(0)
    x = 8 * np.repeat(rng.normal(size=(9, 20)), 3, axis=0) + rng.normal(size=(27, 20))
    assert 1 < group(x).count <= 4


def test_noise_is_hardly_apart():
    found = group(np.random.default_rng(0).normal(size=(200, 20)))
    assert found.silhouette < 0.15


def test_positions_keep_what_varies_most():
    x = np.zeros((50, 6))
    x[:, 4] = 3 * np.arange(50.0)
    x[:, 1] = np.arange(50.0) % 2
    found = group(x)
    steps = np.diff(found.positions[:, 0])
    np.testing.assert_allclose(steps, 3, rtol=0.01)
    assert found.explained[0] > 0.99
    again = group(x)
    np.testing.assert_array_equal(found.positions, again.positions)
    np.testing.assert_array_equal(found.labels, again.labels)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_few_segments_are_one_group(rows):
    found = group(np.random.default_rng(0).normal(size=(rows, 5)))
    assert found.count == 1
    assert found.positions.shape == (rows, 2)
    assert np.isfinite(found.positions).all()
    same = group(np.ones((10, 5)))
    assert same.count == 1 and not same.positions.any()
