"""From a folder of songs to a library, and from a changed folder to a changed library.

What a file holds, its SHA-256, says which song it is; its place, size and time of change only say
whether it must be read again. Songs are committed one by one, so a killed run goes on with the
songs that are missing.
"""

import dataclasses
import functools
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from mashjax.audio import files
from mashjax.data.executors import executor, run_all
from mashjax.data.layouts.folders import original, shown
from mashjax.data.layouts.plain_songs import PlainSong, find_plain_songs
from mashjax.data.sealing import file_sha256
from mashjax.data.sources import Rejected
from mashjax.errors import UserError
from mashjax.library.database import Library
from mashjax.library.segments import VERSION, Song
from mashjax.library.sketching import sketch
from mashjax.library.tables import SEGMENTS, SETTINGS, SONGS, segment_row, song_row

AHEAD = 64
"""Songs handed to a cluster at a time: its size is not known, and may change."""

Progress = Callable[[int, int], None]
"""Called with (songs done, songs to do)."""


@dataclasses.dataclass
class Summary:
    """What became of a folder. songs: now in the library; left_out: what could not be used."""

    songs: int = 0
    segments: int = 0
    described: int = 0
    unchanged: int = 0
    moved: int = 0  # or only touched: the same content
    dropped: int = 0  # the file is gone, or holds something else
    left_out: list[Rejected] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class File:
    """A song's file as it was found. id: its path below the root, as `shown` shows it."""

    id: str
    path: pathlib.Path
    size: int  # bytes
    mtime_ns: int
    sha256: str = ""  # "": not read yet


def index(
    folder: str | os.PathLike,
    library: Library,
    *,
    workers: int = 1,
    scheduler: str = "",
    progress: Progress = lambda done, total: None,
) -> Summary:
    """Bring the library to what is in the folder; files that have not changed are not read.

    Args:
      folder: a tree of wav, flac, mp3 and ogg files.
      workers: processes of this machine.
      scheduler: address of a Dask scheduler, whose workers describe the songs instead; they must
        see the files at the same paths.
      progress: called after each song.

    Raises:
      UserError: the folder is absent or has no songs; another process is indexing; the library
        has the songs of another folder, or cannot be written.
    """
    summary = Summary()
    found = find_plain_songs(folder)
    with library.holding() as writing:
        with writing() as connection:
            _claim(connection, folder, library.name)
        todo, present = _settle(found, writing, summary)
        jobs = _jobs(todo, present, summary)
        useless = len(summary.left_out)
        with executor(workers, scheduler=scheduler) as pool:
            ahead = AHEAD if scheduler else 1 if workers == 1 else 2 * workers
            for file, outcome in run_all(pool, jobs, ahead=ahead):
                if isinstance(outcome, str):
                    summary.left_out.append(Rejected(file.id, outcome))
                else:
                    with writing() as connection:
                        _write(connection, file, *outcome)
                    summary.described += 1
                progress(summary.described + len(summary.left_out) - useless, len(todo))
        with writing() as connection:
            for name, table in (("songs", SONGS), ("segments", SEGMENTS)):
                count = sa.select(sa.func.count()).select_from(table)
                setattr(summary, name, connection.scalar(count))
    return summary


def root_of(library: Library) -> pathlib.Path:
    """The folder that the library's paths begin at."""
    with library.reading() as connection:
        return pathlib.Path(original(connection.scalar(_ROOT) or ""))


_ROOT = sa.select(SETTINGS.c.value).where(SETTINGS.c.name == "folder")


def described(file: File) -> tuple[File, tuple[dict[str, Any], list[dict[str, Any]]] | str]:
    """A song's row and those of its segments, or why there are none. Runs anywhere."""
    try:
        song = song_of(file.path)
    except UserError as error:
        return file, str(error)
    segments = [segment_row(segment, sketch=sketch(segment)) for segment in song.segments]
    return file, (song_row(song), segments)


def song_of(path: str | os.PathLike) -> Song:
    """A file's description; what was odd about the file is among its doubts.

    Raises:
      UserError: see `files.read`.
    """
    clip = files.read(path)
    from mashjax.library.describing import describe  # JAX: only where something is described

    song = describe(clip.y, sr=clip.sr, model=_model())
    return dataclasses.replace(song, doubts=(*song.doubts, clip.note)) if clip.note else song


@functools.cache
def _model() -> Any:
    """The network, once in each process."""
    from mashjax.mixing.model import load_model

    return load_model()


