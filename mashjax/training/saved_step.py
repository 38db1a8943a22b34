"""A step that was saved: a folder on a disk or in a bucket, whole or absent, and checked by hash.

    state/        the arrays, written by Orbax
    COMMIT.json   step, time, score, settings, a SHA-256 of each array and of each file; sealed by
                  its own hash, and written last, at once: a step without it was never finished

Orbax has a mark of its own for what is finished, but no option that notices a flipped bit, so the
files are compared with their hashes before Orbax sees them, and the arrays with theirs after.

The only file that knows Orbax. (Its older interface: saving with the newer one, in 0.12, makes all
processes meet, and here the first one works alone.)
"""

import contextlib
import dataclasses
import datetime
import errno
import json
import logging
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts

from mashjax.data.location import local_folder, open_location, read_file
from mashjax.data.sealing import file_sha256, sealed
from mashjax.nn.weights import sha256

COMMIT = "COMMIT.json"
STATE = "state"

# Orbax prints each of its threads' tracebacks before it raises what was wrong.
logging.getLogger("absl").addFilter(lambda record: "/orbax/" not in record.pathname)
# When a save fails, its other writes go on and find nobody to tell: one traceback for each of them.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)
_unraisablehook = sys.unraisablehook


def _unless_nobody_listens(unraisable: "sys.UnraisableHookArgs") -> None:
    if str(unraisable.exc_value) != "Event loop is closed":
        _unraisablehook(unraisable)


sys.unraisablehook = _unless_nobody_listens


@dataclasses.dataclass(frozen=True)
class Saved:
    """A sound step: its arrays by path ("params/magnitude/head/bias"), and what they mean."""

    step: int
    arrays: dict[str, np.ndarray]
    metadata: dict[str, Any]
    score: float | None = None  # higher is better


@dataclasses.dataclass(frozen=True)
class Commit:
    """What COMMIT.json says."""

    step: int
    time: str  # ISO 8601, UTC
    score: float | None
    metadata: dict[str, Any]
    arrays: dict[str, str]  # SHA-256 by path
    files: dict[str, str]  # SHA-256 by name within the step's folder
    bytes: int  # of all these files


class Unsound(Exception):
    """A step that is not what was saved."""


def write(where: str, saved: Saved) -> None:
    """Write a step into the folder or address `where`, which holds nothing yet.

    Raises what Orbax, TensorStore and the file system raise when they cannot.
    """
    to = open_location(where)
    with _folder(where) as folder:
        _orbax().save(folder / STATE, args=ocp.args.PyTreeSave(saved.arrays), force=True)
        written = sorted(path for path in (folder / STATE).rglob("*") if path.is_file())
        names = {path.relative_to(folder).as_posix(): path for path in written}
        commit = Commit(
            step=saved.step,
            time=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            score=saved.score,
            metadata=saved.metadata,
            arrays={path: sha256(array) for path, array in saved.arrays.items()},
            files={name: file_sha256(path) for name, path in names.items()},
            bytes=sum(path.stat().st_size for path in written),
        )
        if local_folder(where) is None:
            for name, path in names.items():
                to.write(name, path.read_bytes()).result()
    content = json.loads(json.dumps(dataclasses.asdict(commit)))  # as it will be read
    to.write(COMMIT, sealed(content)).result()


def read_commit(where: str, step: int) -> Commit:
    """What COMMIT.json says of `step` in `where`. Raises Unsound if it is missing or damaged."""
    raw = read_file(open_location(where), COMMIT)
    if raw is None:
        raise Unsound(f"it has no {COMMIT}: its save was interrupted, or the file was deleted")
    try:
        content = json.loads(raw)
        del content["sha256"]
        commit = Commit(**content)
    except (ValueError, KeyError, TypeError) as error:
        raise Unsound(f"{COMMIT} is not what was saved") from error
    if sealed(content) != raw or commit.step != step:
        raise Unsound(f"{COMMIT} is not what was saved")
    return commit


def read(where: str, step: int) -> Saved:
    """Read `step` from `where`, and check every file and every array. Raises Unsound."""
    commit = read_commit(where, step)
    with _folder(where, fetched=commit.files) as folder:
        for name, hashed in commit.files.items():
            if not (folder / name).is_file():
                raise Unsound(f"{name} is missing")
            if file_sha256(folder / name) != hashed:
                raise Unsound(f"{name} is not what was saved")
        restored = _orbax().restore(folder / STATE, args=ocp.args.PyTreeRestore())
    arrays = {path: np.asarray(array) for path, array in restored.items()}
    for path in sorted(commit.arrays.keys() | arrays.keys()):
        if path not in arrays or sha256(arrays[path]) != commit.arrays.get(path):
            raise Unsound(f"{path} is not what was saved")
    return Saved(step, arrays, {**commit.metadata, "step": step}, commit.score)


def remove(where: str) -> None:
    """Remove a step. The commit goes first: what a kill leaves of it is no step any more."""
    files, folder = open_location(where), local_folder(where)
    files.write(COMMIT, None).result()
    if folder is None:
        files.delete_range(ts.KvStore.KeyRange()).result()
    else:
        _remove_folder(folder)


def _remove_folder(folder: pathlib.Path, *, tries: int = 100) -> None:
    """Remove a folder into which the writes of a save that failed, which go on, may still write."""
    while folder.exists():
        tries -= 1
        try:
            shutil.rmtree(folder)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not tries:
                raise
            time.sleep(0.05)


def listed(directory: str) -> dict[int, set[str]]:
    """The files of each step in `directory`; finished are those with a commit."""
    found: dict[int, set[str]] = {}
    for name in open_location(directory).list().result():
        step, _, file = name.decode().partition("/")
        if step.isdecimal():
            found.setdefault(int(step), set()).add(file)
    return found


@contextlib.contextmanager
def _folder(where: str, *, fetched: Iterable[str] = ()) -> Iterator[pathlib.Path]:
    """The folder `where`; of a bucket, one on a disk that stands for it, with the files fetched."""
    if (folder := local_folder(where)) is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="mashjax-") as beside:
        for name in fetched:
            if (raw := read_file(open_location(where), name)) is not None:
                path = pathlib.Path(beside, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(raw)
        yield pathlib.Path(beside)


def _orbax() -> ocp.Checkpointer:
    """Orbax for the first process alone."""
    alone = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})
    return ocp.Checkpointer(
        # Compressed, 400 MB of floats are 8 % less, for half as much work again.
        ocp.PyTreeCheckpointHandler(
            use_zarr3=True, use_compression=False, multiprocessing_options=alone
        ),
        multiprocessing_options=alone,
        # Without renaming: a step is whole once it has its commit.
        atomicity_options=ocp.options.AtomicityOptions(mode=ocp.options.AtomicityMode.COMMIT_FILE),
    )
