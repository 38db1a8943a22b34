"""The library's tables, and how songs and segments become rows.

Numbers and words are columns, so that SQL can ask for them; a segment's arrays are one blob that
is only read when it is compared, its sketch another. Ids are never used twice.
"""

import dataclasses
from typing import Any

import numpy as np
import sqlalchemy as sa

from mashjax.library.segments import SCALARS, Segment, Song, pack, unpack

_TYPES: dict[Any, type] = {int: sa.Integer, float: sa.Double, str: sa.Text}


def _columns(kind: type) -> list[sa.Column]:
    """A column for each field that is a number or a word."""
    return [
        sa.Column(f.name, _TYPES[f.type], nullable=False)
        for f in dataclasses.fields(kind)
        if f.type in _TYPES
    ]


METADATA = sa.MetaData()

SETTINGS = sa.Table(
    "settings",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),  # "folder": the root of all paths
    sa.Column("value", sa.Text, nullable=False),
)

SONGS = sa.Table(
    "songs",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("path", sa.Text, nullable=False, index=True),  # below the root, as `shown` shows it
    sa.Column("sha256", sa.Text, nullable=False, unique=True),  # of the file
    sa.Column("size", sa.BigInteger, nullable=False),  # bytes
    sa.Column("mtime_ns", sa.BigInteger, nullable=False),  # as `stat` says
    sa.Column("added", sa.Double, nullable=False),  # when: seconds since 1970
    sa.Column("version", sa.Integer, nullable=False),  # VERSION of `segments` that described it
    *_columns(Song),
    sa.Column("tempo_bpm", sa.Double),
    sa.Column("doubts", sa.JSON, nullable=False),  # list of phrases
    sa.Column("style", sa.LargeBinary),  # float32, see `styling`; NULL: not known
    sqlite_autoincrement=True,
)

SEGMENTS = sa.Table(
    "segments",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("song_id", sa.ForeignKey("songs.id", ondelete="CASCADE"), nullable=False, index=True),
    *_columns(Segment),
    sa.Column("sketch", sa.LargeBinary, nullable=False),  # float32
    sa.Column("arrays", sa.LargeBinary, nullable=False),  # see `pack`
    # All that the rules ask for: they read the index alone, not the rows with their blobs.
    sa.Index(
        "ix_segments_rules",
        *("beats_per_bar", "tempo_bpm", "song_id", "mode", "tonic", "key_confidence"),
        postgresql_include=["id"],
    ),
    sqlite_autoincrement=True,
)

RATINGS = sa.Table(
    "ratings",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),  # when: seconds since 1970
    # Segments by what the file holds and where: ids do not outlive another description.
    sa.Column("query_sha256", sa.Text, nullable=False),
    sa.Column("query_start", sa.Double, nullable=False),  # seconds
    sa.Column("query_end", sa.Double, nullable=False),
    sa.Column("partner_sha256", sa.Text, nullable=False),
    sa.Column("partner_start", sa.Double, nullable=False),
    sa.Column("partner_end", sa.Double, nullable=False),
    sa.Column("role", sa.Text, nullable=False),  # of the query
    sa.Column("parts", sa.JSON, nullable=False),  # of the score, name -> 0..1
    sa.Column("features", sa.JSON, nullable=False),  # of both segments, as they were
    sa.Column("rating", sa.Integer, nullable=False),  # 1..5
    sqlite_autoincrement=True,
)

WEIGHTS = sa.Table(
    "weights",
    METADATA,
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),  # when: seconds since 1970
    sa.Column("weights", sa.JSON, nullable=False),  # part of the score -> weight
    sa.Column("agreement", sa.JSON, nullable=False),  # with the ratings they were learned from
    sa.Column("in_use", sa.Boolean, nullable=False),
    sqlite_autoincrement=True,
)


def song_row(song: Song) -> dict[str, Any]:
    """What a row of SONGS says of the song itself."""
    row = {f.name: getattr(song, f.name) for f in dataclasses.fields(Song) if f.name != "segments"}
    return {**row, "doubts": list(song.doubts)}


def segment_row(segment: Segment, *, sketch: np.ndarray) -> dict[str, Any]:
    """A row of SEGMENTS, without the song. sketch: float32 [dimensions]."""
    row = {name: getattr(segment, name) for name in SCALARS}
    packed = np.ascontiguousarray(sketch, "<f4").tobytes()
    return {**row, "sketch": packed, "arrays": pack(segment)}


def style_of(row: Any) -> np.ndarray | None:
    """The style of a row that has one of SONGS, float32 [embedding]; None: it is not known."""
    return None if row.style is None else np.frombuffer(row.style, "<f4")


def segment_of(row: Any) -> Segment:
    """The segment of a row that has SCALARS and `arrays`."""
    return unpack(row.arrays, **{name: getattr(row, name) for name in SCALARS})
