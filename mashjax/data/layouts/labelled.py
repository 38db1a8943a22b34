"""The labelled layout: human-made mashups, each with its two originals.

Either a `pairs.csv` (label,original1,original2) says which files belong together, or the names
do, wherever in the tree the files lie:

    label      [12][Some mashup].mp3       or  12_Some mashup.mp3
    originals  [12][0][One song].mp3       or  12_0_One song.mp3
               [12][1][Another song].mp3       12_1_Another song.mp3

A name `12_7_...` (or `[12][7]...`) with one digit in second place is original 7 of mashup 12;
only where 12 has no other label, and two originals with the numbers 0 and 1, or 1 and 2, that 7
does not continue, is it the label "7_...".
"""

import collections
import csv
import dataclasses
import io
import os
import pathlib
import posixpath
import re
import unicodedata
from collections.abc import Hashable, Sequence

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from mashjax.data.layouts.folders import (
    UNREADABLE,
    Folder,
    cannot_be_read,
    ending,
    nothing_found,
    shown,
    walk,
)
from mashjax.errors import UserError

PAIRS = "pairs.csv"
COLUMNS = ("label", "original1", "original2")

LeftOut = list[tuple[str, str]]
"""(id, why) of what could not be used."""


@dataclasses.dataclass(frozen=True)
class Mashup:
    """A mashup and the songs that it was made of, in the order of their numbers.

    id: the song index, or the label's path in pairs.csv. group: mashups that share an original,
    directly or through others, have the same one: the id of the first of them.
    """

    id: str
    group: str
    label: pathlib.Path
    originals: tuple[pathlib.Path, pathlib.Path]

    @property
    def files(self) -> dict[str, list[pathlib.Path]]:
        """Source files, by what they are for."""
        return {"label": [self.label], "originals": list(self.originals)}


@dataclasses.dataclass(frozen=True)
class Name:
    """What a file name says: song index, number of the original (None for a label), song."""

    index: int
    original: int | None
    song: str


def find_mashups(folder: str | os.PathLike) -> tuple[list[Mashup], LeftOut]:
    """Mashups of a tree, and what is incomplete or contradicts itself; no audio is opened.

    Both are sorted: by song index, or by the label's path where a pairs.csv in `folder` says
    what belongs together (names are not looked at then).

    Raises:
      UserError: `folder` is absent, a file, closed, or has no complete mashup; pairs.csv is
        no table of the three columns.
    """
    tree = walk(folder)
    tables = [name for name in tree[0].files if name.lower() == PAIRS]
    if tables:
        found, left_out = _listed(tree[0].path / tables[0])
    else:
        found, left_out = _named(tree)
        left_out += [(f.id, f.problem) for f in tree if f.problem]
    if not found and left_out:
        id, why = left_out[0]
        raise UserError(
            f"{tree[0].path}: has no complete mashup, {len(left_out)} left out; {id}: {why}"
        )
    if not found:
        wanted = f"{PAIRS}, and no files named 12_mashup.mp3, 12_0_song.mp3, 12_1_song.mp3"
        raise nothing_found(tree, wanted=wanted)
    groups = _components([keys for _, keys in found])
    ids = [mashup.id for mashup, _ in found]
    return [
        dataclasses.replace(mashup, group=ids[first])
        for (mashup, _), first in zip(found, groups, strict=True)
    ], left_out


def parse_name(stem: str) -> Name | None:
    """Read a file name without its ending; None if it begins with no song index.

    >>> parse_name("12_0_One song")
    Name(index=12, original=0, song='One song')
    """
    match = _BRACKETS.fullmatch(stem) or _PLAIN.fullmatch(stem)
    if match is None:
        return None
    index, original, song = match.groups()
    if stem.startswith("[") and song.startswith("[") and song.endswith("]"):
        song = song[1:-1]
    return Name(int(index), None if original is None else int(original), song.strip())


_BRACKETS = re.compile(r"\[([0-9]{1,18})\]\s*(?:\[(0?[0-9])\]\s*)?(.+)", re.DOTALL)
_PLAIN = re.compile(r"([0-9]{1,18})_(?:(0?[0-9])_)?(.+)", re.DOTALL)

Found = list[tuple[Mashup, Sequence[Hashable]]]
"""Mashups still without their groups, and what they would share with others of their group."""


@dataclasses.dataclass(frozen=True)
class _Claim:
    """A file that says that it is a part of a mashup."""

    id: str
    path: pathlib.Path
    real: str
    name: Name


def _named(tree: Sequence[Folder]) -> tuple[Found, LeftOut]:
    claims: dict[int, list[_Claim]] = collections.defaultdict(list)
    nameless: LeftOut = []
    for f in tree:
        for file in f.audio + f.unreadable:
            id, path = f.id_of(file), f.path / file
            name = parse_name(path.stem)
            if name is not None:
                claims[name.index].append(_Claim(id, path, f.real_path(file), name))
            elif ending(file) not in UNREADABLE:
                why = "has no song index in its name; call it 12_name or, an original, 12_0_name"
                nameless.append((id, why))
    if not claims:
        return [], sorted(nameless)
    found: Found = []
    left_out: LeftOut = []
    for index, files in sorted(claims.items()):
        parts = _parts(sorted(files, key=lambda c: (c.name.original or 0, c.id)))
        if isinstance(parts, str):
            left_out.append((str(index), parts))
            continue
        label, one, two = parts
        songs = (song_key(c.name.song) for c in (one, two))
        keys = [one.real, two.real, *(("song", song) for song in songs if song)]
        mashup = Mashup(str(index), "", label.path, (one.path, two.path))
        found.append((mashup, keys))
    return found, left_out + sorted(nameless)


