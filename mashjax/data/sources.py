"""What a layout finds in a folder, what becomes of it, and on which side of the split it goes."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy import signal

from mashjax.data.store import SPLITS

TEST_SHARE, VALID_SHARE = 0.05, 0.05
N_FFT, HOP_LENGTH = 2048, 512  # of the statistics
PEAK = 0.99


class Source(Protocol):
    """A song or a mashup, found in a folder and not yet opened."""

    @property
    def id(self) -> str: ...

    @property
    def group(self) -> str:
        """Never on two sides of the split: the artist where known, otherwise the id."""

    @property
    def files(self) -> dict[str, list[pathlib.Path]]:
        """What it is made of, by what it is for."""


class SongSource(Source, Protocol):
    """A song that can be had as lead and backing."""

    def load(self, *, sr: int) -> tuple[np.ndarray, np.ndarray]:
        """(lead, backing), float32 mono [samples] each, equally long."""


class MashupSource(Source, Protocol):
    """A mashup that somebody made, and the two songs that it was made of."""

    @property
    def label(self) -> pathlib.Path: ...

    @property
    def originals(self) -> tuple[pathlib.Path, pathlib.Path]: ...


@dataclasses.dataclass(frozen=True)
class Rejected:
    """A song or mashup that is left out, and why."""

    id: str
    why: str


class Moments(NamedTuple):
    """Sums over frames of log10 power and of its square, [bins] each, and the number of frames."""

    total: np.ndarray
    square: np.ndarray
    frames: int


@dataclasses.dataclass(frozen=True)
class Made:
    """What a song or mashup became.

    rows: float32 [rows, sources, samples] within +-1; examples: what the manifest says of each;
    harmony: of each row where rows are songs, float16 [beats, 12], see `partners`; about: what
    the manifest says of the song; moments: of what a network will hear.
    """

    rows: np.ndarray
    examples: list[dict[str, Any]]
    harmony: list[np.ndarray]
    about: dict[str, Any]
    moments: Moments


def moments(songs: np.ndarray) -> Moments:
    """Of songs [n, samples]: STFT of N_FFT samples, Hann, a silent bin counting as -100 dB."""
    window = signal.windows.hann(N_FFT, sym=False)
    stft = signal.ShortTimeFFT(window, HOP_LENGTH, fs=1.0)
    y = np.pad(songs.astype(np.float64), [(0, 0), (0, max(0, N_FFT - songs.shape[1]))])
    # Whole frames only: the click at which an excerpt begins is not the song's.
    first, end = stft.lower_border_end[1], stft.upper_border_begin(y.shape[1])[1]
    logs = np.log10(np.abs(stft.stft(y, p0=first, p1=max(end, first + 1))) ** 2 + 1e-10)
    return Moments(logs.sum((0, 2)), (logs**2).sum((0, 2)), logs.shape[0] * logs.shape[2])


def split_sources(sources: Sequence[Source]) -> dict[str, str]:
    """The id of each source -> "train", "valid" or "test".

    What is published stands, and what is of a published artist goes with him.
    """
    splits = split_groups([source.group for source in sources])
    sides = {s.group: side for s in sources if (side := getattr(s, "split", None))}
    return {
        source.id: getattr(source, "split", None) or sides.get(source.group, splits[source.group])
        for source in sources
    }


def split_groups(groups: list[str]) -> dict[str, str]:
    """Group -> "train", "valid" or "test", by a hash of its name.

    5 % go to test and 5 % to valid, whatever other groups there are, so that a
    song keeps its split when others come. Where that is fewer than six groups,
    too few to find pairs among, the next by hash are added, up to a sixth of
    all. Fewer than twelve groups are all for training.
    """
    ordered = sorted(set(groups), key=lambda g: (_unit_hash(g), g))
    hashes = np.array([_unit_hash(group) for group in ordered])
    n = len(ordered)
    if n < 12:
        return dict.fromkeys(ordered, SPLITS[0])
    least = min(6, n // 6)
    test = max(least, int((hashes < TEST_SHARE).sum()))
    valid = min(max(least, int((hashes < TEST_SHARE + VALID_SHARE).sum()) - test), n - test)
    names = [SPLITS[2]] * test + [SPLITS[1]] * valid + [SPLITS[0]] * (n - test - valid)
    return dict(zip(ordered, names, strict=True))


def _unit_hash(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
