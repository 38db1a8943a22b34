"""The songs layout: whole songs without stems, in a tree of any depth.

Their weak stems: what sounds on stands for the lead, what is struck for the backing.
"""

import dataclasses
import json
import math
import os
import pathlib

import numpy as np

from mashjax.audio import files
from mashjax.audio.resample import resample, to_mono
from mashjax.data.collecting.collection import SOURCES
from mashjax.data.layouts.folders import (
    UNREADABLE,
    Folder,
    artist,
    cannot_be_read,
    ending,
    nothing_found,
    walk,
)
from mashjax.errors import UserError

WINDOW_SECONDS = 0.093
"""Of the STFT: 2048 samples at 22.05 kHz; hops are half of it."""

KERNEL = (9, 17)
"""Median filters over frames (0.4 s) and bins (180 Hz). One band's drums came apart from the rest
0.4 dB better than with librosa's defaults (31 and 31, hops of a quarter), eight times as fast."""

BLOCK_FRAMES = 1024
"""Separated at a time (48 s): an hour's spectra need no more memory than a minute's."""


@dataclasses.dataclass(frozen=True)
class PlainSong:
    """A song file; `problem` says why it cannot be one, or is ""."""

    id: str
    group: str
    path: pathlib.Path
    problem: str = ""

    @property
    def files(self) -> dict[str, list[pathlib.Path]]:
        """Source files, by what they are for."""
        return {} if self.problem else {"song": [self.path]}

    def load(self, *, sr: int) -> tuple[np.ndarray, np.ndarray]:
        """The song's harmonic and percussive parts, float32 mono [samples] each.

        They sum to the song within float32's rounding: the percussive part is defined as
        the rest. (Two soft masks would sum to 1, their inverse STFTs not quite to the song,
        and they would take one more inverse.)

        Raises:
          UserError: the file cannot be read.
        """
        if self.problem:
            raise UserError(self.problem)
        clip = files.read(self.path)
        y = resample(to_mono(clip.y)[None], sr_in=clip.sr, sr_out=sr)[0]
        sustained = harmonic(y, sr=sr)
        return sustained, y - sustained


def find_plain_songs(folder: str | os.PathLike) -> list[PlainSong]:
    """Every wav, flac, mp3 and ogg file of a tree, sorted by id; none is opened.

    Songs of one artist are one group: an artist is known by `mashjax.collect`'s SOURCES.json, or
    by a file name "Artist - Title". A file that is reached twice, through a symbolic link, is one
    song. Audio of other endings and folders that may not be listed are songs, too, whose `load`
    says what is wrong with them.

    Raises:
      UserError: `folder` is absent, a file, closed, or has no song; a SOURCES.json is damaged.
    """
    tree = walk(folder)
    if not any(f.audio for f in tree):
        raise nothing_found(tree, wanted="songs (wav, flac, mp3, ogg)")
    songs: dict[str, PlainSong] = {}
    artists = [_collected_artists(f) for f in tree]
    for links in (False, True):  # a file's own path comes before the links to it
        for f, known in zip(tree, artists, strict=True):
            for name in f.audio + f.unreadable:
                if (name in f.links) == links:
                    songs.setdefault(f.real_path(name), _song(f, name, known))
    closed = [PlainSong(f.id, f.id, f.path, f.problem) for f in tree if f.problem]
    return sorted([*songs.values(), *closed], key=lambda song: song.id)


def _song(folder: Folder, name: str, artists: dict[str, str]) -> PlainSong:
    id, path = folder.id_of(name), folder.path / name
    problem = cannot_be_read(path) if ending(name) in UNREADABLE else ""
    said = f"{artists[name]} - {name}" if name in artists else path.stem
    return PlainSong(id, artist(said) or id, path, problem)


def _collected_artists(folder: Folder) -> dict[str, str]:
    """What a SOURCES.json in the folder knows: file name -> artist."""
    if SOURCES not in folder.files:
        return {}
    path = folder.path / SOURCES
    try:
        sources = json.loads(path.read_text(encoding="utf-8"))["sources"]
        return {s["file"]: s["artist"] for s in sources if "file" in s and "artist" in s}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is damaged; collect again, or move it elsewhere") from error


def harmonic(y: np.ndarray, *, sr: int, block_frames: int = BLOCK_FRAMES) -> np.ndarray:
    """What sounds on in `y` [samples] (Fitzgerald 2010, soft masks), float32 [samples].

    sr: Hz. block_frames: hops separated at a time; the result does not depend on it.
    """
    import librosa

    n_fft = 2 ** round(math.log2(WINDOW_SECONDS * sr))
    hop = n_fft // 2
    # What a sample depends on: its windows, their frames' medians, and those frames' windows.
    context = (KERNEL[0] // 2 + 4) * hop
    block = block_frames * hop
    parts = []
    for start in range(0, len(y), block):
        first = max(0, start - context)
        piece = y[first : start + block + context]
        spectrum = librosa.stft(piece, n_fft=n_fft, hop_length=hop)
        sustained, _ = librosa.decompose.hpss(spectrum, kernel_size=KERNEL)
        part = librosa.istft(sustained, n_fft=n_fft, hop_length=hop, length=len(piece))
        parts.append(part[start - first :][:block])
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