def _parts(claims: list[_Claim]) -> tuple[_Claim, _Claim, _Claim] | str:
    """Label and two originals of one song index, or why there are none; claims by number."""
    for claim in claims:
        if ending(claim.path.name) in UNREADABLE:
            return cannot_be_read(claim.id)
    labels = [c for c in claims if c.name.original is None]
    originals = [c for c in claims if c.name.original is not None]
    numbers = [c.name.original for c in originals if c.name.original is not None]
    pair = numbers[:2] in ([0, 1], [1, 2])
    if not labels and len(numbers) == 3 and pair and numbers[2] > numbers[1] + 1:
        labels, originals = originals[2:], originals[:2]
    twice = [c.id for c in originals if numbers.count(c.name.original or 0) > 1]
    if len(labels) > 1:
        return f"{len(labels)} files claim to be the label: {_names(labels)}"
    if twice:
        return f"files claim to be the same original: {', '.join(twice)}"
    if len(originals) > 2:
        hint = "" if labels else "; a label that begins with a number is better called [12][2_name]"
        return f"{len(originals)} originals, a mashup has two: {_names(originals)}{hint}"
    if not labels:
        return f"no label for {_names(originals)}"
    if len(originals) == 1:
        return f"the other original is missing, there is only {_names(originals)}"
    if not originals:
        return f"both originals of {_names(labels)} are missing"
    return labels[0], originals[0], originals[1]


def _names(claims: list[_Claim]) -> str:
    return ", ".join(c.id for c in claims)


def song_key(song: str) -> str:
    """A song's name without case and punctuation, in any script; "" if it tells no song.

    >>> song_key("Song_B (Live!)")
    'song b live'
    """
    text = unicodedata.normalize("NFKC", song).casefold()
    words = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text).split()
    return "" if words == ["untitled"] else " ".join(words)


def _listed(path: pathlib.Path) -> tuple[Found, LeftOut]:
    rows = _read_table(path)
    found: Found = []
    left_out: LeftOut = []
    lines: dict[str, list[tuple[int, list[str]]]] = collections.defaultdict(list)
    for line, cells in rows:
        if len(cells) < 3 or not all(cells[:3]):
            left_out.append((f"{PAIRS} line {line}", f"needs {', '.join(COLUMNS)}"))
            continue
        real = [os.path.realpath(path.parent / cell) for cell in cells]
        lines[real[0]].append((line, [*cells, *real]))
    for same in lines.values():
        line, (*cells, label, one, two) = same[0]
        id = shown(posixpath.normpath(pathlib.Path(cells[0]).as_posix()))
        if len({tuple(sorted(row[4:])) for _, row in same}) > 1:
            numbers = ", ".join(str(line) for line, _ in same)
            left_out.append((id, f"has different originals in lines {numbers} of {PAIRS}"))
            continue
        why = _unusable(cells, (label, one, two))
        if why:
            left_out.append((id, f"{PAIRS} line {line}: {why}"))
            continue
        parts = [path.parent / cell for cell in cells]
        found.append((Mashup(id, "", parts[0], (parts[1], parts[2])), [label, one, two]))
    return sorted(found, key=lambda f: f[0].id), left_out


def _unusable(cells: list[str], real: tuple[str, str, str]) -> str:
    """Why a row's files cannot be used, or ""."""
    for column, cell, file in zip(COLUMNS, cells, real, strict=True):
        if not os.path.isfile(file):
            return f"{column} {shown(cell)} is not there"
        if ending(cell) in UNREADABLE:
            return cannot_be_read(cell)
    if len(set(real)) < 3:
        return "names one file twice"
    return ""


def _read_table(path: pathlib.Path) -> list[tuple[int, list[str]]]:
    """(line, [label, original1, original2]) of every row that is not empty."""
    try:
        raw = path.read_bytes()
        utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = raw.decode("utf-16" if utf16 else "utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: may not be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8; save it as CSV in UTF-8") from error
    try:
        # A spreadsheet's separator is its country's: the one that gives most rows three cells.
        rows = max(
            (_rows(text, delimiter) for delimiter in ",;\t"),
            key=lambda rows: sum(len(cells) >= 3 for _, cells in rows),
        )
    except csv.Error as error:
        raise UserError(f"{path}: is no table: {error}") from error
    if not rows:
        raise UserError(f"{path}: is empty; write a line {','.join(COLUMNS)} and one per mashup")
    header = [cell.lower() for cell in rows[0][1]]
    if "label" not in header:
        return [(line, cells[:3]) for line, cells in rows]
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise UserError(f"{path}: has no column {missing[0]}; it needs {', '.join(COLUMNS)}")
    places = [header.index(column) for column in COLUMNS]
    return [(line, [cells[i] for i in places if i < len(cells)]) for line, cells in rows[1:]]


def _rows(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows = ((reader.line_num, [cell.strip() for cell in cells]) for cells in reader)
    return [(line, cells) for line, cells in rows if any(cells)]


def _components(keys: Sequence[Sequence[Hashable]]) -> list[int]:
    """For each list of keys the first of the lists that it is connected with by shared keys."""
    places: dict[Hashable, int] = {}
    edges = [
        (i, len(keys) + places.setdefault(key, len(places)))
        for i, some in enumerate(keys)
        for key in some
    ]
    size = len(keys) + len(places)
    rows, columns = np.array(edges).T
    graph = coo_matrix((np.ones(len(edges), bool), (rows, columns)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    first: dict[int, int] = {}
    return [first.setdefault(c, i) for i, c in enumerate(component[: len(keys)].tolist())]
