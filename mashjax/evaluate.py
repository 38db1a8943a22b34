"""Score a checkpoint on a store: JSON on stdout.

    python -m mashjax.evaluate --checkpoint=DIR --data=STORE [--split=test] [--examples=N]
        [--step=newest|best|NUMBER]

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


def evaluate(
    checkpoint: str | os.PathLike | None,
    *,
    data: str | os.PathLike,
    split: str = "test",
    examples: int | None = None,
    step: int | str = "newest",
) -> dict[str, Any]:
    """Scores of a checkpoint's averaged parameters on a split, as `tasks.<task>.evaluate`.

    checkpoint: the folder of a run or an export; None: what ships. examples: how many of the
    split, from its start; None: all. step: of a run: "newest", "best" or a number.

    Raises UserError if the checkpoint or the store cannot be used, or do not fit each other.
    """
    from mashjax.data.store import open_store
    from mashjax.tasks.mashup import SHIPPED
    from mashjax.training import scoring
    from mashjax.training.config import from_dict
    from mashjax.training.feed import check_store
    from mashjax.training.loading import read_checkpoint

    weights = read_checkpoint(SHIPPED if checkpoint is None else checkpoint, step=step)
    cfg = from_dict(weights.metadata["config"])
    store = open_store(data)
    check_store(cfg, store)
    scores = scoring.evaluate(
        cfg, weights.params, weights.statistics, store, split=split, examples=examples
    )
    return {"task": cfg.task, "step": weights.metadata["step"], "split": split, **scores}


def main(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"what is {arguments[0]!r}? Everything here is a --flag=value")
    data = flags.FLAGS.data
    if data is None:
        raise UserError("--data is missing: say a store that mashjax.preprocess wrote")
    scores = evaluate(
        flags.FLAGS.checkpoint,
        data=data,
        split=flags.FLAGS.split,
        examples=flags.FLAGS.examples,
        step=flags.FLAGS.step,
    )
    print(json.dumps(scores, indent=1))


def _define_flags() -> None:
    flags.DEFINE_string("checkpoint", None, "A run or an export; default: what ships.")
    flags.DEFINE_string("data", None, "The store that mashjax.preprocess wrote.")
    flags.DEFINE_string("step", "newest", "Of a run: newest, best or a number.")
    flags.DEFINE_enum("split", "test", ["train", "valid", "test"], "Which of its examples.")
    flags.DEFINE_integer("examples", None, "How many of them; default: all.", lower_bound=1)


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
