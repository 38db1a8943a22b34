"""What mashjax knows of one song: tempo, beats, bars, key, tuning, and its beats' sound."""

import dataclasses

import numpy as np

from mashjax.audio.resample import resample
from mashjax.music import bars, beats, onsets, tonality, voice
from mashjax.music.onsets import Onsets, frame_of
from mashjax.music.tonality import Key

SR = 22050
SUBDIVISIONS = 8
NOMINAL_BEAT = 0.5  # seconds of the cells in which a song without beats is described


@dataclasses.dataclass(frozen=True)
class Analysis:
    """One song. All times are seconds from the start of the samples given to `analyse`.

    Songs without a beat are described in cells of `NOMINAL_BEAT` seconds instead of beats.
    """

    seconds: float
    tempo_bpm: float | None  # None: no beat was found
    beats: np.ndarray  # [n] seconds over the whole song; empty without a beat
    downbeats: np.ndarray  # [m] seconds, some of `beats`
    beats_per_bar: int
    steady: bool  # one tempo throughout; False: follow the beats one by one
    beat_confidence: float  # 0..1
    key: Key
    key_likelihood: np.ndarray  # [2, 12]: major and minor on C, C#, ...; sums to 1
    tuning_cents: float  # above A = 440 Hz equal temperament, -50..50
    cells: np.ndarray  # [cells + 1] seconds: the edges of what follows
    chroma: np.ndarray  # [cells, 12] pitch classes, tuning removed
    rhythm: np.ndarray  # [cells, SUBDIVISIONS] onset strength
    spectrum: np.ndarray  # [cells, bands] magnitude
    voice: float  # 0..1: how likely the song has a singing voice


def analyse(y: np.ndarray, *, sr: int) -> Analysis:
    """Analyse mono samples `y` [samples] at `sr` Hz.

    Works at 22.05 kHz inside. Silence, noise and drones give `tempo_bpm` None and a key
    without confidence; nothing in the sound makes it fail.
    """
    return analyse_frames(y, sr=sr)[0]


def analyse_frames(y: np.ndarray, *, sr: int) -> tuple[Analysis, np.ndarray, Onsets]:
    """`analyse`, and what it was made of: pitch classes [frames, 12] every tonality.HOP samples
    at tonality.SR, and the onsets; both at the song's highest level, 1."""
    seconds = len(y) / sr
    mono = np.asarray(y, np.float32)
    if sr != SR:
        mono = resample(mono, sr_in=sr, sr_out=SR)
    peak = float(np.abs(mono).max(initial=0.0))
    mono = mono / peak if peak > 1e-6 else np.zeros_like(mono)

    o = onsets.onsets(mono)
    found = beats.track(o, seconds=seconds)
    p = tonality.peaks(mono)
    cents = tonality.tuning(p)
    chroma, bass = tonality.pitch_classes(p, tuning_cents=cents)
    key, likelihood = tonality.key_of(chroma.sum(axis=0))
    grid = bars.bars(found.times, o=o, chroma=chroma, bass=bass)
    grid = _settled(grid, o=o, seconds=seconds)
    cells = _cells(grid.beats, seconds=seconds)
    analysis = Analysis(
        seconds=seconds,
        tempo_bpm=found.tempo_bpm,
        beats=grid.beats,
        downbeats=grid.downbeats,
        beats_per_bar=grid.beats_per_bar,
        steady=found.steady,
        beat_confidence=found.confidence,
        key=key,
        key_likelihood=likelihood,
        tuning_cents=cents,
        cells=cells,
        chroma=pool(chroma, cells * tonality.SR / tonality.HOP),
        rhythm=_rhythm(o, cells),
        spectrum=pool(o.energy.T, cells * o.rate),
        voice=voice.voice_likelihood(mono),
    )
    return analysis, chroma, o


def _settled(grid: bars.Bars, *, o: Onsets, seconds: float) -> bars.Bars:
    """The grid to a few milliseconds, and its bars continued to both ends."""
    if len(grid.beats) < 2:
        return grid
    times = beats.settle(grid.beats, o=o, seconds=seconds)
    first = int(np.abs(times - grid.downbeats[0]).argmin()) % grid.beats_per_bar
    return bars.Bars(
        beats=times,
        downbeats=times[first :: grid.beats_per_bar],
        beats_per_bar=grid.beats_per_bar,
    )


def _cells(beats: np.ndarray, *, seconds: float) -> np.ndarray:
    """The beats, or a regular grid without them; only whole cells."""
    end = max(seconds, NOMINAL_BEAT)
    return beats if len(beats) > 1 else np.arange(0.0, end, NOMINAL_BEAT)


def pool(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Means of `x` [frames, features] between fractional frame `edges`, [cells, features]."""
    total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0, dtype=np.float64)])
    i = np.clip(np.round(edges).astype(int), 0, len(x))
    count = np.maximum(1, np.diff(i))[:, None]
    return (total[i[1:]] - total[i[:-1]]) / count


def _rhythm(o: Onsets, cells: np.ndarray) -> np.ndarray:
    """Onset strength in `SUBDIVISIONS` parts of each cell, [cells, SUBDIVISIONS].

    The first part is centred on the cell's start, so that a beat falls within one part.
    """
    parts = np.arange(len(cells) * SUBDIVISIONS - SUBDIVISIONS + 1) / SUBDIVISIONS
    edges = np.interp(parts, np.arange(len(cells)), cells)
    edges = edges - (edges[1] - edges[0]) / 2 if len(edges) > 1 else edges
    pooled = pool(o.total[:, None], np.asarray(frame_of(edges)))
    return pooled.reshape(-1, SUBDIVISIONS)
