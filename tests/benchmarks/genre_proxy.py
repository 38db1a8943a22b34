"""A set of songs whose genre is how they are arranged, to see whether a network hears that.

    python tests/benchmarks/genre_proxy.py OUTPUT [--seconds=30]
    python -m mashjax.preprocess --layout=genre --input=OUTPUT --output=proxy.store ...

Reads POP909 from the folder named by MASHJAX_MUSIC (default ../shared/music), and needs FluidSynth.
Writes OUTPUT/FAMILY/SONG.flac and OUTPUT/genres.csv (file, genre, artist, split). These stand in
for genres, and are none: a family is a way to play drums, bass and chords under a melody. Melodies,
chords, keys, tempi and instruments are drawn alike for all families, every clip is of another song,
and the test split's instruments are in no other. The same command goes on where it was interrupted.
"""

import argparse
import csv
import dataclasses
import hashlib
import os
import pathlib
import shutil

import numpy as np

from mashjax.audio.files import replacing, write
from mashjax.audio.fluidsynth import render
from mashjax.audio.midi import Note, Part
from mashjax.data.layouts.arrange import Score, chord_pitches
from mashjax.data.layouts.midi import read_score
from mashjax.errors import UserError

SR = 22050
SOUNDFONT = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
SONGS = {"test": 20, "valid": 6, "train": 50}  # of each family
KICK, STICK, SNARE, CLAP, HAT, PEDAL, OPEN_HAT, RIDE = 36, 37, 38, 39, 42, 44, 46, 51

PROGRAMS = {
    False: {
        "melody": (73, 65, 56, 40, 52, 80),
        "chords": (0, 4, 24, 26, 16, 48),
        "bass": (32, 33, 36, 38),
        "drums": (0, 16, 32),
    },
    True: {
        "melody": (74, 66, 60, 42, 54, 81),
        "chords": (1, 5, 25, 27, 19, 50),
        "bass": (34, 35, 37, 39),
        "drums": (8, 24, 40),
    },
}
"""General MIDI programs from 0: of training and validation, and of the test."""


@dataclasses.dataclass(frozen=True)
class Family:
    """A bar of four, in beats.

    drums: (beat, drum, velocity); bass: (beat, beats held, semitones over the root);
    chords: (beat, beats held, which of the chord's notes, or None for all).
    """

    drums: tuple[tuple[float, int, int], ...]
    bass: tuple[tuple[float, float, int], ...]
    chords: tuple[tuple[float, float, int | None], ...]


def _eighths(drum: int, velocity: int) -> tuple[tuple[float, int, int], ...]:
    return tuple((i / 2, drum, velocity) for i in range(8))


