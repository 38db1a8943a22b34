"""Score a checkpoint on a store: JSON on stdout.

    python -m mashjax.evaluate --checkpoint=DIR --data=STORE [--split=test]

--checkpoint is a folder that mashjax.train or `mashjax.checkpoint export` wrote; without it, the
network that ships is scored.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

from absl import flags

from mashjax import cli
from mashjax.errors import UserError

CHECKPOINT = flags.DEFINE_string("checkpoint", None, "A run or an export; default: what ships.")
DATA = flags.DEFINE_string("data", None, "The store that mashjax.preprocess wrote.")
SPLIT = flags.DEFINE_enum("split", "test", ["train", "valid", "test"], "Which of its examples.")
BATCHES = flags.DEFINE_integer("batches", None, "How many batches; default: the whole split.")


def evaluate(
    checkpoint: str | os.PathLike | None,
    *,
    data: str | os.PathLike,
    split: str = "test",
    batches: int | None = None,
) -> dict[str, Any]:
    """Scores of a checkpoint's averaged parameters on a split, as `tasks.<task>.evaluate`.

    Raises UserError if the checkpoint or the store cannot be used, or do not fit each other.
    """
    from mashjax.checkpoint import read_checkpoint
    from mashjax.data.store import open_store
    from mashjax.training import loop
    from mashjax.training.config import from_dict

    weights = read_checkpoint(checkpoint)
    cfg = from_dict(weights.metadata["config"])
    store = open_store(data)
    loop.check_store(cfg, store)
    count = -(-store.count(split) // cfg.batch_size) if batches is None else batches
    scores = loop.evaluate(
        cfg, weights.params, weights.statistics, store, split=split, batch_count=count
    )
    step = weights.metadata["step"]
    return {"task": cfg.task, "step": step, "split": split, **scores}


def main(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"what is {arguments[0]!r}? Everything here is a --flag=value")
    if DATA.value is None:
        raise UserError("--data is missing")
    scores = evaluate(
        CHECKPOINT.value, data=DATA.value, split=SPLIT.value, batches=BATCHES.value
    )
    print(json.dumps(scores, indent=1))


if __name__ == "__main__":
    cli.run(main)
