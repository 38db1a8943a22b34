"""Which segments of a library mix with a part of a song: rules in SQL, sketches, then a close look.

The rules' SQL names those that may be stretched and shifted onto the query; the sketches, kept in
memory, choose `COMPARED` of them; those are read and compared.
"""

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Mapping

import numpy as np
import sqlalchemy as sa
import threadpoolctl

from mashjax.data.layouts.folders import shown
from mashjax.data.sealing import file_sha256
from mashjax.errors import UserError
from mashjax.library.comparing import STYLE, Match, compare, styled
from mashjax.library.comparing import WEIGHTS as DEFAULT_WEIGHTS
from mashjax.library.database import Library
from mashjax.library.explaining import explain
from mashjax.library.indexing import song_of
from mashjax.library.rules import read_rules
from mashjax.library.segments import VERSION, Segment
from mashjax.library.sketching import SKETCH, sketch_scores
from mashjax.library.styling import style_of_file
from mashjax.library.tables import SEGMENTS, SONGS, WEIGHTS, segment_of, style_of
from mashjax.music.alignment import Limits

COMPARED = 400
"""Of those that pass the rules: all in a library of 1,000 segments. A larger one may keep a partner
whose chords are no loop: of 50 planted ones, 34 were among the first 0.4 % by sketches (as by the
score itself 41), 47 among the first 10 %."""


@dataclasses.dataclass(frozen=True)
class Part:
    """A segment and where it is. song: its path in the library's folder, or as it was given; ids:
    None for a song that is not in the library; style: the song's, None where it is not known."""

    song: str
    segment: Segment
    song_id: int | None = None
    id: int | None = None
    style: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Partner:
    """A part that goes with the query. why: a sentence."""

    part: Part
    match: Match
    why: str


class Finder:
    """Searches one library; keeps its sketches, so that the second search is quick.

    Ids are never used twice: what is new has greater ones and is read when it is there, what is
    gone is not named by the rules any more.
    """

    def __init__(self, library: Library, *, diagonals: bool = False):
        """diagonals: see `read_rules`."""
        self._library = library
        self._rules = read_rules(diagonals=diagonals)
        # A second thread gains nothing on products this small, and BLAS's threads wait by spinning:
        # 300 ms of processor time a search in place of 89.
        self._threads = threadpoolctl.ThreadpoolController()
        self._sketches = np.zeros((0, SKETCH), np.float32)
        self._ids = np.zeros(0, np.int64)  # of its rows
        self._rows = np.zeros(0, np.int32)  # id -> row

    def partners(
        self,
        query: Part,
        *,
        role: str = "any",
        limits: Limits = Limits(),
        weights: Mapping[str, float] = DEFAULT_WEIGHTS,
        top: int = 10,
    ) -> list[Partner]:
        """The best segments for `query`, best first; of each song only its best, since songs repeat
        themselves.

        Args:
          role: what the query is in the pair, "lead", "backing" or "any".
          weights: of the parts of the score, see `weights_in_use`.
          top: how many at most.
        """
        with self._library.reading() as connection:
            rule = self._rules.candidates(query.segment, song_id=query.song_id, limits=limits)
            ids = np.fromstring(connection.scalar(rule) or "", np.int64, sep=",")
            self._read_sketches(connection)
            passed = np.zeros(len(self._sketches), bool)
            passed[self._rows[ids]] = True
            rows = np.flatnonzero(passed)
            with self._threads.limit(limits=1):
                scores = sketch_scores(query.segment, self._sketches, rows, limits=limits)
            best = rows[_highest(scores, COMPARED)]
            parts = read_parts(connection, SEGMENTS.c.id.in_(self._ids[best].tolist()))
        with self._threads.limit(limits=1):
            return self._ranked(query, parts, role=role, limits=limits, weights=weights, top=top)

    def _read_sketches(self, connection: sa.Connection) -> None:
        """Those of segments that have come since the last time."""
        newest = int(self._ids[-1]) if len(self._ids) else 0
        columns = sa.select(SEGMENTS.c.id, SEGMENTS.c.sketch).join(SONGS)
        wanted = columns.where(SEGMENTS.c.id > newest, SONGS.c.version == VERSION)
        new = connection.execute(wanted.order_by(SEGMENTS.c.id)).all()
        if not new:
            return
        sketches = np.frombuffer(b"".join(row.sketch for row in new), "<f4")
        self._sketches = np.concatenate([self._sketches, sketches.reshape(len(new), SKETCH)])
        self._ids = np.concatenate([self._ids, [row.id for row in new]])
        self._rows = np.zeros(self._ids[-1] + 1, np.int32)
        self._rows[self._ids] = np.arange(len(self._ids))

    def _ranked(
        self,
        query: Part,
        parts: list[Part],
        *,
        role: str,
        limits: Limits,
        weights: Mapping[str, float],
        top: int,
    ) -> list[Partner]:
        segments = [part.segment for part in parts]
        shifts = self._rules.shifts(query.segment, segments)
        matches = compare(
            query.segment, segments, role=role, limits=limits, weights=weights, shifts=shifts
        )
        found = [
            (styled(match, query.style, part.style), part)
            for match, part in zip(matches, parts, strict=True)
            if match
        ]
        weights = {**weights, "style": STYLE}
        usual = {
            name: float(np.mean([m.parts[name] for m, _ in found if name in m.parts] or [0.0]))
            for name in weights
        }
        best: dict[int | None, tuple[Match, Part]] = {}
        for match, part in sorted(found, key=lambda pair: -pair[0].total):
            best.setdefault(part.song_id, (match, part))
        return [
            Partner(
                part,
                match,
                explain(
                    query.segment,
                    part.segment,
                    match,
                    rules=self._rules,
                    weights=weights,
                    usual=usual,
                ),
            )
            for match, part in itertools.islice(best.values(), top)
        ]


