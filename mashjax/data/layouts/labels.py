"""What is said of tracks elsewhere: genres, splits, play counts; text files, joined by track id."""

import collections
import dataclasses
import os
import pathlib
import re
from collections.abc import Collection, Iterator, Set

from mashjax.data.lyrics import Lyrics
from mashjax.data.store import SPLITS
from mashjax.errors import UserError

NAMES = {"train": SPLITS[0], "training": SPLITS[0], "valid": SPLITS[1], "validation": SPLITS[1],
         "val": SPLITS[1], "dev": SPLITS[1], "test": SPLITS[2], "testing": SPLITS[2]}  # fmt: skip
"""How published splits are called."""


@dataclasses.dataclass(frozen=True)
class TrackFile:
    """A song's file and what is said of it elsewhere; see `data.tracks.TrackSource`."""

    id: str
    group: str
    path: pathlib.Path
    genre: str | None = None
    split: str | None = None
    lyrics: Lyrics | None = None

    @property
    def files(self) -> dict[str, list[pathlib.Path]]:
        """Files of this song alone, by what they are for."""
        words = self.lyrics.own_files if self.lyrics else []
        return {"features": [self.path], **({"lyrics": words} if words else {})}

    @property
    def words(self) -> dict[str, int] | None:
        """Raises: UserError: they cannot be read."""
        return self.lyrics.read() if self.lyrics else None


def lines_of(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """Numbers and texts of a file's lines, without comments (# and %) and empty ones.

    Raises:
      UserError: there is no such file, or it is not UTF-8.
    """
    try:
        with open(path, encoding="utf-8-sig", newline=None) as file:
            for number, line in enumerate(file, 1):
                if line.strip() and line[0] not in "#%":
                    yield number, line.rstrip("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def read_genres(path: str | os.PathLike) -> dict[str, str]:
    """Track id -> genre: track id TAB genre [TAB minority genre], as tagtraum has it.

    Of two genres the first is used, which most of the annotators chose.

    Raises:
      UserError: a line is none of these, or gives a track another genre than one before.
    """
    genres: dict[str, str] = {}
    for number, line in lines_of(path):
        id, *found = (part.strip() for part in line.split("\t"))
        if not id or len(found) not in (1, 2) or not found[0]:
            raise UserError(f"{path}:{number}: is not track id TAB genre: {line[:60]!r}")
        if genres.setdefault(id, found[0]) != found[0]:
            raise UserError(f"{path}:{number}: {id} is {found[0]}, and {genres[id]} before")
    if not genres:
        raise UserError(f"{path}: names no track")
    return genres


def read_splits(paths: Collection[str | os.PathLike]) -> dict[str, str]:
    """Track id -> "train", "valid" or "test", as published.

    Either files of track ids, each with train, valid, dev or test in its name, or files of
    track id TAB split.

    Raises:
      UserError: a file is neither; a track is in two splits.
    """
    splits: dict[str, str] = {}
    for path in paths:
        words = re.split(r"[^a-z]+", pathlib.Path(path).stem.lower())
        named = {NAMES[word] for word in words if word in NAMES}
        of_file = named.pop() if len(named) == 1 else None
        for number, line in lines_of(path):
            id, tab, said = line.partition("\t")
            split = NAMES.get(said.strip().lower()) if tab else of_file
            if split is None:
                raise UserError(
                    f"{path}:{number}: says no split; give track id TAB train, valid or test, or "
                    "name the file after the one split that its tracks are in"
                )
            if splits.setdefault(id, split) != split:
                raise UserError(f"{path}:{number}: {id} is in {split}, and in {splits[id]} before")
    return splits


def read_plays(path: str | os.PathLike) -> dict[str, int]:
    """Song or track id -> how often it was played, summed over listeners.

    [listener TAB] id TAB count, such as the Taste Profile's train_triplets.txt.

    Raises:
      UserError: a line is something else.
    """
    plays: collections.Counter[str] = collections.Counter()
    for number, line in lines_of(path):
        parts = line.split("\t")
        if len(parts) not in (2, 3) or not parts[-1].strip().isdecimal():
            raise UserError(f"{path}:{number}: is not id TAB count: {line[:60]!r}")
        plays[parts[-2]] += int(parts[-1])
    return dict(plays)


def check_joined(path: str | os.PathLike, joined: Set[str], tracks: Set[str], *, what: str) -> None:
    """Raise UserError if a file, which speaks of `joined`, says nothing of any of the tracks."""
    if not joined & tracks:
        example = f"{next(iter(joined), 'nothing')} is not {next(iter(tracks), 'here')}"
        raise UserError(f"{path}: has no {what} of any track here ({example}): is it of others?")
