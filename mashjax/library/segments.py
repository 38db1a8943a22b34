"""What the library knows of a song and of each of its segments."""

import dataclasses
from typing import Any

import numpy as np

from mashjax.music.tonality import TONICS

VERSION = 2
"""Of what is measured below and how, by the shipped networks, too, and of sketches: what another
version described is described again."""


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
    beats: np.ndarray  # [beats + 1] seconds from the start of the file, from `start` to `end`
    chroma: np.ndarray  # [beats, 12] pitch classes, tuning removed; silence is 0
    rhythm: np.ndarray  # [beats, SUBDIVISIONS of music.analysis] onset strength
    lead: np.ndarray  # [beats] 0..1: the lead's share of the energy
    lead_spectrum: np.ndarray  # [bands] mean power in dB, of the lead
    backing_spectrum: np.ndarray  # [bands] mean power in dB, of the backing
    timbre: np.ndarray  # [coefficients] of the mean spectrum's shape and its change
    embedding: np.ndarray  # [dimensions] of unit length; empty: none was computed

    def told(self) -> dict[str, Any]:
        """For JSON; what is per beat, and vectors, are left out."""
        return {
            "number": self.number,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "bars": self.bars,
            "beats_per_bar": self.beats_per_bar,
            "tempo_bpm": round(self.tempo_bpm, 2),
            "key": told_key(self),
            "loudness_lufs": round(self.loudness_lufs, 2),
            "brightness_hz": round(self.brightness_hz),
            "voice": round(self.voice, 3),
        }


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


SCALARS = tuple(f.name for f in dataclasses.fields(Segment) if f.type is not np.ndarray)
"""The fields of a segment that are one number or word."""
_PER_BEAT = ("chroma", "rhythm", "lead")
_VECTORS = ("lead_spectrum", "backing_spectrum", "timbre", "embedding")


def told_key(of: Any) -> dict[str, Any]:
    """The key of a song, a segment, or a row of either, for JSON."""
    return {
        "tonic": TONICS[of.tonic],
        "mode": of.mode,
        "confidence": round(of.key_confidence, 3),
    }


def pack(segment: Segment) -> bytes:
    """A segment's arrays in about 1 kB: 8 bits of their largest value per beat, else float16."""
    header = [segment.bars * segment.beats_per_bar]
    body = [segment.beats.astype("<f4").tobytes()]
    scales = []
    for name in _PER_BEAT:
        array = getattr(segment, name)
        scales.append(max(float(array.max(initial=0)), 1e-9))
        header.append(array[0].size if len(array) else 0)
        body.append(np.round(array / scales[-1] * 255).astype(np.uint8).tobytes())
    for name in _VECTORS:
        array = getattr(segment, name)
        header.append(len(array))
        body.append(array.astype("<f2").tobytes())
    numbers = np.array(header, "<u2").tobytes() + np.array(scales, "<f4").tobytes()
    return numbers + b"".join(body)


def unpack(packed: bytes, **scalars: Any) -> Segment:
    """The segment whose arrays `pack` packed; scalars: its `SCALARS`."""
    sizes = np.frombuffer(packed, "<u2", 1 + len(_PER_BEAT) + len(_VECTORS)).tolist()
    at = 2 * len(sizes)
    scales = np.frombuffer(packed, "<f4", len(_PER_BEAT), at).tolist()
    at += 4 * len(scales)
    beats = sizes[0]
    arrays: dict[str, Any] = {"beats": np.frombuffer(packed, "<f4", beats + 1, at)}
    at += 4 * (beats + 1)
    for name, width, scale in zip(_PER_BEAT, sizes[1:], scales, strict=False):
        flat = np.frombuffer(packed, np.uint8, beats * width, at) * np.float32(scale / 255)
        arrays[name] = flat.reshape(beats, width) if name != "lead" else flat
        at += beats * width
    for name, size in zip(_VECTORS, sizes[1 + len(_PER_BEAT) :], strict=True):
        arrays[name] = np.frombuffer(packed, "<f2", size, at).astype(np.float32)
        at += 2 * size
    return Segment(**scalars, **arrays)
