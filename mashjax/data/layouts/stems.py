"""The stems layout: one folder per song, one audio file per stem, at any depth of a tree.

Stems lie in the song's folder or in its subfolder `stems/`. Which of them is the lead is said
by Slakh's metadata.yaml where there is one (`slakh.py`), else by a mapping file where the user
gives one, else by the stems' own names: MUSDB18's `vocals` leads, all others back it.
"""

import collections
import dataclasses
import fnmatch
import json
import os
import pathlib
import unicodedata

import numpy as np

from mashjax.audio import files
from mashjax.audio.resample import resample, to_mono
from mashjax.data.layouts import slakh
from mashjax.data.layouts.folders import (
    Folder,
    artist,
    cannot_be_read,
    ending,
    nothing_found,
    shown,
    walk,
)
from mashjax.errors import UserError

LEAD_WORDS = ("vocal", "vox", "voice", "lead", "melody", "sing", "acapella", "cappella")
MIXTURES = ("mixture", "mix")


@dataclasses.dataclass(frozen=True)
class StemsSong:
    """A song folder, sorted into lead and backing stems.

    about: files that say which is which; problem: why `load` refuses the song, or "".
    """

    id: str
    group: str
    folder: pathlib.Path
    lead: tuple[pathlib.Path, ...] = ()
    backing: tuple[pathlib.Path, ...] = ()
    about: tuple[pathlib.Path, ...] = ()
    problem: str = ""

    @property
    def files(self) -> dict[str, list[pathlib.Path]]:
        """Source files, by what they are for."""
        if self.problem:
            return {}
        found = {"lead": list(self.lead), "backing": list(self.backing)}
        return {**found, "metadata": list(self.about)} if self.about else found

    def load(self, *, sr: int) -> tuple[np.ndarray, np.ndarray]:
        """Sum the stems to (lead, backing), float32 mono [samples] each, as long as the longest.

        Raises:
          UserError: there is no lead, no backing, or a file cannot be read to its end.
        """
        if self.problem:
            raise UserError(self.problem)
        lead, backing = _sum(self.lead, sr), _sum(self.backing, sr)
        n = max(len(lead), len(backing))
        return np.pad(lead, (0, n - len(lead))), np.pad(backing, (0, n - len(backing)))


@dataclasses.dataclass(frozen=True)
class StemsMap:
    """Patterns (`*`, `?`, `[ab]`) of stems' names; the first that fits decides, in this order."""

    path: pathlib.Path
    ignore: tuple[str, ...]
    lead: tuple[str, ...]
    backing: tuple[str, ...]

    def role(self, name: str) -> str:
        """ "ignore", "lead" or "backing" of a stem's name without its ending, in any case."""
        for role in ("ignore", "lead", "backing"):
            if any(fnmatch.fnmatchcase(_plain(name), _plain(p)) for p in getattr(self, role)):
                return role
        return "ignore"


def find_stems_songs(
    folder: str | os.PathLike, *, stems_map: str | os.PathLike | None = None
) -> list[StemsSong]:
    """Songs of a tree, sorted by id; no audio is opened.

    What is wrong with one song (no lead, two files of one stem, an ending that cannot be read,
    a damaged metadata.yaml) is said by its `load`. Songs of one artist, where folders are named
    "Artist - Title", are one group.

    Args:
      folder: the tree; it holds songs and is none itself.
      stems_map: a JSON file, see `read_stems_map`; not asked where a metadata.yaml says more.

    Raises:
      UserError: `folder` is absent, a file, closed, or has no song; the map is malformed.
    """
    names = read_stems_map(stems_map) if stems_map else None
    tree = walk(folder)
    parts: dict[str, list[Folder]] = collections.defaultdict(list)
    for f in tree:
        if f.audio or f.problem:
            parts[_song_id(f)].append(f)
    loose = [name for f in parts.pop("", []) for name in f.audio]
    if not any(f.audio for song in parts.values() for f in song):
        if loose:
            raise UserError(
                f"{tree[0].path}: holds {len(loose)} audio files but no folders of stems; if they "
                "are whole songs use --layout=songs, if they make one song name the folder above"
            )
        raise nothing_found(tree, wanted="folders with stems (wav, flac, mp3, ogg)")
    by_id = {f.id: f for f in tree}
    return [_song(by_id[id], parts[id], names) for id in sorted(parts)]


