"""A segment's numbers."""

import dataclasses

import numpy as np
import pytest

from mashjax.library.features import SCALES, table, vectors


def named(segment) -> dict[str, float]:
    return dict(zip(SCALES, table([segment])[0], strict=True))


def test_features_are_what_they_are_called(segment):
    found = named(segment(0, tempo=128.0))
    assert found["tempo"] == 7.0
    assert found["brightness"] == pytest.approx(np.log2(1500), abs=1e-4)
    even = dataclasses.replace(segment(0), rhythm=np.ones((32, 8), np.float32))
    assert named(even)["syncopation"] == pytest.approx(7 / 8)
    one_chord = dataclasses.replace(segment(0), chroma=np.ones((32, 12), np.float32))
    assert named(one_chord)["chords"] == pytest.approx(0, abs=1e-6)
    assert named(segment(0))["chords"] > 0.3
    silent = dataclasses.replace(segment(0), chroma=np.zeros((32, 12), np.float32))
    assert np.isfinite(table([silent])).all()


def test_no_part_of_a_vector_drowns_the_others(segment):
    """Each part's squared distances add up alike, however many numbers it has."""
    rng = np.random.default_rng(0)
    made = [segment(k, tempo=90 + k) for k in range(40)]
    made = [dataclasses.replace(x, embedding=rng.normal(size=64)) for x in made]
    x = vectors(made)
    assert x.shape == (40, 64 + 24 + len(SCALES))
    for part in np.split(x, [64, 64 + 24], axis=1):
        assert part.var(axis=0).sum() == pytest.approx(1)
    assert vectors(made[:1]).tolist() == [[0.0] * x.shape[1]]
