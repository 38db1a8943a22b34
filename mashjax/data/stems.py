"""The stems layout: one folder per song, one audio file per stem.

A stem whose name speaks of a voice or a melody is the lead, all others back
it. Stems may lie in the song's folder or in its subfolder `stems/`.
"""

import dataclasses
import pathlib

import numpy as np

from mashjax.audio import files
from mashjax.audio.resample import resample, to_mono
from mashjax.errors import UserError

ENDINGS = (".wav", ".flac", ".mp3", ".ogg")
LEAD_WORDS = ("vocal", "voice", "lead", "melody", "sing", "acapella")
IGNORED_WORDS = ("mixture", "mix")


@dataclasses.dataclass(frozen=True)
class StemsSong:
    """A song folder, sorted into lead and backing stems; `load` says when one side is empty."""

    id: str
    folder: pathlib.Path
    lead: tuple[pathlib.Path, ...]
    backing: tuple[pathlib.Path, ...]

    @property
    def files(self) -> dict[str, list[pathlib.Path]]:
        """Source files, by what they are for."""
        return {"lead": list(self.lead), "backing": list(self.backing)}

    def load(self, *, sr: int) -> tuple[np.ndarray, np.ndarray]:
        """Sum the stems to (lead, backing), float32 mono [samples] each, as long as the longest.

        Raises:
          UserError: there is no lead, no backing, or a file cannot be read.
        """
        if not self.lead:
            words = ", ".join(LEAD_WORDS)
            raise UserError(f"{self.folder} has no lead: no file name contains {words}")
        if not self.backing:
            raise UserError(f"{self.folder} has no backing: every stem is a lead")
        lead, backing = _sum(self.lead, sr), _sum(self.backing, sr)
        n = max(len(lead), len(backing))
        return np.pad(lead, (0, n - len(lead))), np.pad(backing, (0, n - len(backing)))


def find_stems_songs(folder: str | pathlib.Path) -> list[StemsSong]:
    """Songs of a folder of folders, sorted by name.

    Raises:
      UserError: the folder does not exist, or none of its folders has audio files.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    songs = [_song(sub) for sub in sorted(folder.iterdir()) if sub.is_dir() and _stems(sub)]
    if not songs:
        endings = ", ".join(ENDINGS)
        raise UserError(f"{folder} has no folder with stems ({endings}) in it")
    return songs


def is_lead(path: pathlib.Path) -> bool:
    """Whether a stem's file name says that it is a lead."""
    name = path.stem.lower()
    return any(word in name for word in LEAD_WORDS)


def _song(folder: pathlib.Path) -> StemsSong:
    stems = _stems(folder)
    return StemsSong(
        id=folder.name,
        folder=folder,
        lead=tuple(p for p in stems if is_lead(p)),
        backing=tuple(p for p in stems if not is_lead(p)),
    )


def _stems(folder: pathlib.Path) -> list[pathlib.Path]:
    found = [*folder.glob("*"), *(folder / "stems").glob("*")]
    return sorted(
        p
        for p in found
        if p.suffix.lower() in ENDINGS and p.stem.lower() not in IGNORED_WORDS and p.is_file()
    )


def _sum(paths: tuple[pathlib.Path, ...], sr: int) -> np.ndarray:
    total = np.zeros(0, np.float32)
    for path in paths:
        clip = files.read(path, stem=True)
        y = resample(to_mono(clip.y)[None], sr_in=clip.sr, sr_out=sr)[0]
        n = max(len(total), len(y))
        total = np.pad(total, (0, n - len(total))) + np.pad(y, (0, n - len(y)))
    return total
