"""Batches as a pure function of (seed, step), so that resuming needs only the step.

They are int16, as stored: the device decodes and augments them (`mashjax.data.augment`).
"""

import functools
from collections.abc import Callable

import numpy as np

from mashjax.data.store import Store
from mashjax.errors import UserError


def batches(
    store: Store,
    *,
    split: str,
    seed: int,
    batch_size: int,
    samples: int,
    incoherent: float = 0.0,
    part: tuple[int, int] = (0, 1),
) -> Callable[[int], np.ndarray]:
    """Make the function from a step to its batch.

    Training batches go through a new permutation of the examples every epoch. Each example gets
    one of its partners, or any example of another song (an incoherent pair), a random order of the
    two songs (A over B or B over A) and a random crop, the same for all sources. Other splits are
    read in order, with the best partners, cropped in the middle; they wrap around.

    Args:
      store: an open store.
      split: "train", "valid" or "test".
      seed: of the order, the partners and the crops.
      batch_size: examples per batch, over all processes.
      samples: length of a crop.
      incoherent: share of the training examples whose partner need not fit. Mashups in a store
        have no partners, and only the order of their originals is drawn.
      part: (process, processes): read only this process's rows, which are one of `processes`
        equal slices of the batch.

    Returns:
      step -> int16 [batch_size / processes, sources, samples], sources as in `store.sources`.

    Raises:
      UserError: the split is empty or shorter than `samples`, or the batch cannot be divided;
        from the function: an example is missing or damaged.
    """
    count, stored = store.count(split), store.settings.samples
    process, processes = part
    if count == 0:
        raise UserError(f"{store.path} has no examples in {split}")
    if samples > stored:
        raise UserError(f"{store.path} has examples of {stored} samples, asked for {samples}")
    if batch_size % processes:
        raise UserError(f"batch_size={batch_size} cannot be shared evenly by {processes} processes")

    def positions(step: int) -> range:
        """Where the rows of this process stand in the sequence of all examples ever read."""
        rows = batch_size // processes
        first = step * batch_size + process * rows
        return range(first, first + rows)

    def in_order(step: int) -> np.ndarray:
        start = (stored - samples) // 2
        return store.read(split, np.array(positions(step)) % count)[..., start : start + samples]

    if split != "train":
        return in_order
    permutation = functools.lru_cache(maxsize=2)(lambda epoch: _permutation(count, seed, epoch))
    read = _mashups(store, split) if "label" in store.sources else _pairs(store, split, incoherent)

    def shuffled(step: int) -> np.ndarray:
        idx = np.array([permutation(p // count)[p % count] for p in positions(step)])
        rngs = [np.random.default_rng([seed, 1, p]) for p in positions(step)]
        starts = [rng.integers(stored - samples + 1) for rng in rngs]
        whole = read(idx, rngs)
        return np.stack([x[:, s : s + samples] for x, s in zip(whole, starts, strict=True)])

    return shuffled


Reader = Callable[[np.ndarray, list[np.random.Generator]], np.ndarray]
"""Examples [batch], a generator for each of them -> int16 [batch, sources, stored samples]."""


def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, epoch]).permutation(count)


def _pairs(store: Store, split: str, incoherent: float) -> Reader:
    """Read examples with partners that are drawn, as song 1 or as song 2."""
    partners = store.partners(split)
    # Examples sorted by song: those of other songs are what is before and what is behind.
    songs = np.unique([e["song"] for e in store.examples(split)], return_inverse=True)[1]
    by_song = np.argsort(songs, kind="stable")
    sizes = np.bincount(songs)[songs]
    firsts = np.searchsorted(songs[by_song], songs)

    def partner(i: int, rng: np.random.Generator) -> int:
        if rng.random() < incoherent:
            k = rng.integers(len(songs) - sizes[i])
            return by_song[k if k < firsts[i] else k + sizes[i]]
        return rng.choice(partners[i][partners[i] >= 0])

    def read(idx: np.ndarray, rngs: list[np.random.Generator]) -> np.ndarray:
        first = np.array([rng.random() < 0.5 for rng in rngs])
        others = np.array([partner(i, rng) for i, rng in zip(idx, rngs, strict=True)])
        return store.read(split, np.where(first, idx, others), np.where(first, others, idx))

    return read


def _mashups(store: Store, split: str) -> Reader:
    """Read mashups, their originals in an order that is drawn."""

    def read(idx: np.ndarray, rngs: list[np.random.Generator]) -> np.ndarray:
        turned = np.array([rng.random() < 0.5 for rng in rngs])
        x = store.read(split, idx)
        x[turned] = x[turned][:, [0, 2, 1]]
        return x

    return read
