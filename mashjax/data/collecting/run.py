"""Fetch what a list of addresses names and a folder does not have yet."""

import contextlib
import dataclasses
import fcntl
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mashjax.data.collecting import fetching
from mashjax.data.collecting.addresses import Row
from mashjax.data.collecting.collection import Collection, Source
from mashjax.errors import UserError

Progress = Callable[[str, int, int], None]
"""Called with (address, files done, files in all)."""

_ABOUT = ("title", "artist", "uploader", "licence", "seconds")


@dataclasses.dataclass(frozen=True)
class Summary:
    """What is there of the list now.

    files: in the folder; `new` of them since this run, `seconds` and `bytes` long.
    rows, complete: rows of the list, and those of which every file is there.
    repeated: rows that came again, and counted once.
    failed, changed: files that could not be fetched, and those that are no longer as long
    as they were; the latter are left alone.
    """

    kind: str
    rows: int
    complete: int
    repeated: int
    files: int
    new: int
    seconds: float
    bytes: int
    failed: list[Source]
    changed: list[Source]


def collect(
    rows: Sequence[Row],
    output: str | os.PathLike,
    *,
    format: str = "mp3",
    timeout: float = 20.0,
    progress: Progress = lambda address, done, total: None,
) -> Summary:
    """Fetch every address of `rows` that is not yet in the folder `output`.

    An address keeps its index, whatever rows come or go later. One that failed is tried
    again by the next call. One that is in several rows is fetched once and linked.

    Args:
      rows: one address each (songs), or three (a mashup and its two originals).
      output: the folder; made if it does not exist.
      format: of the files, one of `fetching.FORMATS`; what arrives in it is kept as it is.
      timeout: seconds without an answer, of a few tries each.
      progress: called before each file, and at the end.

    Raises:
      UserError: yt-dlp is missing; the folder cannot be written, is full, in use, or holds
        what was collected otherwise; one mashup has two rows with other originals.
    """
    fetching.check_yt_dlp()
    if format not in fetching.FORMATS:
        raise UserError(f"{format!r} is no format; use one of {', '.join(fetching.FORMATS)}")
    distinct = _distinct(rows)
    folder = pathlib.Path(output)
    kind = "songs" if len(distinct[0]) == 1 else "labelled"
    with _held(folder), _file_system_refusals(folder):
        collection = Collection.read(folder, kind=kind, format=format)
        plans = [collection.plan(row) for row in distinct]
        collection.settle()
        collection.write()
        titles = [wanted.title for row in distinct for wanted in row]
        sources = [source for plan in plans for source in plan]
        new = 0
        try:
            for done, (source, title) in enumerate(zip(sources, titles, strict=True)):
                progress(source.address, done, len(sources))
                if not source.file:
                    new += _obtain(collection, source, title=title, timeout=timeout)
            progress("", len(sources), len(sources))
        finally:
            collection.clear()
        there = [source for source in sources if source.file]
        changed = [s for s in there if (folder / s.file).stat().st_size != s.bytes]
    return Summary(
        kind=kind,
        rows=len(plans),
        complete=sum(all(source.file for source in plan) for plan in plans),
        repeated=len(rows) - len(distinct),
        files=len(there),
        new=new,
        seconds=sum(source.seconds for source in there),
        bytes=sum(source.bytes for source in there),
        failed=[source for source in sources if not source.file],
        changed=changed,
    )


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """The rows without those that come again."""
    if not rows:
        raise UserError("there is no address to collect")
    by_first: dict[str, Row] = {}
    for row in rows:
        first = by_first.setdefault(row[0].address, row)
        if [w.address for w in first] != [w.address for w in row]:
            raise UserError(f"{row[0].address}: is in two rows with other originals; remove one")
    return list(by_first.values())


def _obtain(collection: Collection, source: Source, *, title: str, timeout: float) -> bool:
    """Whether the file is there now; if not, the source says why."""
    work = collection.empty_folder()
    twin = collection.twin(source)
    if twin:
        path = work / "twin"
        _link(collection.folder / twin.file, path)
        collection.accept(source, path, **_about(twin))
        return True
    try:
        fetched = fetching.fetch(source.address, work, format=collection.format, timeout=timeout)
    except fetching.Unavailable as why:
        collection.refuse(source, str(why))
        return False
    about = _about(fetched)
    collection.accept(source, fetched.path, **about | ({"title": title} if title else {}))
    return True


def _about(of: Source | fetching.Fetched) -> dict[str, Any]:
    return {name: getattr(of, name) for name in _ABOUT}


def _link(old: pathlib.Path, new: pathlib.Path) -> None:
    try:
        os.link(old, new)
    except OSError:  # a file system without links
        shutil.copyfile(old, new)


@contextlib.contextmanager
def _held(folder: pathlib.Path) -> Iterator[None]:
    """The folder, there and held by this process alone; the lock dies with the process."""
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError as error:
        raise UserError(f"{folder}: {folder.parent} does not exist; create it first") from error
    except FileExistsError as error:
        raise UserError(f"{folder}: is a file; name a folder") from error
    except OSError as error:
        raise UserError(f"{folder}: cannot be made: {error.strerror}") from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(f"{folder}: is not writable")
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise UserError(f"{folder}: another mashjax.collect is at work on it") from error
    try:
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _file_system_refusals(folder: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error
