"""Lists of addresses: what to collect, and what belongs together."""

import csv
import dataclasses
import os
import pathlib
import urllib.parse

from mashjax.errors import UserError

COLUMNS = ("label", "original1", "original2")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """An address, and the title that a playlist gave it, or ""."""

    address: str
    title: str = ""


Row = tuple[Wanted, ...]
"""One song, or a mashup and its two originals."""


def read_addresses(path: str | os.PathLike) -> list[Row]:
    """The rows of a list, in its order.

    A .csv file has a header with the columns label, original1 and original2, in any order
    and among others: rows of three. Any other file has one address per line: rows of one.
    Empty lines and lines that begin with # are passed over.

    Raises:
      UserError: the file cannot be read, has no address, lacks a column, or a line has
        something else than an http(s) address.
    """
    path = pathlib.Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text file in UTF-8") from error
    written = [
        (number, line.strip())
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    rows = _table(path, written) if path.suffix.lower() == ".csv" else _lines(path, written)
    if not rows:
        raise UserError(f"{path}: has no address in it")
    return rows


def is_address(text: str) -> bool:
    """Whether `text` is an http or https address."""
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError:  # an unclosed bracket in the host
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not set(text) & set(" \t")


def _lines(path: pathlib.Path, written: list[tuple[int, str]]) -> list[Row]:
    return [(_wanted(path, number, line.split(" #")[0]),) for number, line in written]


def _table(path: pathlib.Path, written: list[tuple[int, str]]) -> list[Row]:
    header = next(csv.reader([written[0][1]])) if written else []
    header = [name.strip().lower() for name in header]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise UserError(
            f"{path}: has no column {missing[0]!r}; its first line must be {','.join(COLUMNS)}"
        )
    rows = []
    for number, line in written[1:]:
        cells = next(csv.reader([line]))
        if len(cells) != len(header):
            raise UserError(
                f"{path}, line {number}: has {len(cells)} columns, the first line "
                f"{len(header)}; put an address with a comma in quotes"
            )
        row = dict(zip(header, cells, strict=True))
        rows.append(tuple(_wanted(path, number, row[name]) for name in COLUMNS))
    return rows


def _wanted(path: pathlib.Path, number: int, text: str) -> Wanted:
    text = text.strip()
    if not is_address(text):
        raise UserError(
            f"{path}, line {number}: {text[:80]!r} is no address; write https://... in full"
        )
    return Wanted(text)
