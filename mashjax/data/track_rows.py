"""A track as a row of a store: its segments' features, its words and its labels.

A row is [len(TRACK_ROW), segments], every number within [-1, 1] by a fixed factor, so that int16
keeps it: a word's number and a label exactly, chroma to 3e-5, timbre to 0.03.

    chroma0-11   as they are
    timbre0-11   over `TIMBRE_SCALE`; what is beyond is cut off
    exists       1 where there is a segment, 0 behind the last one of a short song
    words        numbers in the vocabulary, from 1, over 32767, those sung most first; 0: no more
    counts       how often each of these is sung, over 32767
    labels       at `LABELS`: the genre's number, from 1, over 32767 (0: not known); whether its
                 words are known; its popularity, squashed by `squashed` (-1: not known)

Of a song of more segments the middle ones are kept: beginnings and ends are less like the song.
"""

import collections
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from mashjax.data.lyrics import known
from mashjax.data.sources import Made, Moments, Rejected, split_sources
from mashjax.data.store import SCALE, TRACK_ROW, Settings
from mashjax.data.tracks import PITCH_CLASSES, TIMBRES, Track, TrackSource
from mashjax.errors import UserError

SEGMENT_RATE = 4  # segments per second, about: settings speak of seconds
TIMBRE_SCALE = 1000.0  # the Echo Nest's coefficients go to a few hundred
MAX_WORDS = 5000  # of a vocabulary: as many as musiXmatch's
CHROMA = slice(0, PITCH_CLASSES)
TIMBRE = slice(PITCH_CLASSES, PITCH_CLASSES + TIMBRES)
EXISTS, WORDS, COUNTS, LABELS_ROW = (
    TRACK_ROW.index(name) for name in ("exists", "words", "counts", "labels")
)
LABELS = ("genre", "lyrics", "popularity")
SHORT = ("keep", "drop")
BALANCES = ("none", "over", "under")


def make_track(source: TrackSource, *, settings: Settings) -> Made:
    """The one row of a track.

    Raises:
      UserError: it cannot be read, is not of one of the settings' genres, or is too short.
    """
    track = source.load()
    if track.genre not in settings.genres.split("\n"):
        raise UserError(f"its genre {track.genre!r} is none of the store's")
    segments = len(track.chroma)
    if settings.short == "drop" and segments < settings.samples:
        raise UserError(f"has {segments} segments, fewer than {settings.samples} (--short=drop)")
    about: dict[str, Any] = {
        "seconds": round(track.seconds, 3),
        "artist": track.artist,
        "title": track.title,
        "segments": segments,
        "words": None if track.words is None else len(track.words),
    }
    if track.popularity is not None:
        about["popularity"] = track.popularity
    rows = row_of(track, settings.words, genres=settings.genres, segments=settings.samples)[None]
    none = np.zeros(0)
    examples = [{"song": source.id, "genre": track.genre}]
    return Made(rows, examples, [], about, Moments(none, none, 0))


def row_of(track: Track, vocabulary: str, *, genres: str = "", segments: int) -> np.ndarray:
    """A track's row, float32 [len(TRACK_ROW), segments].

    vocabulary: known words, with spaces; genres: names, one a line.

    Raises:
      UserError: the track has no segments.
    """
    count = len(track.chroma)
    if not count:
        raise UserError(f"{track.track_id}: has no segments")
    row = np.zeros((len(TRACK_ROW), segments), np.float32)
    start = max(0, count - segments) // 2
    kept = slice(start, start + segments)
    chroma, timbre = track.chroma[kept].T, track.timbre[kept].T
    present = chroma.shape[1]
    row[CHROMA, :present] = np.clip(chroma, 0, 1)
    row[TIMBRE, :present] = np.clip(timbre / TIMBRE_SCALE, -1, 1)
    row[EXISTS, :present] = 1
    numbers = _numbers(vocabulary)
    sung = [(n, numbers[word]) for word, n in known(track.words or {}, numbers).items()]
    for place, (n, number) in enumerate(sorted(sung, key=lambda s: (-s[0], s[1]))[:segments]):
        row[[WORDS, COUNTS], place] = number / SCALE, min(n, SCALE) / SCALE
    names = genres.split("\n")
    genre = names.index(track.genre) + 1 if track.genre in names and track.genre else 0
    popularity = -1.0 if track.popularity is None else squashed(track.popularity)
    row[LABELS_ROW, : len(LABELS)] = genre / SCALE, track.words is not None, popularity
    return row


def squashed(popularity: float) -> float:
    """Any popularity from 0 up as 0..1, in the same order: plays in millions or shares of 1.

    Raises:
      UserError: it is negative, or no number.
    """
    if not popularity >= 0:
        raise UserError(f"its popularity is {popularity}; it must be 0 or more")
    log = np.log1p(popularity)
    return float(log / (1 + log))


def planned(
    sources: Sequence[TrackSource], settings: Settings
) -> tuple[list[TrackSource], list[Rejected], Settings]:
    """The tracks of known genres, why others are left out, and settings with classes and words.

    Words are those that the training songs sing most often.

    Raises:
      UserError: fewer than two genres are left.
    """
    counts = collections.Counter(source.genre for source in sources)
    kept, left_out = [], []
    for source in sources:
        if not source.genre:
            left_out.append(Rejected(source.id, "its genre is not known"))
            continue
        if counts[source.genre] < 2:
            why = f"it is the only song of the genre {source.genre!r}"
            left_out.append(Rejected(source.id, why))
            continue
        try:
            _ = source.words  # whether they can be read
        except UserError as error:
            left_out.append(Rejected(source.id, str(error)))
            continue
        kept.append(source)
    genres = sorted({str(source.genre) for source in kept})
    if len(genres) < 2:
        found = ", ".join(f"{name or 'unknown'}: {n}" for name, n in counts.most_common(8))
        raise UserError(
            f"a genre task needs two genres of two songs each; of {len(sources)} songs there are "
            f"{found or 'none'}"
        )
    splits = split_sources(kept)
    training = (source.words or {} for source in kept if splits[source.id] == "train")
    sung = collections.Counter(word for words in training for word in words)
    often = sorted(sung, key=lambda word: (-sung[word], word))[:MAX_WORDS]
    words = " ".join(sorted(often))
    return kept, left_out, dataclasses.replace(settings, genres="\n".join(genres), words=words)


def balanced(examples: list[dict[str, Any]], how: str, *, seed: int) -> list[dict[str, Any]]:
    """Examples with every genre as often as the most frequent ("over") or the rarest ("under").

    Over-sampling repeats examples, under-sampling draws some of them without replacement.
    """
    by_genre: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for example in examples:
        by_genre[example["genre"]].append(example)
    if how == "none" or not examples:
        return examples
    sizes = [len(of) for of in by_genre.values()]
    wanted = max(sizes) if how == "over" else min(sizes)
    rng = np.random.default_rng(seed)
    chosen = []
    for _, of in sorted(by_genre.items()):
        whole, rest = divmod(wanted, len(of))
        chosen += of * whole + [of[i] for i in sorted(rng.permutation(len(of))[:rest])]
    return sorted(chosen, key=lambda example: example["row"])


@functools.lru_cache(maxsize=4)
def _numbers(vocabulary: str) -> dict[str, int]:
    return {word: n for n, word in enumerate(vocabulary.split(), 1)}
