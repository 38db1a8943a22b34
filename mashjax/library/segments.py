"""What the library knows of a song and of each of its segments."""

import dataclasses

import numpy as np

VERSION = 1
"""Of what is measured below and how: what another version described is described again."""


@dataclasses.dataclass(frozen=True)
class Segment:
    """A phrase of whole bars. What is per beat has one row for each of its bars * beats_per_bar.

    Arrays are float32. "Lead" and "backing" are what the mashup network lets through of the song as
    the one and as the other.
    """

    number: int  # in its song, from 0
    start: float  # seconds from the start of the file: a downbeat
    end: float
    bars: int
    beats_per_bar: int
    tempo_bpm: float
    tonic: int  # 0..11 from C
    mode: str  # "major" or "minor"
    key_confidence: float  # 0..1
    tuning_cents: float  # above A = 440 Hz, -50..50
    loudness_lufs: float
    brightness_hz: float  # the spectrum's centroid
    voice: float  # 0..1: how likely somebody sings
    chroma: np.ndarray  # [beats, 12] pitch classes, tuning removed; silence is 0
    rhythm: np.ndarray  # [beats, SUBDIVISIONS of music.analysis] onset strength
    lead: np.ndarray  # [beats] 0..1: the lead's share of the energy
    lead_spectrum: np.ndarray  # [bands] mean power in dB, of the lead
    backing_spectrum: np.ndarray  # [bands] mean power in dB, of the backing
    timbre: np.ndarray  # [coefficients] of the mean spectrum's shape and its change
    embedding: np.ndarray  # [dimensions] of unit length; empty: none was computed


@dataclasses.dataclass(frozen=True)
class Song:
    """A song as described: `segments` in order; `doubts`: why the analysis may not be trusted, one
    plain phrase each ("no beat was found"), empty for a sound one."""

    seconds: float
    sample_rate: int  # Hz, of the file
    channels: int
    tempo_bpm: float | None  # None: no beat was found, and there are no segments
    beats_per_bar: int
    tonic: int
    mode: str
    key_confidence: float
    doubts: tuple[str, ...]
    segments: tuple[Segment, ...]
