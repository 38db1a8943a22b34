"""Are the stems of one song found among those of many, and what was done to them?

    python tests/benchmarks/ranking.py --cache=FOLDER [--pairs=50] [--segments=1000] [--first=0]

reads POP909 from the folder named by MASHJAX_MUSIC and needs FluidSynth. Of each song a segment of
one half of the band (voice, bass, drums) is the query. The other half (keys, guitars, pads) was
transposed by 1 to 3 semitones either way, stretched by up to 8 %, and described by itself; its
segment over the same bars is what is sought, among those of other songs' halves (of all pairs of
segments that share four bars, it is the one with the most melody; songs without a bass are left
out, since a tune over drums goes with many chords). The chroma
correlation of AutoMashUpper (Davies et al. 2014) is asked the same. What was rendered and
described is kept in FOLDER: 7 minutes of one core the first time.
"""

import argparse
import dataclasses
import functools
import itertools
import json
import pathlib
import pickle
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import popsongs

from mashjax.audio.stretch import warp
from mashjax.data.layouts.midi import read_score
from mashjax.library.comparing import compare
from mashjax.library.describing import describe
from mashjax.library.segments import Segment, Song
from mashjax.mixing.model import load_model
from mashjax.tasks.mashup import ModelState

SECONDS = 90.0
STEP = 13  # folders from song to song, as in analysis.py: those are rendered once
SHIFTS = np.arange(-6, 7)
MORE = 20  # songs of which both halves are in the library, beside those with a query
BARS = 4  # that the query and what is sought share at least

Found = tuple[float, float, float]  # score, stretch in percent, shift in semitones
Finder = Callable[[Segment, list[Segment]], list[Found | None]]


@dataclasses.dataclass(frozen=True)
class Planted:
    """Both halves of a song; the second is `shift` semitones higher and `ratio` times as long.

    melody: (start, end) of its notes in seconds.
    """

    query: Song
    hidden: Song
    shift: int
    ratio: float
    melody: list[tuple[float, float]]

    @property
    def count(self) -> int:
        """Segments that the library has of this song."""
        return len(self.query.segments) + len(self.hidden.segments)

    @functools.cached_property
    def pair(self) -> tuple[Segment, Segment, float]:
        """The query and what is sought, the two segments that share most of the melody, and seconds
        of it."""
        pairs = itertools.product(self.query.segments, self.hidden.segments)
        return max(((q, h, self._sung(q, h)) for q, h in pairs), key=lambda pair: pair[2])

    def _sung(self, query: Segment, hidden: Segment) -> float:
        first = max(query.start, hidden.start / self.ratio)
        last = min(query.end, hidden.end / self.ratio)
        if last - first < query.beats_per_bar * BARS * 60 / query.tempo_bpm - 0.1:
            return 0.0
        return sum(max(0.0, min(end, last) - max(start, first)) for start, end in self.melody)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--segments", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="folder; 6: the weights' own songs")
    args = parser.parse_args()
    songs, others = songs_of(popsongs.folders(), args=args)
    print(json.dumps({"pairs": len(songs), "library": len(others) + sum(s.count for s in songs)}))
    scores = {}
    for name, find in (("mashjax", by_total), ("chroma correlation", by_chroma)):
        ranks, right = ranked(songs, others, find=find)
        scores[name] = {
            "recall@1": round(float(np.mean(ranks <= 1)), 3),
            "recall@10": round(float(np.mean(ranks <= 10)), 3),
            "median rank": float(np.median(ranks)),
            "transform": round(float(np.mean(right)), 3),
        }
        print(json.dumps({"by": name, **scores[name]}), flush=True)
    ours, theirs = scores.values()
    reached = ours["recall@1"] >= 0.6 and ours["recall@10"] >= 0.9 and ours["median rank"] <= 2
    return int(
        not (reached and ours["transform"] >= 0.95 and ours["recall@1"] > theirs["recall@1"])
    )


def songs_of(
    folders: list[pathlib.Path], *, args: argparse.Namespace
) -> tuple[list[Planted], list[Segment]]:
    """The planted songs, and segments of other songs up to the wanted number."""
    songs: list[Planted] = []
    for folder in filter(popsongs.has_bass, folders[args.first :: STEP]):
        song = planted(folder, cache=args.cache)
        if song.query.segments and song.hidden.segments and song.pair[2] > 0:
            songs.append(song)
        if len(songs) == args.pairs:
            break
    halves = [planted(f, cache=args.cache) for f in folders[args.first + 6 :: STEP][:MORE]]
    others = [x for song in halves for x in (*song.query.segments, *song.hidden.segments)]
    for folder in folders[args.first + 2 :: STEP] + folders[args.first + 4 :: STEP]:
        if len(others) + sum(s.count for s in songs) >= args.segments:
            break
        others += other(folder, cache=args.cache).segments
    return songs, others


