"""Batches as a pure function of (seed, step), so that resuming needs only the step."""

import functools
from collections.abc import Callable

import numpy as np

from mashjax.data.store import Store
from mashjax.errors import UserError

GAIN_DB = 3.0
"""Songs in a mashup are matched in loudness; this much is left to chance, per song."""


def batches(
    store: Store, *, split: str, seed: int, batch_size: int, samples: int
) -> Callable[[int], np.ndarray]:
    """Make the function from a step to its batch.

    Training batches go through a new permutation of the examples every epoch;
    each example gets a random crop, a random order of its two songs (A over B
    or B over A), a random gain and polarity per song. Other splits are read in
    order, cropped in the middle, without augmentation; they wrap around.

    Args:
      store: an open store.
      split: "train", "valid" or "test".
      seed: of the order, the crops and the augmentation.
      batch_size: examples per batch.
      samples: length of a crop.

    Returns:
      step -> float32 [batch_size, 4, samples], sources in the order of `store.SOURCES`.

    Raises:
      UserError: the split is empty, or shorter than `samples`.
    """
    count, stored = store.count(split), store.settings.samples
    if count == 0:
        raise UserError(f"{store.path} has no examples in {split}")
    if samples > stored:
        raise UserError(f"{store.path} has examples of {stored} samples, asked for {samples}")
    permutation = functools.lru_cache(maxsize=2)(lambda epoch: _permutation(count, seed, epoch))

    def train(step: int) -> np.ndarray:
        positions = np.arange(step * batch_size, (step + 1) * batch_size)
        idx = np.array([permutation(p // count)[p % count] for p in positions.tolist()])
        whole = store.read(split, idx)
        return np.stack(
            [_augment(x, seed, p, samples) for x, p in zip(whole, positions.tolist(), strict=True)]
        )

    def in_order(step: int) -> np.ndarray:
        idx = np.arange(step * batch_size, (step + 1) * batch_size) % count
        start = (stored - samples) // 2
        return store.read(split, idx)[..., start : start + samples]

    return train if split == "train" else in_order


def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, epoch]).permutation(count)


def _augment(x: np.ndarray, seed: int, position: int, samples: int) -> np.ndarray:
    """One example [4, stored] -> [4, samples], drawn from (seed, position in the whole run)."""
    rng = np.random.default_rng([seed, 1, position])
    start = rng.integers(x.shape[-1] - samples + 1)
    order = [2, 3, 0, 1] if rng.random() < 0.5 else [0, 1, 2, 3]
    gain = 10 ** (rng.uniform(-GAIN_DB, GAIN_DB, 2) / 20) * rng.choice([-1.0, 1.0], 2)
    return x[order, start : start + samples] * np.repeat(gain, 2)[:, None].astype(np.float32)
