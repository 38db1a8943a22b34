"""The library's segments as audio files: DIR/trackid/trackid_slice0.wav, trackid_slice1.wav, ..."""

import concurrent.futures
import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator

import sqlalchemy as sa

from mashjax.audio import files
from mashjax.data.executors import run_all
from mashjax.data.layouts.folders import original
from mashjax.data.sources import Rejected
from mashjax.errors import UserError
from mashjax.library.database import Library
from mashjax.library.indexing import root_of
from mashjax.library.tables import SEGMENTS, SONGS

MAX_NAME_BYTES = 120
_SLICE = re.compile(r"(.+-[0-9a-f]{8})_slice(\d+)\.wav")

Slices = list[tuple[pathlib.Path, int, int]]
"""Where each goes, and its first and last sample in the song."""


@dataclasses.dataclass
class Exported:
    """Slices written and removed, and songs that could not be read."""

    written: int = 0
    removed: int = 0
    left_out: list[Rejected] = dataclasses.field(default_factory=list)


def export(
    library: Library, folder: str | os.PathLike, pool: concurrent.futures.Executor, *, ahead: int
) -> Exported:
    """Write every segment that is not there yet, and remove slices of what the library has no more.

    Args:
      folder: made if it does not exist; for slices of this library alone.
      pool: where songs are read and written, at most `ahead` at a time.

    Raises:
      UserError: the folder cannot be written.
    """
    done = Exported()
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made: {error.strerror}") from error
    wanted: dict[str, int] = {}
    songs = _songs(library, folder.absolute(), wanted)
    for outcome in run_all(pool, ((export_song, song, {}) for song in songs), ahead=ahead):
        if isinstance(outcome, Rejected):
            done.left_out.append(outcome)
        else:
            done.written += outcome
    done.removed = _tidy(folder, wanted)
    return done


def export_song(song: pathlib.Path, id: str, slices: Slices, described: float) -> int | Rejected:
    """Write the slices that are missing, or older than the song's description (seconds since 1970);
    how many they were. Runs anywhere."""
    import soundfile

    def is_there(path: pathlib.Path, frames: int) -> bool:
        if not path.exists() or path.stat().st_mtime < described:
            return False
        return soundfile.info(path).frames == frames

    missing = [s for s in slices if not is_there(s[0], s[2] - s[1])]
    if not missing:
        return 0
    try:
        clip = files.read(song)
    except UserError as error:
        return Rejected(id, str(error))
    for path, start, end in missing:
        path.parent.mkdir(exist_ok=True)
        files.write(path, clip.y[:, start:end], sr=clip.sr)
    return len(missing)


def trackid(path: str, sha256: str) -> str:
    """A name for a song that any file system takes and no other song has.

    >>> trackid("Some Band/What? (live).mp3", "0123456789abcdef")
    'What_ (live)-01234567'
    """
    stem = re.sub(r"[^\w ().,&'+-]", "_", pathlib.PurePosixPath(path).stem)
    stem = stem.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip(" .")
    return f"{stem}-{sha256[:8]}"


def _songs(
    library: Library, folder: pathlib.Path, wanted: dict[str, int]
) -> Iterator[tuple[pathlib.Path, str, Slices, float]]:
    """What `export_song` is to be asked, of each song in turn; notes trackids and slices of each in
    `wanted`."""
    columns = (SONGS.c.id, SONGS.c.path, SONGS.c.sha256, SONGS.c.sample_rate, SONGS.c.added)
    with library.reading() as connection:
        songs = connection.execute(sa.select(*columns).order_by(SONGS.c.path)).all()
    root = root_of(library)
    for song in songs:
        with library.reading() as connection:
            of_song = sa.select(SEGMENTS.c.number, SEGMENTS.c.start, SEGMENTS.c.end)
            rows = connection.execute(of_song.where(SEGMENTS.c.song_id == song.id)).all()
        name, sr = trackid(song.path, song.sha256), song.sample_rate
        wanted[name] = len(rows)
        slices = [
            (
                folder / name / f"{name}_slice{row.number}.wav",
                round(row.start * sr),
                round(row.end * sr),
            )
            for row in rows
        ]
        yield root / original(song.path), song.path, slices, song.added


def _tidy(folder: pathlib.Path, wanted: dict[str, int]) -> int:
    """Remove slices that no song has; how many they were. Other files stay."""
    removed = 0
    for path in sorted(folder.glob("*/*_slice*.wav")):
        named = _SLICE.fullmatch(path.name)
        ours = named and named[1] == path.parent.name
        if named and ours and int(named[2]) >= wanted.get(named[1], 0):
            path.unlink()
            removed += 1
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
    return removed
