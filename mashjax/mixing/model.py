"""The network that a mix asks."""

import os

from mashjax.errors import UserError
from mashjax.tasks.mashup import SHIPPED, ModelState, from_weights
from mashjax.training.loading import read_checkpoint


def load_model(checkpoint: str | os.PathLike | None = None) -> ModelState:
    """A mashup model from the folder of a run or an export; None: the one that ships.

    Raises:
      UserError: not a checkpoint, damaged, of another task, of settings that its arrays do
        not fit, or of a network that paints instead of masking.
    """
    folder = os.fspath(SHIPPED if checkpoint is None else checkpoint)
    model = from_weights(read_checkpoint(folder), name=folder)
    if model.cfg.head != "mask":
        raise UserError(f"{folder}: its head is {model.cfg.head!r}, mixing needs one with masks")
    return model
