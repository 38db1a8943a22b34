"""A model's numbers out of whatever folder holds them: a run, or an export of one."""

import os
import pathlib

from mashjax.errors import UserError
from mashjax.nn.weights import Weights, read_weights, unflatten


def read_checkpoint(directory: str | os.PathLike, *, step: int | str = "newest") -> Weights:
    """The weights in an export, or the averaged parameters of one step of a run.

    directory: a folder, or the address of a run in a bucket.
    step: of a run: "newest", the newest sound one; "best", the sound one with the highest score;
      or its number.

    Raises:
      UserError: no such folder or step, neither of both, or damaged.
    """
    where = os.fspath(directory)
    if "://" not in where:
        path = pathlib.Path(where)
        if not path.exists():
            raise UserError(f"{path}: no such checkpoint")
        if not (path / "checkpoints").is_dir():
            return read_weights(path)
    from mashjax.training import checkpoints  # Orbax takes a second: only for runs

    saved = checkpoints.chosen(checkpoints.folder_in(where), step)
    tree = unflatten(saved.arrays)
    # The average over the last steps scores better than the last step's own parameters.
    return Weights(tree["ema"], tree["statistics"], saved.metadata)
