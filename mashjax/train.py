"""Train a network, or go on with a run that was interrupted.

    python -m mashjax.train --config=configs/mashup.py --data=STORE --workdir=RUN
        [--config.optim.learning_rate=3e-4 ...]
"""

import logging
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from mashjax import cli
from mashjax.errors import UserError

CONFIG = config_flags.DEFINE_config_file("config", None, "What to train: a file of configs/.")
DATA = flags.DEFINE_string("data", None, "The store that mashjax.preprocess wrote.")
WORKDIR = flags.DEFINE_string("workdir", None, "Where checkpoints and metrics go.")


def main(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"what is {arguments[0]!r}? Everything here is a --flag=value")
    for name, value in (("config", CONFIG.value), ("data", DATA.value), ("workdir", WORKDIR.value)):
        if value is None:
            raise UserError(f"--{name} is missing")
    from mashjax.training.loop import train

    logging.getLogger("mashjax").setLevel(logging.INFO)
    outcome = train(CONFIG.value, data=DATA.value, workdir=WORKDIR.value)
    print(f"{'stopped at' if outcome.stopped else 'done:'} step {outcome.step}")


if __name__ == "__main__":
    cli.run(main)
