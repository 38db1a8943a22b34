"""What a run reads of its store."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from mashjax.data import batches as data
from mashjax.data.store import Store, decode
from mashjax.tasks import TASKS
from mashjax.training.config import TrainConfig


def fitted(cfg: TrainConfig, store: Store) -> TrainConfig:
    """The config with what its task takes from the store, such as the names of classes.

    Raises UserError where the store does not hold what the config's model hears.
    """
    return dataclasses.replace(cfg, model=TASKS[cfg.task].fitted(cfg.model, store))


def training_batches(
    cfg: TrainConfig, store: Store, *, part: tuple[int, int] = (0, 1)
) -> data.Batches:
    """The batch of each step, or this process's part of it; a pure function of (seed, step)."""
    task = TASKS[cfg.task]
    wanted = min(task.read_samples(cfg.model, cfg.frames), store.settings.samples)
    return data.batches(
        store,
        split="train",
        seed=cfg.seed,
        batch_size=cfg.batch_size,
        samples=max(wanted, task.example_samples(cfg.model, cfg.frames)),
        incoherent=cfg.incoherent,
        part=part,
    )


def in_order(
    cfg: TrainConfig, store: Store, *, split: str, examples: int | None = None
) -> Iterator[np.ndarray]:
    """The first `examples` of a split, or all of it (None), once each: float32 batches."""
    samples = TASKS[cfg.task].example_samples(cfg.model, cfg.frames)
    batches = data.in_order(
        store, split=split, batch_size=cfg.batch_size, samples=samples, examples=examples
    )
    return map(decode, batches)
