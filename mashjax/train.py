"""Train a network, or go on with a run that was interrupted.

python -m mashjax.train --config=configs/mashup.py --data=STORE --workdir=RUN
    [--config.optim.learning_rate=3e-4 ...] [--init_from=RUN [--init_partial]]
    [--distributed] [--tensorboard] [--profile_steps=3]

STORE and RUN are folders, or addresses such as gs://bucket/run. The last line on stdout is
"done: step N" or, after SIGTERM, "stopped at step N". Exits 1 where the loss is no number.
"""

import dataclasses
import runpy
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags

from mashjax import cli
from mashjax.errors import UserError
from mashjax.training.config import TrainConfig


def read_config(path: str) -> TrainConfig:
    """The config that a file of configs/ gives. Raises ValueError, one line, if it gives none."""
    try:
        config = runpy.run_path(path)["get_config"]()
    except Exception as error:  # the file is the user's own program: anything may go wrong in it
        raise ValueError(f"{path} gives no config: {type(error).__name__}: {error}") from error
    if not isinstance(config, TrainConfig):
        raise ValueError(f"{path} gives no config: get_config() returned {type(config).__name__}")
    for argument in sys.argv[1:]:
        if argument.startswith("--config."):
            _check_field(config, argument.removeprefix("--config.").split("=")[0])
    return config


def main(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"what is {arguments[0]!r}? Everything here is a --flag=value")
    values = flags.FLAGS
    data, workdir = values.data, values.workdir
    if not values["config"].present:
        raise UserError("--config is missing: say a file of configs/")
    if data is None:
        raise UserError("--data is missing: say a store that mashjax.preprocess wrote")
    if workdir is None:
        raise UserError("--workdir is missing: say where checkpoints shall go")
    if values.init_partial and values.init_from is None:
        raise UserError("--init_partial takes over parts of a run: say which, with --init_from")
    # Orbax and the rest: only once the flags are right.
    from mashjax.training import distributed
    from mashjax.training.loop import train
    from mashjax.training.memory import keep_freed_memory
    from mashjax.training.reporting import log_to_stderr

    keep_freed_memory()  # before JAX's threads begin, or they keep none
    if values.distributed:
        distributed.initialise()
    log_to_stderr()
    try:
        outcome = train(
            values.config,
            data=data,
            workdir=workdir,
            init_from=values.init_from,
            init_partial=values.init_partial,
            profile_steps=values.profile_steps,
            tensorboard=values.tensorboard,
        )
    except FloatingPointError as error:
        print(f"mashjax.train: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"{'stopped at' if outcome.stopped else 'done:'} step {outcome.step}")


def _check_field(config: TrainConfig, path: str) -> None:
    """ml_collections lets a misspelt field end in a KeyError's traceback."""
    holder: Any = config
    for name in path.split("."):
        if not dataclasses.is_dataclass(holder):
            raise ValueError(f"config.{path} goes too deep: there are no fields in {holder!r}")
        fields = [field.name for field in dataclasses.fields(holder)]
        if name not in fields:
            raise ValueError(f"there is no config.{path}: choose from {', '.join(fields)}")
        holder = getattr(holder, name)


def _define_flags() -> None:
    config_flags.DEFINE_config_dataclass(
        "config", TrainConfig(), "What to train: a file of configs/.", parse_fn=read_config
    )
    flags.DEFINE_string("data", None, "The store that mashjax.preprocess wrote.")
    flags.DEFINE_bool("distributed", False, "This is one of several processes.")
    flags.DEFINE_string("init_from", None, "The workdir of a run to start from, to fine-tune it.")
    flags.DEFINE_bool("init_partial", False, "Take over what fits, of a run of another model.")
    flags.DEFINE_integer("profile_steps", 0, "Steps to trace into WORKDIR/profile.", lower_bound=0)
    flags.DEFINE_bool("tensorboard", False, "Curves, sounds and pictures: WORKDIR/tensorboard.")
    flags.DEFINE_string("workdir", None, "Where checkpoints and metrics go.")


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
