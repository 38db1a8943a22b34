"""Sounds that several tests share; all of them are made here, none is read from disk."""

import numpy as np
import pytest

from mashjax.mixing.demo import SR, demo_song


@pytest.fixture(scope="session")
def demo_songs() -> list[np.ndarray]:
    """The first 12 s of both demo songs, [2, samples] at 44.1 kHz."""
    return [demo_song(number)[:, : 12 * SR] for number in (1, 2)]