def read_stems_map(path: str | os.PathLike) -> StemsMap:
    """Read {"lead": ["vox*", "Sax *"], "backing": ["*"], "ignore": ["click*"]}.

    "lead" is needed, "backing" is ["*"] and "ignore" [] where they are not given. A stem that
    fits no pattern is ignored, as files named mixture or mix always are.

    Raises:
      UserError: the file is absent or not of this form.
    """
    path = pathlib.Path(path)
    try:
        fields = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: the map of stems cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: is not JSON in UTF-8") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: is not JSON: line {error.lineno}: {error.msg}") from error
    example = '{"lead": ["vox*"], "backing": ["*"], "ignore": ["click*"]}'
    if not isinstance(fields, dict) or "lead" not in fields:
        raise UserError(f'{path}: has no "lead"; write {example}')
    for name, patterns in fields.items():
        if name not in ("lead", "backing", "ignore"):
            raise UserError(f'{path}: "{name}" is unknown; use "lead", "backing" and "ignore"')
        if not isinstance(patterns, list) or not all(p and isinstance(p, str) for p in patterns):
            raise UserError(f'{path}: "{name}" is no list of patterns; write {example}')
        if not patterns and name != "ignore":
            raise UserError(f'{path}: "{name}" is empty; write {example}')
    return StemsMap(
        path=path,
        ignore=tuple(fields.get("ignore", [])),
        lead=tuple(fields["lead"]),
        backing=tuple(fields.get("backing", ["*"])),
    )


def is_lead(path: pathlib.Path) -> bool:
    """Whether a stem's file name says that it is a lead."""
    return any(word in _plain(path.stem) for word in LEAD_WORDS)


def _song_id(folder: Folder) -> str:
    parent, _, name = folder.id.rpartition("/")
    return parent if name.lower() == "stems" else folder.id


def _song(folder: Folder, parts: list[Folder], names: StemsMap | None) -> StemsSong:
    found = [f.path / name for f in parts for name in f.audio + f.unreadable]
    stems = sorted(p for p in found if _plain(p.stem) not in MIXTURES)
    song = StemsSong(folder.id, artist(folder.path.name) or folder.id, folder.path)
    problem = next((f.problem for f in parts if f.problem), "")
    roles: dict[pathlib.Path, str] = {}
    about = folder.path / slakh.METADATA
    if slakh.METADATA in folder.files and not problem:
        try:
            roles = slakh.roles(about, stems)
        except UserError as error:
            problem = str(error)
    if roles:
        song = dataclasses.replace(song, about=(about,))
        rule = f"{slakh.METADATA} lists only drums, basses and effects"
    elif names:
        roles = {p: names.role(p.stem) for p in stems}
        rule = f'no file name fits "lead" of {names.path}'
    else:
        roles = {p: "lead" if is_lead(p) else "backing" for p in stems}
        rule = f"no file name contains {', '.join(LEAD_WORDS)}"
    lead, backing = (tuple(p for p in stems if roles[p] == r) for r in ("lead", "backing"))
    problem = problem or _problem(folder, lead, backing, rule)
    return dataclasses.replace(song, lead=lead, backing=backing, problem=problem)


def _problem(
    folder: Folder,
    lead: tuple[pathlib.Path, ...],
    backing: tuple[pathlib.Path, ...],
    no_lead: str,
) -> str:
    """What is wrong with a song's stems, or ""."""
    by_name: dict[str, pathlib.Path] = {}
    for path in lead + backing:
        if ending(path.name) not in files.ENDINGS:
            return cannot_be_read(path)
        twin = by_name.setdefault(_plain(path.stem), path)
        if twin != path:
            both = " and ".join(shown(p.relative_to(folder.path)) for p in (twin, path))
            return f"{shown(folder.path)}: {both} are one stem; remove one of them"
    if not lead and not backing:
        return f"{shown(folder.path)} has no stems, only files to be ignored"
    if not lead:
        return f"{shown(folder.path)} has no lead: {no_lead}"
    if not backing:
        return f"{shown(folder.path)} has no backing: every stem is a lead"
    return ""


def _plain(name: str) -> str:
    """A name as it is compared: in one case, and composed alike on every file system."""
    return unicodedata.normalize("NFC", name).casefold()


def _sum(paths: tuple[pathlib.Path, ...], sr: int) -> np.ndarray:
    """The stems' sum at `sr`: those of one rate are resampled together."""
    totals: dict[int, np.ndarray] = {}
    for path in paths:
        clip = files.read(path, stem=True)
        if clip.note:
            raise UserError(f"{path}: {clip.note}, and a stem must be whole")
        totals[clip.sr] = _add(totals.get(clip.sr, np.zeros(0, np.float32)), to_mono(clip.y))
    total = np.zeros(0, np.float32)
    for rate, y in totals.items():
        total = _add(total, resample(y[None], sr_in=rate, sr_out=sr)[0])
    return total


def _add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    n = max(len(a), len(b))
    return np.pad(a, (0, n - len(a))) + np.pad(b, (0, n - len(b)))
