"""Songs by their ids: the library's, and each upload's, which is a library of one song."""

import dataclasses
import os
import pathlib
import stat
from typing import Any

import sqlalchemy as sa
from fastapi import HTTPException

from mashjax.audio.files import ENDINGS
from mashjax.data.layouts.folders import original
from mashjax.library.database import Library
from mashjax.library.finding import Part
from mashjax.library.segments import Segment, told_key
from mashjax.library.tables import SEGMENTS, SONGS, segment_of, style_of


@dataclasses.dataclass(frozen=True)
class Entry:
    """A song where it stands. id: the client's; library, row: of SONGS; music: the root folder of
    the library's paths; title: of an upload, which has another name on disk."""

    id: str
    library: Library
    row: Any
    music: pathlib.Path
    title: str

    @property
    def file(self) -> pathlib.Path:
        """The song's file: a plain one in the music folder, whatever links lead to it.

        Raises:
          HTTPException: 404, it is not there.
        """
        try:
            root = self.music.resolve(strict=True)
            path = (root / original(self.row.path)).resolve(strict=True)
            plain = stat.S_ISREG(path.stat().st_mode) and os.access(path, os.R_OK)
        except (OSError, ValueError) as error:
            raise HTTPException(404, "the song's file is gone; index the folder again") from error
        if not plain or not path.is_relative_to(root) or path.suffix.lower() not in ENDINGS:
            raise HTTPException(404, "the song's file is not in the music folder")
        return path

    def segments(self) -> list[Segment]:
        """All of them, in order."""
        wanted = sa.select(SEGMENTS).where(SEGMENTS.c.song_id == self.row.id)
        with self.library.reading() as connection:
            rows = connection.execute(wanted.order_by(SEGMENTS.c.number)).all()
        return [segment_of(row) for row in rows]

    def part(self, number: int) -> Part:
        """A segment as a search knows it: an upload's has no ids.

        Raises:
          HTTPException: 404, it has no such part.
        """
        found = [segment for segment in self.segments() if segment.number == number]
        if not found:
            raise HTTPException(404, "the song has no such part")
        own = None if self.id.startswith("u") else self.row.id
        return Part(self.row.path, found[0], own, style=style_of(self.row))


def entry(
    library: Library, number: int | None, *, id: str, music: pathlib.Path, title: str = ""
) -> Entry:
    """The song of a library with the row's id `number`; None: the only one.

    Raises:
      HTTPException: 404, there is none.
    """
    wanted = sa.select(SONGS)
    if number is not None:
        wanted = wanted.where(SONGS.c.id == number)
    with library.reading() as connection:
        row = connection.execute(wanted.limit(1)).first()
    if row is None:
        raise HTTPException(404, "there is no such song")
    return Entry(id, library, row, music, title or pathlib.PurePosixPath(row.path).stem)


def listed(library: Library, *, search: str, first: int, most: int) -> dict[str, Any]:
    """A page of the library's songs by path, of those whose path has `search` in it."""
    matching = SONGS.c.path.icontains(search, autoescape=True)
    wanted = sa.select(SONGS).where(matching).order_by(SONGS.c.path, SONGS.c.id)
    with library.reading() as connection:
        total = connection.scalar(sa.select(sa.func.count()).select_from(SONGS).where(matching))
        rows = connection.execute(wanted.offset(first).limit(most)).all()
    songs = [about(row, id=str(row.id)) for row in rows]
    return {"total": total, "songs": songs}


def about(row: Any, *, id: str, title: str = "") -> dict[str, Any]:
    """What a client learns of a song."""
    path = pathlib.PurePosixPath(row.path)
    return {
        "id": id,
        "title": title or path.stem,
        "folder": "" if title or str(path.parent) == "." else str(path.parent),
        "seconds": round(row.seconds, 3),
        "tempo_bpm": None if row.tempo_bpm is None else round(row.tempo_bpm, 2),
        "beats_per_bar": row.beats_per_bar,
        "key": told_key(row),
        "doubts": row.doubts,
    }
