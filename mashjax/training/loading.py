"""A model's numbers out of whatever folder holds them: a run, or an export of one."""

import os
import pathlib

from mashjax.errors import UserError
from mashjax.nn.weights import Weights, read_weights, unflatten


def read_checkpoint(directory: str | os.PathLike) -> Weights:
    """The weights in an export, or the averaged parameters of a run's newest sound step.

    Raises:
      UserError: no such folder, neither of both, or damaged.
    """
    path = pathlib.Path(directory)
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint")
    if not (path / "checkpoints").is_dir():
        return read_weights(path)
    from mashjax.training.checkpoints import newest  # Orbax takes a second: only for runs

    saved = newest(path / "checkpoints")
    tree = unflatten(saved.arrays)
    # The average over the last steps scores better than the last step's own parameters.
    return Weights(tree["ema"], tree["statistics"], saved.metadata)