def ranked(
    songs: list[Planted], others: list[Segment], *, find: Finder
) -> tuple[np.ndarray, np.ndarray]:
    """The rank, from 1, of each song's hidden segment among the other songs' segments, and whether
    its transform was found: the shift exactly, the stretch within 2 %."""
    ranks, right = [], []
    for song in songs:
        query, hidden, _ = song.pair
        halves = [half for one in songs if one is not song for half in (one.query, one.hidden)]
        rest = [segment for half in halves for segment in half.segments]
        found = find(query, [hidden, *rest, *others])
        totals = np.array([-np.inf if match is None else match[0] for match in found])
        ranks.append(1 + int((totals[1:] >= totals[0]).sum()))
        _, stretch, shift = found[0] or (0.0, np.inf, np.inf)
        undone = 100 * (1 / song.ratio - 1)
        right.append(abs(shift + song.shift) < 0.5 and abs(stretch - undone) < 2)
    return np.array(ranks), np.array(right)


def by_total(query: Segment, candidates: list[Segment]) -> list[Found | None]:
    matches = compare(query, candidates, role="lead")
    return [None if m is None else (m.total, m.stretch_percent, m.shift_semitones) for m in matches]


def by_chroma(query: Segment, candidates: list[Segment]) -> list[Found | None]:
    """AutoMashUpper's harmonic rule: the correlation of the beats' chroma, over all shifts and all
    offsets of whole bars."""
    return [_chroma(query, candidate) for candidate in candidates]


def _chroma(query: Segment, candidate: Segment) -> Found | None:
    ratio = candidate.tempo_bpm / query.tempo_bpm
    fold = 2.0 ** round(float(np.log2(ratio)))
    if query.beats_per_bar != candidate.beats_per_bar or abs(np.log(ratio / fold)) > np.log(1.12):
        return None
    x = np.repeat(query.chroma, round(max(1.0, fold)), axis=0)
    y = np.repeat(candidate.chroma, round(max(1.0, 1 / fold)), axis=0)
    shifted = np.stack([np.roll(y, shift, axis=1) for shift in SHIFTS])
    best = (-np.inf, 0)
    bar = query.beats_per_bar
    for offset in range(4 * bar - len(y), len(x) - 4 * bar + 1, bar):
        a = x[max(0, offset) : offset + len(y)]
        b = shifted[:, max(0, -offset) : len(x) - offset]
        norm = np.linalg.norm(a) * np.linalg.norm(b[0])
        fit = (b.reshape(len(SHIFTS), -1) @ a.ravel()) / max(float(norm), 1e-9)
        best = max(best, (float(fit.max()), int(SHIFTS[fit.argmax()])))
    return best[0], 100 * (ratio / fold - 1), float(best[1])


def planted(folder: pathlib.Path, *, cache: pathlib.Path) -> Planted:
    """A song described in halves, from the cache if it is there."""
    rng = np.random.default_rng(int(folder.name))
    shift = int(rng.choice([-3, -2, -1, 1, 2, 3]))
    ratio = float(np.exp(rng.uniform(-0.08, 0.08)))

    def make() -> tuple[Song, Song]:
        lead, rhythm, chords = popsongs.pop_song(folder, seconds=SECONDS, cache=cache).stems
        end = len(chords) / popsongs.SR
        line = np.array([0.0, end])
        moved = warp(
            chords[None],
            sr=popsongs.SR,
            source_times=line,
            output_times=line * ratio,
            semitones=shift,
        )
        return _describe(lead + rhythm), _describe(moved[0])

    query, hidden = _kept(cache / f"{folder.name} planted.pickle", make)
    melody = [(note.start, note.end) for note in read_score(folder).melody]
    return Planted(query=query, hidden=hidden, shift=shift, ratio=ratio, melody=melody)


def other(folder: pathlib.Path, *, cache: pathlib.Path) -> Song:
    """The second half of a song's band, as it is."""

    def make() -> Song:
        song = popsongs.pop_song(folder, seconds=SECONDS, cache=cache, wanted=("chords",))
        return _describe(song.stems[2])

    return _kept(cache / f"{folder.name} other.pickle", make)


def _kept(path: pathlib.Path, make: Callable[[], Any]) -> Any:
    """What was pickled at `path`; else it is made, and pickled there."""
    if path.is_file():
        return pickle.loads(path.read_bytes())
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(made))
    return made


def _describe(y: np.ndarray) -> Song:
    return describe(y[None].astype(np.float32), sr=popsongs.SR, model=_model())


@functools.cache
def _model() -> ModelState:
    return load_model()


if __name__ == "__main__":
    sys.exit(main())
