"""Vectors of words, from text files of word2vec or GloVe: a word and its numbers a line.

Lyrics are often published as stems (musiXmatch's "everyth", "babi"), which no such file has. For
these stands the first word of the file, which is the most frequent, that may have the stem.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mashjax.data.lyrics import stems
from mashjax.errors import UserError


class WordVectors(NamedTuple):
    """vectors: float32 [words, size], 0 where a word is not found; exact, by_stem: how many are."""

    vectors: np.ndarray
    exact: int
    by_stem: int


def read_word_vectors(path: str | os.PathLike, words: Sequence[str]) -> WordVectors:
    """Vectors of `words`, in their order. Only these are held in memory.

    Raises:
      UserError: the file cannot be read or is cut short; a line has another number of numbers than
        the first, or what is no number; it has none of the words.
    """
    wanted = {word: row for row, word in enumerate(words)}
    exact: dict[int, np.ndarray] = {}
    by_stem: dict[int, np.ndarray] = {}
    announced, lines, size = None, 0, 0
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                fields = line.split()
                if number == 1 and len(fields) == 2 and all(f.isdigit() for f in fields):
                    announced, size = map(int, fields)
                    continue
                where = f"{path}:{number}"
                size = size or len(fields) - 1
                lines += 1
                if not _is_whole(fields, size, where):
                    continue
                word = fields[0].decode("utf-8", "replace")
                if word in wanted:
                    exact.setdefault(wanted[word], _numbers(fields[1:], where))
                for stem in stems(word):
                    if stem in wanted and wanted[stem] not in by_stem:
                        by_stem[wanted[stem]] = _numbers(fields[1:], where)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if announced is not None and lines < announced:
        raise UserError(f"{path}: is cut short: {lines} of {announced} words are there")
    found = by_stem | exact
    if not found:
        raise UserError(f"{path}: has none of the {len(words)} words of the lyrics")
    vectors = np.zeros((len(words), size), np.float32)
    for row, vector in found.items():
        vectors[row] = vector
    return WordVectors(vectors, len(exact), len(found) - len(exact))


def _is_whole(fields: list[bytes], size: int, where: str) -> bool:
    """Whether a line is a word and `size` numbers; some words have spaces in them, and are none.

    Raises:
      UserError: it has more or fewer numbers.
    """
    if len(fields) == size + 1 > 1:
        return True
    if len(fields) > size + 1 > 1 and not _is_number(fields[-size - 1]):
        return False
    raise UserError(
        f"{where}: has {max(0, len(fields) - 1)} numbers, and {size} before; is it a text file of "
        "word2vec or GloVe, and whole?"
    )


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _numbers(fields: list[bytes], where: str) -> np.ndarray:
    try:
        vector = np.array([float(field) for field in fields], np.float32)
    except ValueError as error:
        raise UserError(f"{where}: holds what is no number: {error}") from error
    if not np.isfinite(vector).all():
        raise UserError(f"{where}: holds what is no finite number")
    return vector
