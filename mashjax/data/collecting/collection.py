"""A collected folder, and the SOURCES.json that says where each of its files came from.

    [0][Some mashup].mp3    [0][0][One song].mp3    [0][1][Another song].mp3

The names are those that the labelled layout reads. SOURCES.json also keeps the numbers: an
address has its index before anything is fetched, so a list may grow, and entries may fail,
without any other file changing its name.

A file gets its name when it is whole, in three steps: it waits in .collecting/, SOURCES.json
names it with its hash, it moves. Killed between any two, the next run ends the third.
"""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import unicodedata
from typing import Any

from mashjax.audio.files import replacing
from mashjax.data.collecting.addresses import Row
from mashjax.data.sealing import file_sha256
from mashjax.errors import UserError

SOURCES = "SOURCES.json"
WORK = ".collecting"
VERSION = 1
MAX_NAME_BYTES = 200

_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and emoji are spelt with them


@dataclasses.dataclass
class Source:
    """A file of the folder, or one still to come.

    original: None for a song or a mashup; 0 or 1 for an original of the mashup `index`.
    file: its name, "" while it is not there. failed: why the last try gave none, or "".
    artist, uploader, licence: as the site or the file's own tags say, "" where they do not.
    """

    index: int
    address: str
    original: int | None = None
    file: str = ""
    title: str = ""
    artist: str = ""
    uploader: str = ""
    licence: str = ""
    seconds: float = 0.0
    bytes: int = 0
    sha256: str = ""
    failed: str = ""


class Collection:
    """The files of `folder` that were collected, as one `kind` and in one `format`."""

    def __init__(self, folder: pathlib.Path, kind: str, format: str, sources: list[Source]):
        self.folder = folder
        self.kind = kind
        self.format = format
        self._sources = {(s.index, s.original): s for s in sources}
        self._indices = {s.address: s.index for s in sources if s.original is None}
        self._next = 1 + max([*self._indices.values(), *_indices_in(folder)], default=-1)

    @classmethod
    def read(cls, folder: pathlib.Path, *, kind: str, format: str) -> "Collection":
        """What an earlier run left, or the start of a new one.

        Raises:
          UserError: SOURCES.json is damaged, of another version, kind or format.
        """
        path = folder / SOURCES
        if not path.exists():
            return cls(folder, kind, format, [])
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            version, made = content["version"], {k: content[k] for k in ("kind", "format")}
            sources = [Source(**about) for about in content["sources"]]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise UserError(
                f"{path}: is damaged, or not a file of mashjax.collect; put a good one back, or "
                "collect into another folder"
            ) from error
        if version != VERSION:
            raise UserError(f"{path}: is of version {version}, this mashjax writes {VERSION}")
        for name, asked in {"kind": kind, "format": format}.items():
            if made[name] != asked:
                raise UserError(
                    f"{folder}: was collected with {name} {made[name]}, not {asked}; "
                    "collect into another folder"
                )
        return cls(folder, kind, format, sources)

    def plan(self, row: Row) -> list[Source]:
        """The row's sources, under the index that its first address has or now gets.

        An original that the list has exchanged for another goes.
        """
        index = self._indices.setdefault(row[0].address, self._next)
        self._next = max(self._next, index + 1)
        plan = []
        for place, wanted in enumerate(row):
            key = index, place - 1 if place else None
            old = self._sources.get(key)
            if old and old.address != wanted.address:
                if old.file:
                    (self.folder / old.file).unlink(missing_ok=True)
                del self._sources[key]
            new = Source(index, wanted.address, key[1])
            plan.append(self._sources.setdefault(key, new))
        return plan

    def write(self) -> None:
        """Write SOURCES.json, in the order of the indices, wholly or not at all."""
        ordered = sorted(
            self._sources.values(),
            key=lambda s: (s.index, -1 if s.original is None else s.original),
        )
        content = {
            "version": VERSION,
            "kind": self.kind,
            "format": self.format,
            "sources": [_known(source) for source in ordered],
        }
        with replacing(self.folder / SOURCES) as beside:
            beside.write_text(
                json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )

    def settle(self) -> None:
        """End the moves that a killed run began, and forget files that are gone."""
        for source in self._sources.values():
            if source.file and not (self.folder / source.file).exists():
                waiting = self._waiting(source)
                if waiting.exists() and file_sha256(waiting) == source.sha256:
                    os.replace(waiting, self.folder / source.file)
                else:
                    source.file = ""
        if (self.folder / WORK).exists():
            shutil.rmtree(self.folder / WORK)
        for unfinished in self.folder.glob(f".{pathlib.Path(SOURCES).stem}.*"):
            unfinished.unlink()

    def twin(self, source: Source) -> Source | None:
        """Another file that came from the same address."""
        same = (s for s in self._sources.values() if s.address == source.address and s.file)
        return next(same, None)

    def accept(self, source: Source, path: pathlib.Path, **about: Any) -> None:
        """Give the whole file `path` its name; `about`: title and what else is known of it."""
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        waiting = path.rename(self._waiting(source))
        for name, value in about.items():
            setattr(source, name, value)
        source.file = file_name(source.index, source.original, source.title, format=self.format)
        source.bytes, source.sha256, source.failed = (
            waiting.stat().st_size,
            file_sha256(waiting),
            "",
        )
        self.write()
        os.replace(waiting, self.folder / source.file)

    def refuse(self, source: Source, why: str) -> None:
        """Note that there is no file, and why."""
        source.failed = why
        self.write()

    def empty_folder(self) -> pathlib.Path:
        """A folder to work in, on the file system of the files; empty at every call."""
        self.clear()
        work = self.folder / WORK / "work"
        work.mkdir(parents=True)
        return work

    def clear(self) -> None:
        """Remove what was worked on, and .collecting/ unless a whole file waits in it."""
        if (self.folder / WORK / "work").exists():
            shutil.rmtree(self.folder / WORK / "work")
        if (self.folder / WORK).exists() and not any((self.folder / WORK).iterdir()):
            (self.folder / WORK).rmdir()

    def _waiting(self, source: Source) -> pathlib.Path:
        return self.folder / WORK / f"whole-{source.index}-{source.original}"


def file_name(index: int, original: int | None, title: str, *, format: str) -> str:
    """The name of a file in the labelled layout, at most MAX_NAME_BYTES long.

    Titles keep their script. Brackets, which would break the scheme, become parentheses;
    what file systems refuse becomes "_".
    """
    prefix = f"[{index}][" if original is None else f"[{index}][{original}]["
    suffix = f"].{format}"
    title = unicodedata.normalize("NFC", title).translate(str.maketrans("[]", "()"))
    title = "".join(c if c in _JOINERS or _visible(c) else " " for c in title)
    title = " ".join(re.sub(r'[/\\:*?"<>|]', "_", title).split()).lstrip(". ")
    room = MAX_NAME_BYTES - len(prefix) - len(suffix)
    title = title.encode()[:room].decode(errors="ignore").rstrip(". ")
    return f"{prefix}{title or 'untitled'}{suffix}"


def _visible(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CZ"


def _indices_in(folder: pathlib.Path) -> list[int]:
    """The indices of files that the user has put there by hand."""
    found = (re.match(r"\[?(\d+)[]_]", path.name) for path in folder.iterdir())
    return [int(match[1]) for match in found if match]


def _known(source: Source) -> dict[str, Any]:
    """The fields that say something; `index` and `original` may be 0 and say it."""
    about = dataclasses.asdict(source)
    return {k: v for k, v in about.items() if v or (v is not None and k in ("index", "original"))}
