"""Batches as a pure function of (seed, step), so that resuming needs only the step.

They are int16, as stored: the device decodes and augments them (`mashjax.data.augment`).
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np

from mashjax.data.store import PAIR, Store
from mashjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Batches:
    """A function from a step to its batch, int16 [batch, sources, samples], see `batches`."""

    store: Store
    split: str
    shape: tuple[int, int, int]  # of each batch
    read: Callable[[int], np.ndarray]
    examples: Callable[[int], np.ndarray]  # of a step: [batch, songs], numbers in the split

    def __call__(self, step: int) -> np.ndarray:
        return self.read(step)

    def songs(self, step: int) -> list[str]:
        """The names of all songs in a step's batch."""
        known = self.store.examples(self.split)
        return sorted({known[i]["song"] for i in np.unique(self.examples(step))})


def batches(
    store: Store,
    *,
    split: str,
    seed: int,
    batch_size: int,
    samples: int,
    incoherent: float = 0.0,
    part: tuple[int, int] = (0, 1),
) -> Batches:
    """Make the function from a step to its batch.

    They go through a new permutation of the examples every epoch. Each example gets one of its
    partners, or any example of another song (an incoherent pair), a random order of the two songs
    (A over B or B over A) and a random crop, the same for all sources.

    Args:
      store: an open store.
      split: "train", "valid" or "test".
      seed: of the order, the partners and the crops.
      batch_size: examples per batch, over all processes.
      samples: length of a crop.
      incoherent: share of the examples whose partner need not fit. Mashups in a store have no
        partners, and their originals stay in the order in which their maker named them.
      part: (process, processes): read only this process's rows, which are one of `processes`
        equal slices of the batch.

    Returns:
      step -> int16 [batch_size / processes, sources, samples], sources as in `store.sources`.

    Raises:
      UserError: the split is empty or shorter than `samples`, or the batch cannot be divided;
        from the function: an example is missing or damaged.
    """
    _check(store, split, samples)
    count, stored = store.count(split), store.settings.samples
    process, processes = part
    if batch_size % processes:
        raise UserError(f"batch_size={batch_size} cannot be shared evenly by {processes} processes")

    rows = batch_size // processes
    shape = (rows, len(store.sources), samples)

    def positions(step: int) -> range:
        """Where the rows of this process stand in the sequence of all examples ever read."""
        first = step * batch_size + process * rows
        return range(first, first + rows)

    permutation = functools.lru_cache(maxsize=2)(lambda epoch: _permutation(count, seed, epoch))
    draw = _pairs(store, split, incoherent) if store.sources == PAIR else _alone

    def drawn(step: int) -> tuple[np.ndarray, list[int]]:
        """The numbers of the examples that make each row, and where its crop begins."""
        idx = np.array([permutation(p // count)[p % count] for p in positions(step)])
        rngs = [np.random.default_rng([seed, 1, p]) for p in positions(step)]
        starts = [int(rng.integers(stored - samples + 1)) for rng in rngs]
        return draw(idx, rngs), starts

    def read(step: int) -> np.ndarray:
        drawn_examples, starts = drawn(step)
        whole = store.read(split, *drawn_examples.T)
        return np.stack([x[:, s : s + samples] for x, s in zip(whole, starts, strict=True)])

    return Batches(store, split, shape, read=read, examples=lambda step: drawn(step)[0])


def in_order(
    store: Store, *, split: str, batch_size: int, samples: int, examples: int | None = None
) -> Iterator[np.ndarray]:
    """The first `examples` of a split, or all of it (None), once each, with their best partners.

    Returns int16 [at most batch_size, sources, samples] each, cropped in the middle. Raises
    UserError as `batches` does.
    """
    _check(store, split, samples)
    start = (store.settings.samples - samples) // 2
    numbers = np.arange(store.count(split))[:examples]
    return (
        store.read(split, numbers[first : first + batch_size])[..., start : start + samples]
        for first in range(0, len(numbers), batch_size)
    )


def _check(store: Store, split: str, samples: int) -> None:
    stored = store.settings.samples
    if store.count(split) == 0:
        raise UserError(f"{store.path} has no examples in {split}")
    if samples > stored:
        raise UserError(f"{store.path} has examples of {stored} samples, asked for {samples}")


Draw = Callable[[np.ndarray, list[np.random.Generator]], np.ndarray]
"""Examples [batch], a generator for each of them -> [batch, songs]."""


def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, epoch]).permutation(count)


def _pairs(store: Store, split: str, incoherent: float) -> Draw:
    """Draw a partner for each example, and which of both gives song 1."""
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

    def draw(idx: np.ndarray, rngs: list[np.random.Generator]) -> np.ndarray:
        first = np.array([rng.random() < 0.5 for rng in rngs])
        others = np.array([partner(i, rng) for i, rng in zip(idx, rngs, strict=True)])
        return np.stack([np.where(first, idx, others), np.where(first, others, idx)], axis=1)

    return draw


def _alone(idx: np.ndarray, rngs: list[np.random.Generator]) -> np.ndarray:
    """A row that is an example needs no partner."""
    return idx[:, None]