def _highest(scores: np.ndarray, count: int) -> np.ndarray:
    """Places of the highest `count` scores, in no order."""
    if len(scores) <= count:
        return np.arange(len(scores))
    return np.argpartition(-scores, count)[:count]


def find(
    song: str | os.PathLike,
    library: Library,
    *,
    role: str = "any",
    limits: Limits = Limits(),
    diagonals: bool = False,
    top: int = 10,
) -> list[tuple[Part, list[Partner]]]:
    """The parts of a song, each with its partners; see `Finder.partners`.

    Raises:
      UserError: the song has no parts; the library has no songs of this version.
    """
    need_songs(library)
    finder, weights = Finder(library, diagonals=diagonals), weights_in_use(library)
    return [
        (part, finder.partners(part, role=role, limits=limits, weights=weights, top=top))
        for part in parts_of(song, library)
    ]


def need_songs(library: Library) -> None:
    """Raises UserError: the library has no songs of this version."""
    with library.reading() as connection:
        current = sa.select(SONGS.c.id).where(SONGS.c.version == VERSION).limit(1)
        if connection.scalar(current) is None:
            raise UserError(
                f"{library.name}: has no songs that this mashjax described; run match index FOLDER"
            )


def parts_of(song: str | os.PathLike, library: Library) -> list[Part]:
    """A song's segments: from the library, where it has a file of this content or this path, or
    described on the spot.

    Raises:
      UserError: no such file, not audio, or nothing in it that could be matched.
    """
    path = pathlib.Path(song)
    with library.reading() as connection:
        known = (
            SONGS.c.sha256 == file_sha256(path) if path.is_file() else SONGS.c.path == shown(path)
        )
        row = connection.execute(sa.select(SONGS).where(known, SONGS.c.version == VERSION)).first()
        if row:
            parts, doubts = read_parts(connection, SEGMENTS.c.song_id == row.id), row.doubts
    if not row:
        described = song_of(path)
        style = style_of_file(library, path) if described.segments else None
        parts = [Part(str(song), segment, style=style) for segment in described.segments]
        doubts = list(described.doubts)
    if not parts:
        raise UserError(f"{song}: has no part that could be matched: {', '.join(doubts)}")
    return parts


def match(
    query: Part,
    partner: Part,
    *,
    role: str,
    weights: Mapping[str, float],
    limits: Limits = Limits(),
    diagonals: bool = False,
) -> Match | None:
    """How two segments go together, as a `Finder` finds it; None: they do not."""
    other = [partner.segment]
    shifts = read_rules(diagonals=diagonals).shifts(query.segment, other)
    found = compare(query.segment, other, role=role, limits=limits, weights=weights, shifts=shifts)[
        0
    ]
    return found and styled(found, query.style, partner.style)


def weights_in_use(library: Library) -> Mapping[str, float]:
    """Those learned from ratings, or the default."""
    newest = sa.select(WEIGHTS.c.weights).where(WEIGHTS.c.in_use).order_by(WEIGHTS.c.version.desc())
    with library.reading() as connection:
        return {**DEFAULT_WEIGHTS, **(connection.scalar(newest.limit(1)) or {})}


def read_parts(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[Part]:
    """The segments of a library for which `which` holds, in the order of their ids."""
    columns = sa.select(SONGS.c.path, SONGS.c.style, SEGMENTS).join(SONGS).where(which)
    return [
        Part(row.path, segment_of(row), row.song_id, row.id, style_of(row))
        for row in connection.execute(columns.order_by(SEGMENTS.c.id))
    ]
