"""From a song to clips on a grid of tempi and keys, where all that share a cell fit together."""

import dataclasses
from typing import Any

import numpy as np

from mashjax.audio.loudness import loudness
from mashjax.audio.stretch import warp
from mashjax.data.sources import PEAK, Made, SongSource, moments
from mashjax.data.store import Settings
from mashjax.errors import UserError
from mashjax.music.analysis import Analysis, analyse
from mashjax.music.time_maps import TimeMap, between
from mashjax.music.tiv import tiv, transpose
from mashjax.music.tonality import TONICS

LOWEST_BPM = 70.0  # the grid's first tempo; the others lie within an octave above
HOP_SECONDS = 0.1  # of the question where a source is heard
MIN_ACTIVE = 0.5  # of a clip, for its lead and its backing each
IN_TUNE_CENTS = 2.0  # less is left alone, as in mixing
CONTEXT_SECONDS = 1.0  # read around a clip, so that the stretcher has run in


@dataclasses.dataclass(frozen=True)
class Rendition:
    """One way to bring a song onto the grid.

    cell: what songs must share to fit; tempo_bpm: the cell's; time_map: source to output
    seconds of the whole song; beats_per_cell_beat: of the song, a power of 2; semitones: whole,
    without the tuning.
    """

    cell: str
    tempo_bpm: float
    time_map: TimeMap
    beats_per_cell_beat: float
    semitones: int


def make_clips(source: SongSource, *, settings: Settings) -> Made:
    """Load, level and analyse a song, and cut it into clips.

    Raises:
      UserError: the song cannot be used; says why.
    """
    sr = settings.sample_rate
    y = np.stack(source.load(sr=sr))
    seconds = y.shape[1] / sr
    if seconds < settings.seconds:
        raise UserError(f"lasts {seconds:.1f} s; an example needs {settings.seconds:g} s")
    level = loudness(y.sum(0, keepdims=True), sr=sr)
    if not np.isfinite(level):
        raise UserError("is silent")
    analysis = analyse(y.sum(0), sr=sr)
    if analysis.tempo_bpm is None:
        raise UserError("has no beat that could be found")
    gain = 10 ** ((settings.loudness - level) / 20)
    y *= np.float32(gain)
    chosen = _choose(source.id, analysis, _active(y, sr=sr), settings)
    if not chosen:
        raise UserError(
            f"has no {settings.seconds:g} s in which both its lead and its backing are heard"
        )
    rows, examples, harmony = [], [], []
    for rendition, start in chosen:
        row, about = _clip(y, analysis, rendition, start, settings)
        rows.append(row)
        examples.append({"song": source.id, **about})
        harmony.append(_harmony(analysis, rendition, start, settings))
    stacked = np.stack(rows)
    return Made(
        rows=stacked,
        examples=examples,
        harmony=harmony,
        about={
            "seconds": round(seconds, 3),
            "gain_db": round(20 * float(np.log10(gain)), 3),
            "tempo_bpm": round(analysis.tempo_bpm, 3),
            "beats_per_bar": analysis.beats_per_bar,
            "key": f"{analysis.key.tonic} {analysis.key.mode}",
        },
        moments=moments(stacked.sum(1)),
    )


def renditions(analysis: Analysis, settings: Settings) -> list[Rendition]:
    """Both tempi of the grid around the song's own, in each key of the grid within reach.

    Tempi an octave apart are one, as are a major key and its relative minor.
    """
    steps = settings.tempos_per_octave
    assert analysis.tempo_bpm is not None
    below = int(np.floor(np.log2(analysis.tempo_bpm / LOWEST_BPM) * steps + 1e-6))
    pitch_class = TONICS.index(analysis.key.tonic) + 3 * (analysis.key.mode == "minor")
    shifts = range(-settings.max_shift, settings.max_shift + 1)
    meter = 3 if analysis.beats_per_bar % 3 == 0 else 4
    found = []
    for step in (below, below + 1):
        octave, tempo = divmod(step, steps)
        beat = 60 / LOWEST_BPM / 2 ** (step / steps)
        output = np.arange(len(analysis.beats)) * beat
        ends = [0, -1] if analysis.steady else slice(None)
        for shift in shifts:
            key, off = divmod((pitch_class + shift) % 12, settings.key_step)
            if off == 0:
                found.append(
                    Rendition(
                        cell=f"tempo {tempo}, key {key}, meter {meter}",
                        tempo_bpm=LOWEST_BPM * 2 ** (tempo / steps),
                        time_map=(analysis.beats[ends], output[ends]),
                        beats_per_cell_beat=2.0**octave,
                        semitones=shift,
                    )
                )
    return found


