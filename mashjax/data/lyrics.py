"""The words of songs, as counts: the musiXmatch bags of words, or text files."""

import collections
import dataclasses
import functools
import pathlib
import re
from collections.abc import Collection, Container, Iterator, Mapping, Set

from mashjax.errors import UserError

SHORTEST_STEM, LONGEST_SUFFIX = 3, 4  # letters
WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


@dataclasses.dataclass(frozen=True)
class Lyrics:
    """Where one song's words are: a text file, or a line of a musiXmatch file, at a byte."""

    path: pathlib.Path
    offset: int | None = None

    @property
    def own_files(self) -> list[pathlib.Path]:
        """The files of this song alone."""
        return [self.path] if self.offset is None else []

    def read(self) -> dict[str, int]:
        """How often each word comes; a text without words, or of a song without any: {}.

        Raises:
          UserError: the file is gone, is not UTF-8, or its line is damaged.
        """
        try:
            if self.offset is None:
                return counted(self.path.read_text(encoding="utf-8-sig"))
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                line = file.readline().decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{self.path}: is not UTF-8 text") from error
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror}") from error
        return _bag(line, path=self.path)


def counted(text: str) -> dict[str, int]:
    """Words of a text in lower case, and how often each comes.

    >>> counted("Row, row, row your boat. Don't!")
    {'row': 3, 'your': 1, 'boat': 1, "don't": 1}
    """
    words = (word.replace("\u2019", "'") for word in WORD.findall(text.lower()))
    return dict(collections.Counter(words))


def known(words: Mapping[str, int], vocabulary: Container[str]) -> dict[str, int]:
    """How often words of a vocabulary are sung; one that is not in it counts for a stem that is.

    >>> known({"everything": 2, "Everest": 1, "love": 1}, {"everyth", "love"})
    {'everyth': 2, 'love': 1}
    """
    counts: collections.Counter[str] = collections.Counter()
    for word, count in words.items():
        found = next((w for w in (word, *stems(word)) if w in vocabulary), None)
        if found is not None:
            counts[found] += count
    return dict(counts)


def stems(word: str) -> list[str]:
    """What Porter's rules, which musiXmatch's words went through, may make of it: longest first.

    Not the rules, but all that is left when at most four letters are cut off, y counting as i.

    >>> stems("baby")
    ['babi', 'bab']
    """
    found = []
    for length in range(len(word) - 1, max(SHORTEST_STEM, len(word) - LONGEST_SUFFIX) - 1, -1):
        found += [word[:length] + "i"] if word[length] == "y" else []
        found.append(word[:length])
    return found


class LyricsFiles:
    """Where the words of many songs are.

    paths: musiXmatch files (comments in #, one line of words in %, then track id, musiXmatch id
    and word:count, words numbered from 1; commas between), and folders of text files that are
    named by track id. Of a track that comes twice the first is used; `repeated` counts the others.

    Raises:
      UserError: a path is missing, or is neither.
    """

    def __init__(self, paths: Collection[str]) -> None:
        self.repeated = 0
        self._found: dict[str, Lyrics] = {}
        for path in map(pathlib.Path, paths):
            for id, lyrics in _in_folder(path) if path.is_dir() else _in_file(path):
                self.repeated += id in self._found
                self._found.setdefault(id, lyrics)

    @property
    def ids(self) -> Set[str]:
        return self._found.keys()

    def of(self, track_id: str) -> Lyrics | None:
        return self._found.get(track_id)


def _in_folder(folder: pathlib.Path) -> Iterator[tuple[str, Lyrics]]:
    """Of text files in a tree, by their names without ending."""
    for path in sorted(folder.rglob("*.txt")):
        yield path.stem, Lyrics(path)


def _in_file(path: pathlib.Path) -> Iterator[tuple[str, Lyrics]]:
    """Of the lines of a musiXmatch file, by their track ids; only these are read."""
    _vocabulary(path)
    with open(path, "rb") as file:
        offset = 0
        for line in file:
            if line[:1] not in (b"#", b"%", b"\n", b"\r"):
                id, comma, _ = line.partition(b",")
                if not comma:
                    raise UserError(f"{path}: no track id and counts at {offset}: {line[:40]!r}")
                yield id.decode("utf-8", "replace"), Lyrics(path, offset)
            offset += len(line)


@functools.lru_cache(maxsize=8)
def _vocabulary(path: pathlib.Path) -> tuple[str, ...]:
    """A musiXmatch file's words: word 1 is the first."""
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.startswith("%"):
                    return tuple(line[1:].strip().split(","))
                if not line.startswith("#"):
                    break
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    raise UserError(f"{path}: is no musiXmatch file: it has no line of words that begins with %")


def _bag(line: str, *, path: pathlib.Path) -> dict[str, int]:
    words = _vocabulary(path)
    id, _, *pairs = line.strip().split(",")
    bag = {}
    for pair in pairs:
        number, _, count = pair.partition(":")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= len(words)):
            raise UserError(
                f"{path}: track {id} has {pair!r}, which is not word:count, words 1 to {len(words)}"
            )
        bag[words[int(number) - 1]] = int(count)
    return bag