FAMILIES = {
    "ballad": Family(
        drums=((0, KICK, 70), (2, STICK, 65)),
        bass=((0, 3.9, 0),),
        chords=tuple((i / 2, 0.9, (0, 1, 2, 1)[i % 4]) for i in range(8)),
    ),
    "rock": Family(
        drums=(*_eighths(HAT, 75), (0, KICK, 110), (1, SNARE, 108), (2, KICK, 105), (2.5, KICK, 95),
               (3, SNARE, 110)),
        bass=tuple((i / 2, 0.45, 0) for i in range(8)),
        chords=tuple((i / 2, 0.48, None) for i in range(8)),
    ),
    "dance": Family(
        drums=(*((i, KICK, 112) for i in range(4)), *((i + 0.5, OPEN_HAT, 80) for i in range(4)),
               (1, CLAP, 95), (3, CLAP, 95)),
        bass=tuple((i + 0.5, 0.4, 12 * (i % 2)) for i in range(4)),
        chords=((0.75, 0.2, None), (1.5, 0.2, None), (2.75, 0.2, None), (3.5, 0.2, None)),
    ),
    "reggae": Family(
        drums=(*_eighths(HAT, 60), (2, KICK, 108), (2, STICK, 100)),
        bass=((0, 0.8, 0), (1.5, 0.4, 0), (2, 0.8, 7), (3.5, 0.4, 7)),
        chords=((1, 0.25, None), (3, 0.25, None)),
    ),
    "swing": Family(
        drums=((0, RIDE, 85), (1, RIDE, 95), (5 / 3, RIDE, 75), (2, RIDE, 85), (3, RIDE, 95),
               (11 / 3, RIDE, 75), (1, PEDAL, 80), (3, PEDAL, 80)),
        bass=((0, 0.9, 0), (1, 0.9, 4), (2, 0.9, 7), (3, 0.9, 9)),
        chords=((0, 0.6, None), (5 / 3, 0.3, None)),
    ),
    "funk": Family(
        drums=(*((i / 4, HAT, 75 if i % 2 == 0 else 55) for i in range(16)), (0, KICK, 112),
               (0.75, KICK, 90), (2.5, KICK, 105), (1, SNARE, 108), (1.75, SNARE, 60),
               (3, SNARE, 108)),
        bass=((0, 0.4, 0), (0.75, 0.2, 0), (1.5, 0.3, 12), (2.5, 0.4, 0), (3.25, 0.2, 10)),
        chords=((0.5, 0.2, None), (1.25, 0.15, None), (2.75, 0.2, None), (3.5, 0.15, None)),
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=30.0)
    args = parser.parse_args()
    music = pathlib.Path(os.environ.get("MASHJAX_MUSIC", "../shared/music"))
    folders = sorted({path.parent for path in music.glob("midi/POP909/*/*.mid")}, key=_unit_hash)
    splits = [split for split, count in SONGS.items() for _ in range(count)]
    wanted = [(split, family) for split in splits for family in FAMILIES]
    if len(folders) < len(wanted):
        raise SystemExit(f"{music}: {len(folders)} songs, and {len(wanted)} are needed")
    for family in FAMILIES:
        (args.output / family).mkdir(parents=True, exist_ok=True)
    rows = []
    for folder in folders:
        if len(rows) == len(wanted):
            break
        split, family = wanted[len(rows)]
        file = f"{family}/{folder.name}.flac"
        if not (args.output / file).is_file():
            try:
                y = clip(folder, family, unseen=split == "test", seconds=args.seconds)
            except UserError as error:
                print(f"left out: {error}")
                continue
            write(args.output / file, y[None], sr=SR)
        rows.append((file, family, f"song {folder.name}", split))
    if len(rows) < len(wanted):
        raise SystemExit(f"{len(rows)} songs could be used, and {len(wanted)} are needed")
    with replacing(args.output / "genres.csv") as path, open(path, "w", newline="") as file:
        csv.writer(file).writerows([("file", "genre", "artist", "split"), *rows])
    print(f"{args.output}: {len(rows)} clips of {args.seconds:g} s in {len(FAMILIES)} families")


def clip(folder: pathlib.Path, family: str, *, unseen: bool, seconds: float) -> np.ndarray:
    """A song's clip, float32 [samples] at `SR`; what is drawn depends on its name alone.

    Raises:
      UserError: the song cannot be read, or is shorter.
    """
    rng = np.random.default_rng(int(_unit_hash(folder) * 2**53))
    score = read_score(folder)
    bars = [i for i in score.downbeats if score.beats[i] + seconds < score.beats[-1]]
    if not bars:
        raise UserError(f"{folder}: has no {seconds:g} s")
    programs = {part: int(rng.choice(of)) for part, of in PROGRAMS[unseen].items()}
    start = float(score.beats[rng.choice(bars)])
    pace = rng.uniform(0.9, 1.1)
    parts = [
        Part(
            programs[name],
            [
                dataclasses.replace(
                    note, start=(note.start - start) / pace, end=(note.end - start) / pace
                )
                for note in notes
                if note.start >= start - 1e-6 and note.end < start + pace * seconds
            ],
            volume=int(rng.integers(low, low + 30)),
            reverb=int(rng.integers(0, 80)),
            drums=name == "drums",
        )
        for name, low, notes in (
            ("melody", 80, score.melody),
            ("chords", 75, _chords(score, FAMILIES[family], rng)),
            ("bass", 85, _bass(score, FAMILIES[family], rng)),
            ("drums", 75, _drums(score, FAMILIES[family], rng)),
        )
    ]
    room = float(rng.uniform(0.1, 0.8))
    y = render(parts, seconds=seconds, sr=SR, soundfont=SOUNDFONT, room=room)
    return 0.5 * y / np.abs(y).max()


def _played(score: Score, pattern, rng: np.random.Generator):
    """A bar's pattern in every bar: (the time at a beat of it, its row); a tenth is left out."""
    ends = [*score.downbeats[1:].tolist(), len(score.beats) - 1]
    numbers = np.arange(len(score.beats))
    for first, end in zip(score.downbeats.tolist(), ends, strict=True):
        for row in pattern:
            if row[0] < end - first and rng.random() > 0.1:
                times = first + np.array([row[0], row[0] + row[1]])
                start, stop = np.interp(times, numbers, score.beats)
                yield float(start), float(stop), row


def _drums(score: Score, family: Family, rng: np.random.Generator) -> list[Note]:
    hits = [(beat, 0.1, drum, velocity) for beat, drum, velocity in family.drums]
    return [
        Note(start, start + 0.1, drum, int(np.clip(velocity + rng.normal(0, 8), 20, 127)))
        for start, _, (_, _, drum, velocity) in _played(score, hits, rng)
    ]


def _bass(score: Score, family: Family, rng: np.random.Generator) -> list[Note]:
    notes = []
    for start, stop, (_, _, semitones) in _played(score, family.bass, rng):
        for chord in _at(score, start):
            pitch = 28 + (chord[0] - 28) % 12 + semitones
            notes.append(Note(start, stop, pitch, int(rng.integers(80, 112))))
    return notes


def _chords(score: Score, family: Family, rng: np.random.Generator) -> list[Note]:
    notes = []
    for start, stop, (_, _, which) in _played(score, family.chords, rng):
        for chord in _at(score, start):
            pitches = sorted(52 + (pitch - 52) % 12 for pitch in chord)
            for pitch in pitches if which is None else pitches[which : which + 1]:
                notes.append(Note(start, stop, pitch, int(rng.integers(65, 100))))
    return notes


def _at(score: Score, time: float) -> list[list[int]]:
    """The chord that sounds, if any: its pitches, its root first."""
    return [
        chord_pitches(name)
        for start, end, name in score.chords
        if name != "N" and start - 0.02 <= time < end - 0.02
    ]


def _unit_hash(folder: pathlib.Path) -> float:
    digest = hashlib.sha256(folder.name.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


if __name__ == "__main__":
    if shutil.which("fluidsynth") is None or not pathlib.Path(SOUNDFONT).is_file():
        raise SystemExit(f"needs the program fluidsynth, and {SOUNDFONT}")
    main()
