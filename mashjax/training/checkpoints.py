"""Checkpoints of a run: whole or absent, and checked by hash when they come back.

The only file that knows Orbax. A step is committed by a file of its own (COMMIT_FILE): Orbax's
default, a rename, lists half-deleted steps as whole. No option of Orbax's notices a flipped bit,
so a SHA-256 of every array is saved in the same step, and restoring walks back to the newest step
whose hashes hold.
"""

import dataclasses
import datetime
import gc
import hashlib
import json
import logging
import os
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint.experimental.v1 as ocp

from mashjax.errors import UserError
from mashjax.nn.weights import sha256

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Saved:
    """A sound step: its arrays by path ("params/magnitude/head/bias"), and what they mean."""

    step: int
    arrays: dict[str, np.ndarray]
    metadata: dict[str, Any]


class Unsound(Exception):
    """A step that is not what was saved."""


class Checkpoints:
    """The checkpoints in a folder. Saving runs beside the training; rely on it after `wait`."""

    def __init__(self, directory: str | os.PathLike, *, keep: int | None = None):
        """keep: how many of the newest to keep; None: all (and the folder is only read)."""
        self.directory = pathlib.Path(directory).absolute()
        self._keep = keep
        self._open: ocp.training.Checkpointer | None = None

    def save(self, step: int, tree: Any, metadata: dict[str, Any]) -> None:
        """Start saving; arrays are copied before this returns."""
        arrays = flat_arrays(tree)
        hashes = {path: sha256(array) for path, array in arrays.items()}
        text = json.dumps({**metadata, "step": step, "sha256": hashes})
        self._checkpointer.save_checkpointables_async(
            step,
            {"state": arrays, "metadata": {"json": text, "sha256": _sha256(text)}},
            force=True,
            overwrite=True,  # an unsound step of the same number may be in the way
        )

    def wait(self) -> None:
        """Until the last save is on disk; raises what went wrong with it."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def steps(self) -> list[int]:
        """The committed steps, oldest first; they may still be unsound."""
        if not self.directory.is_dir():
            return []
        return [checkpoint.step for checkpoint in self._checkpointer.checkpoints]

    def read(self, step: int) -> Saved:
        """Read a step and check every array. Raises Unsound."""
        arrays, text, text_hash = self._load(step)
        if _sha256(text) != text_hash:
            raise Unsound("its metadata is not what was saved")
        metadata = json.loads(text)
        hashes = metadata.pop("sha256")
        if hashes.keys() != arrays.keys():
            raise Unsound(f"arrays are missing: {sorted(hashes.keys() ^ arrays.keys())[:3]}")
        for path, array in arrays.items():
            if sha256(array) != hashes[path]:
                raise Unsound(f"{path} is not what was saved")
        if metadata.get("step") != step:
            raise Unsound(f"it says that it is step {metadata.get('step')}")
        return Saved(step, arrays, metadata)

    def _load(self, step: int) -> tuple[dict[str, np.ndarray], str, str]:
        """A step as Orbax reads it, its arrays unchecked. Raises Unsound if it cannot be read."""
        try:
            loaded = self._checkpointer.load_checkpointables(step)
            arrays = {path: np.asarray(array) for path, array in loaded["state"].items()}
            return arrays, loaded["metadata"]["json"], loaded["metadata"]["sha256"]
        except Exception as error:  # whatever a damaged file makes Orbax and TensorStore raise
            fault = f"cannot be read ({type(error).__name__})"
        with warnings.catch_warnings():
            # A load that fails leaves a coroutine behind, which complains when it is collected.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            gc.collect()
        raise Unsound(fault)

    def sound(self) -> Iterator[Saved]:
        """The sound steps, newest first; the others are named in the log."""
        for step in reversed(self.steps()):
            try:
                yield self.read(step)
            except Unsound as fault:
                LOG.warning("%s: step %d is passed over: %s", self.directory, step, fault)

    def written_at(self, step: int) -> datetime.datetime:
        return datetime.datetime.fromtimestamp((self.directory / str(step)).stat().st_mtime)

    def size(self, step: int) -> int:
        """Bytes on disk."""
        files = (self.directory / str(step)).rglob("*")
        return sum(file.stat().st_size for file in files if file.is_file())

    @property
    def _checkpointer(self) -> ocp.training.Checkpointer:
        if self._open is None:
            context = ocp.Context()
            context.atomicity.mode = ocp.options.AtomicityMode.COMMIT_FILE
            policies = ocp.training.preservation_policies
            preserved = (
                policies.PreserveAll() if self._keep is None else policies.LatestN(self._keep)
            )
            self._open = ocp.training.Checkpointer(
                self.directory,
                context=context,
                preservation_policy=preserved,
                cleanup_tmp_directories=self._keep is not None,
            )
        return self._open


def newest(directory: str | os.PathLike) -> Saved:
    """The newest sound step of a run. Raises UserError if there is none."""
    for saved in Checkpoints(directory).sound():
        return saved
    raise UserError(f"{directory}: holds no sound checkpoint")


def flat_arrays(tree: Any) -> dict[str, np.ndarray]:
    """Every array of a tree by its path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }


def restored(tree: Any, arrays: dict[str, np.ndarray], *, where: str) -> Any:
    """Put saved arrays in the place of a tree's own.

    Raises UserError, naming both, where path, shape or dtype differ: Orbax would cast in silence.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
    paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
    if set(paths) != set(arrays):
        odd = sorted(set(paths) ^ set(arrays))[0]
        raise UserError(f"{where}: {odd} is in only one of the checkpoint and the model")
    for path, (_, leaf) in zip(paths, leaves, strict=True):
        found, wanted = (arrays[path].dtype, arrays[path].shape), (leaf.dtype, leaf.shape)
        if found != wanted:
            raise UserError(
                f"{where}: {path} is {found[0]}{list(found[1])} in the checkpoint and "
                f"{wanted[0]}{list(wanted[1])} in the model"
            )
    return jax.tree_util.tree_unflatten(structure, [arrays[path] for path in paths])


def digest(saved: Saved) -> str:
    """One SHA-256 of params, optimiser and step."""
    hashes = {path: sha256(array) for path, array in saved.arrays.items()}
    text = json.dumps({"step": saved.step, **hashes}, sort_keys=True)
    return _sha256(text)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