def _choose(
    name: str, analysis: Analysis, active: np.ndarray, settings: Settings
) -> list[tuple[Rendition, float]]:
    """Renditions and where in them clips begin (s of output): all renditions alike, drawn."""
    rng = np.random.default_rng([settings.seed, *name.encode()])
    waiting = []
    for rendition in renditions(analysis, settings):
        starts = _starts(analysis, rendition, active, settings, rng)
        waiting.append([(rendition, start) for start in rng.permutation(starts).tolist()])
    chosen: list[tuple[Rendition, float]] = []
    while any(waiting) and len(chosen) < settings.clips_per_song:
        for clips in waiting:
            if clips and len(chosen) < settings.clips_per_song:
                chosen.append(clips.pop())
    return sorted(chosen, key=lambda c: (c[0].cell, c[0].semitones, c[1]))


def _starts(
    analysis: Analysis,
    rendition: Rendition,
    active: np.ndarray,
    settings: Settings,
    rng: np.random.Generator,
) -> list[float]:
    """Downbeats from which a whole clip sounds, at least a clip apart from each other."""
    source, output = rendition.time_map
    starts: list[float] = []
    downbeats = np.interp(analysis.downbeats, source, output)
    free = rng.uniform(0, settings.seconds)
    for start in downbeats[analysis.downbeats >= source[0]].tolist():
        stop = start + settings.seconds
        if start < free or stop > output[-1]:
            continue
        first, last = np.interp([start, stop], output, source)
        heard = active[:, int(first / HOP_SECONDS) : int(last / HOP_SECONDS)]
        if heard.shape[1] and (heard.mean(1) >= MIN_ACTIVE).all():
            starts.append(start)
            free = stop
    return starts


def _clip(
    y: np.ndarray, analysis: Analysis, rendition: Rendition, start: float, settings: Settings
) -> tuple[np.ndarray, dict[str, Any]]:
    """Lead and backing from `start` on, [2, samples], and what is known of them.

    They are stretched together, as two channels of one sound, because a mix
    stretches their sum: the sum of the results is then what a mashup would have.
    """
    sr = settings.sample_rate
    source, output = between(rendition.time_map, start=start, stop=start + settings.seconds)
    cents = analysis.tuning_cents if abs(analysis.tuning_cents) >= IN_TUNE_CENTS else 0.0
    semitones = rendition.semitones - cents / 100
    first = max(0, round((source[0] - CONTEXT_SECONDS) * sr))
    last = round((source[-1] + CONTEXT_SECONDS) * sr)
    row = warp(
        y[:, first:last],
        sr=sr,
        source_times=source - first / sr,
        output_times=output,
        semitones=semitones,
    )[:, : settings.samples]
    row = np.pad(row, [(0, 0), (0, settings.samples - row.shape[1])])
    gain = min(1.0, PEAK / float(np.abs(row).max()))
    return row * np.float32(gain), {
        "cell": rendition.cell,
        "tempo_bpm": round(rendition.tempo_bpm, 4),
        "start": round(float(source[0]), 4),  # s of the song
        "stretch": round(settings.seconds / float(source[-1] - source[0]), 5),
        "shift_semitones": round(semitones, 3),
        "gain_db": round(20 * float(np.log10(gain)), 3),
    }


def _harmony(
    analysis: Analysis, rendition: Rendition, start: float, settings: Settings
) -> np.ndarray:
    """The Tonal Interval Vectors of a clip at each half beat of its cell, float16 [n, 12], |x| = 1.

    Real and imaginary parts; the scalar product of two clips' is the cosine that mixing uses.
    """
    count = int(2 * settings.seconds * rendition.tempo_bpm / 60)
    source, output = rendition.time_map
    times = start + (np.arange(count) + 0.5) * 30 / rendition.tempo_bpm
    at = np.searchsorted(analysis.beats, np.interp(times, output, source)) - 1
    chroma = analysis.chroma[np.clip(at, 0, len(analysis.chroma) - 1)]
    vectors = transpose(tiv(chroma), semitones=rendition.semitones)
    parts = np.concatenate([vectors.real, vectors.imag], axis=1)
    return (parts / max(float(np.linalg.norm(parts)), 1e-9)).astype(np.float16)


def _active(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Where each of y [sources, samples] is heard, within 25 dB of its loud parts: [.., hops]."""
    hop = round(HOP_SECONDS * sr)
    whole = y[:, : y.shape[1] // hop * hop].reshape(len(y), -1, hop)
    power = (whole.astype(np.float64) ** 2).mean(-1)
    loud = np.percentile(power, 95, axis=1, keepdims=True)
    return power > np.maximum(loud * 10**-2.5, 1e-6)
