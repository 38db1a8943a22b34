"""The model that a command is told to use."""

import os

from mashjax.errors import UserError
from mashjax.tasks.genre import ModelState, from_weights
from mashjax.training.loading import read_checkpoint


def read_model(checkpoint: str | os.PathLike | None, *, step: int | str = "newest") -> ModelState:
    """The model of a run or of an export.

    Raises:
      UserError: none is named, or it is none of genres.
    """
    if not checkpoint:
        raise UserError(
            "--checkpoint= is missing: a run of mashjax.train with configs/genre_cnn.py, or what "
            "genre evaluate --export= wrote"
        )
    return from_weights(read_checkpoint(checkpoint, step=step), name=os.fspath(checkpoint))
