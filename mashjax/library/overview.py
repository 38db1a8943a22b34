"""A library as a whole: its songs and its doubts, its groups, and whether new songs are like it."""

import collections
import dataclasses
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import sqlalchemy as sa

from mashjax.audio import files
from mashjax.errors import UserError
from mashjax.library.charts import ENDINGS
from mashjax.library.database import Library
from mashjax.library.drift import Drift, drift
from mashjax.library.features import SCALES, table, vectors
from mashjax.library.finding import need_songs, read_parts
from mashjax.library.grouping import Groups, group
from mashjax.library.indexing import root_of
from mashjax.library.mapping import COLOURS, Point, draw
from mashjax.library.segments import VERSION
from mashjax.library.tables import SEGMENTS, SONGS

MOST_POINTS = 5_000  # on a map; of more segments, evenly chosen ones
DAY = 86_400.0  # seconds


@dataclasses.dataclass(frozen=True)
class Status:
    """What there is, and what not to rely on.

    pool: the songs to learn from, those without doubts; doubted: the others, with the reasons;
    outdated: songs of another version of the analysis; new: how many of the pool came last, 0 if
    all did; drift: of these against the rest, see `drift.drift`.
    """

    songs: int
    segments: int
    pool: list[str]
    doubted: dict[str, list[str]]
    outdated: int
    new: int
    drift: list[Drift]


def status(library: Library, *, days: float = 1.0) -> Status:
    """days: songs count as new that came within so many days before the newest one."""
    with library.reading() as connection:
        songs = connection.execute(sa.select(SONGS).order_by(SONGS.c.path)).all()
        of_library = sa.select(sa.func.count()).select_from(SEGMENTS)
        segments = connection.scalar(of_library)
    current = [song for song in songs if song.version == VERSION]
    pool = [song for song in current if not song.doubts]
    newest = max((song.added for song in pool), default=0.0)
    old: list[np.ndarray] = []
    new: list[np.ndarray] = []
    for song in pool:  # one by one, so that memory does not grow with the library
        with library.reading() as connection:
            parts = read_parts(connection, SEGMENTS.c.song_id == song.id)
        if parts:
            medians = np.median(table([part.segment for part in parts]), axis=0)
            (new if song.added > newest - days * DAY else old).append(medians)
    return Status(
        songs=len(songs),
        segments=int(segments or 0),
        pool=[song.path for song in pool],
        doubted={song.path: list(song.doubts) for song in current if song.doubts},
        outdated=len(songs) - len(current),
        new=len(new) if old else 0,
        drift=drift(np.array(old), np.array(new), names=list(SCALES)),
    )


def not_in_pool(
    library: Library, folder: str | os.PathLike, songs: Iterable[str]
) -> dict[str, str]:
    """Why songs are not to be learned from: song -> what is doubtful.

    folder: whose songs are in the library; songs: their paths below it, as `shown` shows them.

    Raises:
      UserError: the library has the songs of another folder.
    """
    root = root_of(library)
    if os.path.realpath(folder) != os.path.realpath(root):
        raise UserError(f"{library.name}: has the songs of {root}, not of {os.fspath(folder)}")
    columns = sa.select(SONGS.c.path, SONGS.c.doubts).where(SONGS.c.version == VERSION)
    with library.reading() as connection:
        doubts = {row.path: ", ".join(row.doubts) for row in connection.execute(columns)}
    unknown = "is not in the library; run match index"
    found = {song: doubts.get(song, unknown) for song in songs}
    return {song: why for song, why in found.items() if why}


def draw_map(
    library: Library, path: str | os.PathLike, *, colour: str = "group"
) -> tuple[list[Point], Groups]:
    """Group the segments of the pool and write their map, a .png or an .html file.

    Raises:
      UserError: no such colour or ending, the place cannot be written, or there is no segment.
    """
    if colour not in COLOURS:
        raise UserError(f"--colour={colour}: say {', '.join(COLOURS)}")
    files.check_ending(path, ENDINGS)
    files.check_folder(path)
    need_songs(library)
    with library.reading() as connection:
        sound = (SONGS.c.version == VERSION) & (sa.cast(SONGS.c.doubts, sa.Text) == "[]")
        columns = sa.select(SEGMENTS.c.id, SEGMENTS.c.song_id).join(SONGS).where(sound)
        rows = connection.execute(columns.order_by(SEGMENTS.c.id)).all()
        songs = connection.scalar(sa.select(sa.func.count()).select_from(SONGS)) or 0
    if not rows:
        raise UserError(f"{library.name}: no song is without doubts; see match status")
    chosen = [row.id for row in rows[:: -(-len(rows) // MOST_POINTS)]]
    with library.reading() as connection:
        parts = read_parts(connection, SEGMENTS.c.id.in_(chosen))
    groups = group(vectors([part.segment for part in parts]))
    points = [
        Point(
            x=float(position[0]),
            y=float(position[1]),
            song=part.song,
            start=part.segment.start,
            end=part.segment.end,
            tonic=part.segment.tonic,
            mode=part.segment.mode,
            tempo_bpm=part.segment.tempo_bpm,
            group=int(label),
        )
        for part, position, label in zip(parts, groups.positions, groups.labels, strict=True)
    ]
    sound_songs = len({row.song_id for row in rows})
    about = f"{len(rows)} segments of {sound_songs} songs"
    about += f", {len(points)} of them drawn" if len(points) < len(rows) else ""
    about += f" ({songs - sound_songs} songs left out, see match status)" * (songs > sound_songs)
    with files.replacing(path) as beside:
        draw(points, beside, colour=colour, title=os.path.basename(library.name), about=about)
    return points, groups


def groups_of(points: list[Point]) -> list[dict[str, Any]]:
    """What is in each group: counts, the middle tempo, the most frequent key."""
    found = []
    for label in sorted({point.group for point in points}):
        inside = [point for point in points if point.group == label]
        found.append(
            {
                "group": label + 1,
                "segments": len(inside),
                "songs": len({point.song for point in inside}),
                "tempo_bpm": round(float(np.median([p.tempo_bpm for p in inside])), 1),
                "key": collections.Counter(p.key for p in inside).most_common(1)[0][0],
            }
        )
    return found
