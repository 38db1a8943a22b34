"""A model's scores on a split of a store."""

from typing import Any

from mashjax.data.store import Store
from mashjax.tasks import TASKS
from mashjax.training.config import TrainConfig
from mashjax.training.feed import in_order


def evaluate(
    cfg: TrainConfig,
    params: Any,
    statistics: Any,
    store: Store,
    *,
    split: str,
    examples: int | None = None,
) -> dict[str, float]:
    """The task's scores on the first `examples` of a split, or on all of it (None)."""
    parts = in_order(cfg, store, split=split, examples=examples)
    return TASKS[cfg.task].evaluate(cfg.model, params, statistics, parts)
