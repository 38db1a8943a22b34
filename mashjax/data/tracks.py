"""A song as a listener would describe it: its segments' harmony and timbre, its words, its genre.

That is what the genre task learns from, and what it is to say. A segment is a short stretch that
sounds alike: of the Million Song Dataset, what the Echo Nest's analyser cut (0.2 s, mostly); of
audio, a part of a beat.
"""

import dataclasses
import pathlib
from typing import Protocol

import numpy as np

from mashjax.data.sources import Rejected

PITCH_CLASSES = 12
TIMBRES = 12


@dataclasses.dataclass(frozen=True)
class Track:
    """One song. What is not known of it is None; a song that is known to have no words has {}."""

    track_id: str
    artist: str  # "" where nobody says
    title: str
    seconds: float
    chroma: np.ndarray  # float32 [segments, 12], 0..1: C first, each segment's strongest is 1
    timbre: np.ndarray  # float32 [segments, 12]: loudness in 0..60 dB, then principal components
    starts: np.ndarray  # float64 [segments] seconds
    tempo_bpm: float | None = None
    key: int | None = None  # 0..11, C first
    mode: int | None = None  # 0 minor, 1 major
    time_signature: int | None = None  # beats in a bar
    words: dict[str, int] | None = None  # how often each is sung, as stems where that is published
    genre: str | None = None
    popularity: float | None = None  # any scale: its rank among the songs is what counts
    split: str | None = None  # "train", "valid" or "test", where that is published


class TrackSource(Protocol):
    """A track, found in a folder and not yet opened."""

    @property
    def id(self) -> str: ...

    @property
    def group(self) -> str:
        """Never on two sides of the split: the artist where known, otherwise the id."""

    @property
    def files(self) -> dict[str, list[pathlib.Path]]:
        """What it is made of, by what it is for."""

    @property
    def genre(self) -> str | None: ...

    @property
    def split(self) -> str | None: ...

    @property
    def words(self) -> dict[str, int] | None:
        """As in `Track`: known before it is opened, so that all tracks' vocabulary is.

        Raises: UserError: they cannot be read.
        """

    def load(self) -> Track:
        """Raises: UserError: a file is missing, damaged, or holds no analysis."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What a layout found.

    sources: with different ids, sorted by them; left_out: what cannot be used, one by one;
    counts: of the tracks, and of what lacks its other half, such as "tracks without a genre": these
    may be too many to be named. What there is none of is not in it.
    """

    sources: list[TrackSource]
    left_out: list[Rejected]
    counts: dict[str, int]
