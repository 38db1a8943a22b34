"""Which songs to pair, and the aligned excerpts of a pair."""

import dataclasses
from typing import Any

import numpy as np

from mashjax.audio.stretch import warp
from mashjax.data.songs import HOP_SECONDS, Rejected, Song
from mashjax.data.store import Settings
from mashjax.errors import UserError
from mashjax.music.alignment import Alignment, align

MIN_ACTIVE = 0.5  # of an excerpt, for each lead and each backing
CONTEXT_SECONDS = 1.0  # read around an excerpt, so that the stretcher has run in
PEAK = 0.99


@dataclasses.dataclass(frozen=True)
class Example:
    """sources: float32 [4, samples] within +-PEAK; about: its entry in the manifest."""

    sources: np.ndarray
    about: dict[str, Any]


def plan_pairs(songs: list[Song], *, settings: Settings) -> list[tuple[Song, Song]]:
    """Pairs of songs of one split whose tempi are near, octaves folded.

    Every song is in at most `settings.pairs_per_song` pairs; which is drawn
    from the seed and the songs' order.
    """
    rng = np.random.default_rng([settings.seed, 2])
    octaves = np.log2([song.tempo_bpm for song in songs])
    limit = np.log2(1 + settings.max_tempo_change)
    degree = np.zeros(len(songs), np.int64)
    paired = np.eye(len(songs), dtype=bool)
    pairs = []
    for i in rng.permutation(len(songs)):
        apart = octaves - octaves[i]
        near = np.abs(apart - np.round(apart)) <= limit
        free = near & ~paired[i] & (degree < settings.pairs_per_song)
        wanted = max(0, settings.pairs_per_song - int(degree[i]))
        for j in rng.permutation(np.flatnonzero(free))[:wanted]:
            pairs.append((songs[i], songs[j]))
            paired[i, j] = paired[j, i] = True
            degree[[i, j]] += 1
    return pairs


def cut_pair(a: Song, b: Song, *, settings: Settings) -> list[Example] | Rejected:
    """Align two songs as `mix` does, and cut excerpts in which everybody plays."""
    name = f"{a.id} + {b.id}"
    try:
        alignment = align(a.analysis, b.analysis, lead="1")
    except UserError as error:
        return Rejected(name, str(error))
    if alignment.tempo_bpm is None:
        return Rejected(name, alignment.why)
    starts = _starts(a, b, alignment, settings)
    if not starts:
        return Rejected(name, "no excerpt of the overlap has both leads and both backings")
    return [_excerpt(a, b, alignment, start, settings) for start in starts]


def _starts(a: Song, b: Song, alignment: Alignment, settings: Settings) -> list[float]:
    """Where excerpts begin on the common timeline: apart from each other, drawn from the seed."""
    slack = alignment.seconds - settings.seconds
    if slack < 0:
        return []
    rng = np.random.default_rng([settings.seed, 3, *a.id.encode(), 0, *b.id.encode()])
    offset = rng.uniform(0, min(slack, settings.seconds))
    starts = [
        float(start)
        for start in np.arange(offset, slack + 1e-9, settings.seconds)
        if all(
            _is_active(song, time_map, start, start + settings.seconds)
            for song, time_map in zip((a, b), alignment.time_maps, strict=True)
        )
    ]
    chosen = rng.permutation(len(starts))[: settings.examples_per_pair]
    return [starts[i] for i in sorted(chosen)]


def _is_active(song: Song, time_map: Any, start: float, stop: float) -> bool:
    source, _ = excerpt_map(time_map, start=start, stop=stop)
    if source[0] < 0 or source[-1] > song.about["seconds"]:
        return False
    hops = slice(int(source[0] / HOP_SECONDS), int(source[-1] / HOP_SECONDS))
    return bool(
        song.lead_active[hops].mean() >= MIN_ACTIVE
        and song.backing_active[hops].mean() >= MIN_ACTIVE
    )


def _excerpt(a: Song, b: Song, alignment: Alignment, start: float, settings: Settings) -> Example:
    stop = start + settings.seconds
    parts = [
        _warp_excerpt(song, time_map, start, stop, semitones, settings)
        for song, time_map, semitones in zip(
            (a, b), alignment.time_maps, alignment.shift_semitones, strict=True
        )
    ]
    sources = np.concatenate(parts)
    gain = min(1.0, PEAK / float(np.abs(sources).max()))
    about = {
        "songs": [a.id, b.id],
        "start": start,
        "source": [
            [float(t) for t in excerpt_map(m, start=start, stop=stop)[0][[0, -1]]]
            for m in alignment.time_maps
        ],
        "tempo_bpm": alignment.tempo_bpm,
        "stretch": list(alignment.stretch),
        "shift_semitones": list(alignment.shift_semitones),
        "gain": gain,
    }
    return Example(sources * np.float32(gain), about)


def _warp_excerpt(
    song: Song, time_map: Any, start: float, stop: float, semitones: float, settings: Settings
) -> np.ndarray:
    """Lead and backing of one song from `start` to `stop` of the common timeline, [2, samples].

    They are stretched together, as two channels of one sound, because `mix`
    stretches their sum: the sum of the results is then what a mashup would have.
    """
    sr = settings.sample_rate
    source, output = excerpt_map(time_map, start=start, stop=stop)
    first = max(0, round((source[0] - CONTEXT_SECONDS) * sr))
    last = round((source[-1] + CONTEXT_SECONDS) * sr)
    stored = np.load(song.sources, mmap_mode="r")[:, first:last]
    y = stored.astype(np.float32) * np.float32(song.scale)
    y = warp(y, sr=sr, source_times=source - first / sr, output_times=output, semitones=semitones)[
        :, : settings.samples
    ]
    return np.pad(y, [(0, 0), (0, settings.samples - y.shape[1])])


def excerpt_map(time_map: Any, *, start: float, stop: float) -> tuple[np.ndarray, np.ndarray]:
    """The knots (source, output) of a time map between two output times, ends included."""
    source, output = (np.asarray(times, np.float64) for times in time_map)
    inside = (output > start + 1e-3) & (output < stop - 1e-3)
    ends = np.interp([start, stop], output, source)
    return (
        np.concatenate([ends[:1], source[inside], ends[1:]]),
        np.concatenate([[start], output[inside], [stop]]),
    )
