"""Songs in the shape of the Million Song Dataset whose genre can be known only so well.

    python tests/benchmarks/genre_made.py STORE [--songs=6000]     writes a store
    python tests/benchmarks/genre_made.py --bayes                  what can be reached at most

Every song has three hidden traits, each one of three: how its chords move (up a fourth, down a
fourth, up a semitone), what it sounds like, and what it sings of. Each trait is drawn by the
song's genre, one of nine, with a stated probability of the genre's own; then the traits make the
song, so clearly that they can be read off it. Hence the best accuracy that anything can have
follows from nine times twenty-seven probabilities.

How chords move shows in their order alone: whichever way, each of twelve chords sounds equally
long, so that what is left of a song without its order says nothing of it.
"""

import argparse
import dataclasses
import itertools
import json
import pathlib

import numpy as np

from mashjax.data.building import build_store
from mashjax.data.store import Settings
from mashjax.data.track_rows import SEGMENT_RATE, planned
from mashjax.data.tracks import Track

CHORDS, SOUNDS = ("up", "down", "step"), ("soft", "warm", "hard")
GENRES = [f"{chords}-{sound}" for chords in CHORDS for sound in SOUNDS]
STEPS = (5, -5, 1)  # semitones from chord to chord
OWN = {"chords": 0.95, "sound": 0.75, "words": 0.85}
"""Probability that a trait is the genre's own; otherwise one of both others, equally."""
SUNG = 0.8  # share of the songs whose words are known
WORDS_OF_GENRE = np.array([0, 1, 2, 1, 2, 0, 2, 0, 1])  # of each genre: which words are its own
SEGMENTS = 300


@dataclasses.dataclass(frozen=True)
class MadeTrack:
    """Song number `number` of the generator, made when it is loaded."""

    number: int
    seed: int

    @property
    def id(self) -> str:
        return f"made{self.number:06}"

    @property
    def group(self) -> str:
        return self.id

    @property
    def files(self) -> dict[str, list[pathlib.Path]]:
        return {}

    @property
    def split(self) -> str | None:
        """A tenth is for validation and a fifth for the test."""
        return ("test", "test", "valid")[self.number % 10] if self.number % 10 < 3 else "train"

    @property
    def genre(self) -> str:
        return GENRES[self._traits()[0]]

    @property
    def words(self) -> dict[str, int] | None:
        _, _, _, topic, rng = self._traits()
        if rng.random() >= SUNG:
            return None
        # Of 300 words a hundred belong to each topic; half of a song's words are of its own.
        own = rng.choice(100, 30, replace=False) + 100 * topic
        other = rng.choice(300, 30, replace=False)
        return {f"w{n:03}": 1 + int(rng.geometric(0.5)) for n in {*own, *other}}

    def _traits(self) -> tuple[int, int, int, int, np.random.Generator]:
        rng = np.random.default_rng([self.seed, self.number])
        genre = int(rng.integers(9))
        own = (genre // 3, genre % 3, int(WORDS_OF_GENRE[genre]))
        drawn = [
            trait if rng.random() < p else int((trait + 1 + rng.integers(2)) % 3)
            for trait, p in zip(own, OWN.values(), strict=True)
        ]
        return genre, *drawn, rng

    def load(self) -> Track:
        _, chords, sound, _, rng = self._traits()
        words = self.words
        rng = np.random.default_rng([self.seed, self.number, 1])
        lengths = rng.integers(2, 7, SEGMENTS)  # segments of each chord
        which = np.repeat(np.arange(SEGMENTS), lengths)[:SEGMENTS]
        roots = (rng.integers(12) + STEPS[chords] * which) % 12
        triad = np.zeros((SEGMENTS, 12))
        for interval in (0, 4, 7):
            triad[np.arange(SEGMENTS), (roots + interval) % 12] = 1
        chroma = np.clip(0.75 * triad + rng.uniform(0, 0.35, triad.shape), 0, 1)
        # Three sounds: other means of four coefficients; songs of one sound differ, too.
        offsets = 25 * np.array([[1, 0, -1, 1], [-1, 1, 0, -1], [0, -1, 1, 1]])[sound]
        mean = rng.normal(0, 6, 12)
        mean[1:5] += offsets
        timbre = mean + rng.normal(0, 40, (SEGMENTS, 12))
        timbre[:, 0] = 40 + rng.normal(0, 4, SEGMENTS)
        return Track(
            self.id, self.id, f"song {self.number}", SEGMENTS / SEGMENT_RATE,
            chroma.astype(np.float32), timbre.astype(np.float32),
            np.arange(SEGMENTS) / SEGMENT_RATE, words=words, genre=self.genre,
            # Popular is what sounds hard, and chance.
            popularity=float(np.exp(0.7 * sound + rng.normal())), split=self.split,
        )  # fmt: skip


def bayes(*, chords: bool = True, sound: bool = True, words: bool = True) -> float:
    """The accuracy of the best guess from some of the traits: exact."""
    total = 0.0
    for sung, share in ((True, SUNG), (False, 1 - SUNG)):
        seen = (chords, sound, words and sung)
        for traits in itertools.product(*(range(3) if s else [None] for s in seen)):
            joint = np.full(9, 1 / 9)
            for k, (trait, p) in enumerate(zip(traits, OWN.values(), strict=True)):
                own = np.stack([np.arange(9) // 3, np.arange(9) % 3, WORDS_OF_GENRE])[k]
                if trait is not None:
                    joint = joint * np.where(own == trait, p, (1 - p) / 2)
            total += share * joint.max()
    return float(total)


def write(path: str, songs: int, *, seed: int = 0) -> None:
    tracks = [MadeTrack(n, seed) for n in range(songs)]
    settings = Settings(
        layout="genre", sample_rate=SEGMENT_RATE, seconds=SEGMENTS / SEGMENT_RATE, seed=seed
    )
    kept, left_out, settings = planned(tracks, settings)
    build_store(kept, path, settings=settings, left_out=left_out)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", nargs="?")
    parser.add_argument("--songs", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bayes", action="store_true")
    arguments = parser.parse_args()
    if arguments.store:
        write(arguments.store, arguments.songs, seed=arguments.seed)
    if arguments.bayes:
        best = {
            "both": bayes(),
            "audio": bayes(words=False),
            "lyrics": bayes(chords=False, sound=False),
            "both, without order": bayes(chords=False),
            "audio, without order": bayes(chords=False, words=False),
        }
        print(json.dumps({name: round(value, 4) for name, value in best.items()}, indent=1))


if __name__ == "__main__":
    main()