def _claim(connection: sa.Connection, folder: str | os.PathLike, name: str) -> None:
    """Note whose songs these are; a folder that is gone may have become another."""
    now = os.path.realpath(folder)
    before = connection.scalar(_ROOT)
    if before and before != shown(now) and os.path.isdir(original(before)):
        raise UserError(
            f"{name}: has the songs of {before}; index that, or choose another --library"
        )
    connection.execute(sa.delete(SETTINGS).where(SETTINGS.c.name == "folder"))
    connection.execute(sa.insert(SETTINGS), {"name": "folder", "value": shown(now)})


def _settle(
    found: list[PlainSong], writing: Callable, summary: Summary
) -> tuple[list[File], dict[str, str]]:
    """Do what needs no listening: moves and losses, in one transaction.

    Returns the files to be described, and what is there already: SHA-256 -> id of its file.
    """
    with writing() as connection:
        known = {row.path: row for row in connection.execute(sa.select(*_KNOWN))}
    present: dict[str, str] = {}
    todo: list[File] = []
    lost, changed = dict(known), []
    for song in found:
        file = _stat(song)
        if isinstance(file, Rejected):
            summary.left_out.append(file)
            continue
        row = known.get(file.id)
        if row and (row.size, row.mtime_ns) == (file.size, file.mtime_ns):
            del lost[file.id]
            present[row.sha256] = file.id
            if row.version != VERSION:
                todo.append(dataclasses.replace(file, sha256=row.sha256))
        else:
            changed.append(file)
    summary.unchanged = len(present) - len(todo)
    contents = {row.sha256: row for row in lost.values()}
    sizes = {row.size for row in lost.values()}
    moves = []
    for file in changed:
        hashed = _hashed(file) if file.size in sizes else file
        if isinstance(hashed, Rejected):
            summary.left_out.append(hashed)
            continue
        row = contents.pop(hashed.sha256, None)
        if row:
            moves.append((row.id, hashed))
            present[hashed.sha256] = hashed.id
        if not row or row.version != VERSION:
            todo.append(hashed)
    closed = tuple(f"{song.id}/" for song in found if song.problem)
    gone = [row.id for row in contents.values() if not row.path.startswith(closed)]
    with writing() as connection:
        for id, file in moves:
            values = {"path": file.id, "size": file.size, "mtime_ns": file.mtime_ns}
            connection.execute(sa.update(SONGS).where(SONGS.c.id == id).values(values))
        for id in gone:
            connection.execute(sa.delete(SONGS).where(SONGS.c.id == id))
    summary.moved, summary.dropped = len(moves), len(gone)
    return todo, present


_KNOWN = (SONGS.c.id, SONGS.c.path, SONGS.c.sha256, SONGS.c.size, SONGS.c.mtime_ns, SONGS.c.version)


def _stat(song: PlainSong) -> File | Rejected:
    if song.problem:
        return Rejected(song.id, song.problem)
    try:
        stat = song.path.stat()
    except OSError as error:
        return Rejected(song.id, f"{song.path}: cannot be read: {error.strerror}")
    return File(song.id, song.path.absolute(), stat.st_size, stat.st_mtime_ns)


def _hashed(file: File) -> File | Rejected:
    try:
        return dataclasses.replace(file, sha256=file.sha256 or file_sha256(file.path))
    except OSError as error:
        return Rejected(file.id, f"{file.path}: cannot be read: {error.strerror}")


def _jobs(
    todo: list[File], present: dict[str, str], summary: Summary
) -> Iterator[tuple[Callable, tuple, dict]]:
    """A job for each file that is not another's copy; read for its hash when its turn comes."""
    for file in todo:
        hashed = _hashed(file)
        if isinstance(hashed, Rejected):
            summary.left_out.append(hashed)
        elif (first := present.setdefault(hashed.sha256, file.id)) != file.id:
            summary.left_out.append(Rejected(file.id, f"the same recording as {first}"))
        else:
            yield described, (hashed,), {}


def _write(
    connection: sa.Connection, file: File, song: dict[str, Any], segments: list[dict[str, Any]]
) -> None:
    """A song in the place of what was known of it."""
    connection.execute(sa.delete(SONGS).where(SONGS.c.sha256 == file.sha256))
    row = {
        "path": file.id,
        "sha256": file.sha256,
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "added": time.time(),
        "version": VERSION,
        **song,
    }
    id = connection.scalar(sa.insert(SONGS).returning(SONGS.c.id), row)
    if segments:
        connection.execute(sa.insert(SEGMENTS), [{"song_id": id, **s} for s in segments])
