"""Checkpoints of a run: written beside the training, the newest and the best of them kept.

Of several processes, the first one writes and reads, and the others get what it has read. No
process waits for another one while a step is written, and they need no disk in common.
"""

import concurrent.futures
import hashlib
import json
import logging
import math
import os
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from mashjax.data.location import no_room_is_an_error
from mashjax.errors import UserError
from mashjax.nn.weights import sha256
from mashjax.training import saved_step
from mashjax.training.saved_step import COMMIT, Commit, Saved, Unsound

LOG = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints in a folder. Saving runs beside the training; rely on it after `wait`."""

    def __init__(self, directory: str | os.PathLike, *, keep: int | None = None):
        """Of a folder, or of an address like gs://bucket/run/checkpoints.

        keep: how many of the newest to keep, besides the one with the highest score; None: all.
        """
        self.directory = os.fspath(directory)
        self._keep = keep
        self._passed_over: set[int] = set()
        self._saving: concurrent.futures.Future | None = None

    def save(
        self, step: int, tree: Any, metadata: dict[str, Any], *, score: float | None = None
    ) -> None:
        """Start saving; arrays are copied before this returns. Every process may call it.

        score: how good the step is, where that is known; higher is better.

        Raises UserError if the save before this one did not succeed.
        """
        self.wait()
        if jax.process_index() != 0:
            return
        # Copied, since the next step gives the memory of these away.
        arrays = {path: np.array(array) for path, array in flat_arrays(tree).items()}
        thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        score = None if score is None else float(score)
        self._saving = thread.submit(self._save, Saved(step, arrays, metadata, score))
        thread.shutdown(wait=False)  # it ends when the save does

    def wait(self) -> None:
        """Until the last save is written. Raises UserError if the disk or bucket refused it."""
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.result()

    def steps(self) -> list[int]:
        """The finished steps, oldest first; they may still be unsound."""
        found = saved_step.listed(self.directory)
        return sorted(step for step, files in found.items() if COMMIT in files)

    def unfinished(self) -> list[int]:
        """Steps whose saving was interrupted, oldest first."""
        found = saved_step.listed(self.directory)
        return sorted(step for step, files in found.items() if COMMIT not in files)

    def commit(self, step: int) -> Commit:
        """What was written down of a step. Raises Unsound if it is missing or damaged."""
        return saved_step.read_commit(self._of(step), step)

    def read(self, step: int) -> Saved:
        """Read a step and check all of it. Raises Unsound."""
        return saved_step.read(self._of(step), step)

    def sound(self, *, best_first: bool = False) -> Iterator[Saved]:
        """The sound steps, newest first; the others are named in the log.

        best_first: those that have a score, the highest first.
        """
        newest_first = sorted(saved_step.listed(self.directory), reverse=True)
        for step in self._ranking() if best_first else newest_first:
            try:
                saved = self.read(step)
            except Unsound as fault:
                self._passed_over.add(step)
                LOG.warning("%s: step %d is passed over: %s", self.directory, step, fault)
            else:
                yield saved

    def newest(self) -> Saved | None:
        """The newest sound step. All processes must call it, and get what the first one read.

        Raises UserError if there are steps and none is sound: whether to begin again is not for a
        program to decide.
        """
        saved = None
        if jax.process_index() == 0:
            saved = next(self.sound(), None)
            if saved is None and self.steps():
                raise UserError(
                    f"{self.directory}: every step is damaged; use another folder, or remove this "
                    "one to begin again"
                )
        return saved if jax.process_count() == 1 else _from_the_first(saved)

    def best(self) -> int | None:
        """The step with the highest score, the oldest of equals."""
        return next(iter(self._ranking()), None)

    def _save(self, saved: Saved) -> None:
        """Write a step, then remove those that are no longer wanted."""
        # What an interrupted save left is in nobody's way, but it may fill the disk; an unsound
        # step of the same number is in the way.
        self._remove({*self.unfinished(), saved.step})
        before = self.steps()
        try:
            with no_room_is_an_error(self._of(saved.step)):
                saved_step.write(self._of(saved.step), saved)
        except UserError as error:
            self._remove([saved.step])
            kept = f"steps {', '.join(map(str, before))} are kept" if before else "no step is kept"
            raise UserError(f"{error}; {kept}") from error
        self._passed_over.discard(saved.step)
        if self._keep is not None:
            newest = [step for step in self.steps() if step not in self._passed_over]
            self._remove({*self.steps()} - {*newest[-self._keep :], self.best()})

    def _ranking(self) -> list[int]:
        """The steps that have a score, the highest first, the oldest of equals first."""
        scores = {}
        for step in self.steps():
            try:
                score = self.commit(step).score
            except Unsound:
                continue  # whoever reads the step will say so
            if score is not None and not math.isnan(score):
                scores[step] = score
        return sorted(scores, key=lambda step: (-scores[step], step))

    def _remove(self, steps: Iterable[int]) -> None:
        for step in steps:
            saved_step.remove(self._of(step))

    def _of(self, step: int) -> str:
        return f"{self.directory.rstrip('/')}/{step}"


def folder_in(workdir: str | os.PathLike) -> str:
    """Where a run in `workdir`, a folder or an address, keeps its checkpoints."""
    return f"{os.fspath(workdir).rstrip('/')}/checkpoints"


def newest(directory: str | os.PathLike) -> Saved:
    """The newest sound step in a folder of checkpoints. Raises UserError if there is none."""
    saved = Checkpoints(directory).newest()
    if saved is None:
        raise UserError(f"{directory}: holds no sound checkpoint")
    return saved


def chosen(directory: str | os.PathLike, step: int | str) -> Saved:
    """The "newest" sound step, the "best" by score, or the one of a number.

    Raises UserError if there is none, or the one of that number is damaged.
    """
    if step == "newest":
        return newest(directory)
    checkpoints = Checkpoints(directory)
    if step == "best":
        for saved in checkpoints.sound(best_first=True):
            return saved
        raise UserError(f"{directory}: no sound checkpoint has a score")
    if not str(step).isdecimal() or int(step) not in checkpoints.steps():
        known = ", ".join(map(str, checkpoints.steps())) or "no step"
        raise UserError(f"{directory}: has {known}, not {step}; say newest, best or one of these")
    try:
        return checkpoints.read(int(step))
    except Unsound as fault:
        raise UserError(f"{directory}: step {step} is damaged: {fault}") from fault


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
    return hashlib.sha256(text.encode()).hexdigest()


def _from_the_first(saved: Saved | None) -> Saved | None:
    """What the first process has, in all of them; `saved` of the others is not looked at."""

    def shared(arrays: list[np.ndarray]) -> list[np.ndarray]:
        # As bytes, since what is received is a sum over processes, and -0.0 + 0.0 is 0.0.
        views = [np.frombuffer(array.tobytes(), np.uint8) for array in arrays]
        received = multihost_utils.broadcast_one_to_all(views)
        return [
            np.frombuffer(bytes(view), array.dtype).reshape(array.shape)
            for view, array in zip(received, arrays, strict=True)
        ]

    head = b""
    if saved is not None:
        about = {path: (array.dtype.name, array.shape) for path, array in saved.arrays.items()}
        head = json.dumps((saved.step, saved.metadata, saved.score, about)).encode()
    (length,) = shared([np.array(len(head))])
    if length == 0:
        return None
    (text,) = shared([np.frombuffer(head or bytes(length), np.uint8)])
    step, metadata, score, about = json.loads(bytes(text))
    own = [
        np.zeros(shape, jnp.dtype(name)) if saved is None else saved.arrays[path]
        for path, (name, shape) in about.items()
    ]
    return Saved(step, dict(zip(about, shared(own), strict=True)), metadata, score)
