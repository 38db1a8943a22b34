"""A pop arrangement of a melody, its accompaniment, chords and beats.

What the notes do not say is drawn from `rng`: the instruments, how the lead
phrases, a bass line, a drum pattern, pads or strummed chords, levels.
"""

import dataclasses

import numpy as np

from mashjax.audio.midi import Note, Part

# General MIDI program numbers, from 0.
LEADS = (52, 53, 54, 85, 64, 65, 66, 67, 68, 71, 73, 74, 40, 56, 22, 80, 81, 84)
VOICES = (52, 53, 54, 85)
KEYS = (0, 1, 2, 3, 4, 5, 7, 24, 25, 26, 27)
BRIDGES = (11, 24, 25, 26, 27, 28, 45, 46, 48, 50, 61, 60, 68, 73, 88, 0, 4)
PADS = (16, 17, 19, 48, 49, 50, 51, 88, 89, 90, 91, 94, 95)
GUITARS = (24, 25, 26, 27, 28, 29, 30)
BASSES = (32, 33, 34, 35, 36, 37, 38, 39)
KITS = (0, 0, 8, 16, 24, 25, 32, 40)

KICK, SNARE, STICK, CLAP, HAT, OPEN_HAT, RIDE, CRASH, SHAKER, TOM_HIGH, TOM_LOW = (
    36, 38, 37, 39, 42, 46, 51, 49, 70, 48, 43,
)  # fmt: skip

# A bar of four: (beat, drum, velocity).
GROOVES: tuple[tuple[tuple[float, int, int], ...], ...] = (
    (*((i / 2, HAT, 70) for i in range(8)), (0, KICK, 105), (1, SNARE, 100), (2, KICK, 100),
     (2.5, KICK, 85), (3, SNARE, 105)),
    (*((i, KICK, 110) for i in range(4)), *((i + 0.5, OPEN_HAT, 75) for i in range(4)),
     (1, CLAP, 100), (3, CLAP, 100)),
    (*((i, RIDE, 65) for i in range(4)), (0, KICK, 85), (2, STICK, 80), (2.5, KICK, 70)),
    (*((i / 4, HAT, 75 if i % 4 == 0 else 50) for i in range(16)), (0, KICK, 110),
     (0.75, KICK, 80), (1, SNARE, 105), (2.5, KICK, 100), (3, SNARE, 105)),
    (*((i / 2, HAT, 65) for i in range(8)), (0, KICK, 105), (1.5, KICK, 85), (2, SNARE, 110)),
    (*((i / 4, SHAKER, 60 if i % 2 == 0 else 40) for i in range(16)), (0, KICK, 90),
     (2, KICK, 85)),
)  # fmt: skip

# Bass rhythms within a bar of four: (beat, beats held, semitones over the root).
BASS_LINES: tuple[tuple[tuple[float, float, int], ...], ...] = (
    ((0, 4, 0),),
    ((0, 2, 0), (2, 2, 0)),
    tuple((i / 2, 0.45, 0) for i in range(8)),
    tuple((i / 2, 0.4, 12 * (i % 2)) for i in range(8)),
    ((0, 1.4, 0), (1.5, 0.4, 0), (2, 1.4, 7), (3.5, 0.4, 0)),
    ((0, 0.9, 0), (1, 0.9, 7), (2, 0.9, 12), (3, 0.9, 7)),
)

TRIADS = {"maj": (0, 4, 7), "min": (0, 3, 7), "dim": (0, 3, 6), "aug": (0, 4, 8),
          "sus2": (0, 2, 7), "sus4": (0, 5, 7)}  # fmt: skip
PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclasses.dataclass(frozen=True)
class Score:
    """Notes and annotations of one song, all times in seconds from its start.

    pedal: (seconds, value) of the accompaniment's sustain pedal;
    chords: (start, end, name such as "Bb:min7/b3" or "N");
    downbeats: indices of the beats that begin a bar.
    """

    melody: list[Note]
    bridge: list[Note]
    piano: list[Note]
    pedal: list[tuple[float, int]]
    chords: list[tuple[float, float, str]]
    beats: np.ndarray
    downbeats: np.ndarray


def arrange(score: Score, *, rng: np.random.Generator) -> tuple[list[Part], list[Part]]:
    """Parts of the lead and of the backing."""
    return [_lead(score.melody, rng)], _backing(score, rng)


def _lead(melody: list[Note], rng: np.random.Generator) -> Part:
    program = int(rng.choice(VOICES if rng.random() < 0.35 else LEADS))
    shift = int(rng.choice([0, 0, 0, -12, 12]))
    middle = float(np.median([n.pitch for n in melody])) + shift
    shift += 12 if middle < 50 else -12 if middle > 84 else 0
    legato, scoop_share = rng.uniform(0.6, 1.0), rng.uniform(0, 0.6)
    depth, rate = rng.uniform(0, 0.45), rng.uniform(4.5, 6.5)
    notes: list[Note] = []
    bends: list[tuple[float, float]] = []
    melody = sorted(melody, key=lambda n: n.start)
    for i, n in enumerate(melody):
        following = melody[i + 1].start if i + 1 < len(melody) else n.end
        gap = following - n.end
        end = n.end + legato * gap if 0 < gap < 0.25 else n.end
        notes.append(Note(n.start, end, n.pitch + shift, int(rng.integers(80, 121))))
        bends += _glide(n.start, rng) if rng.random() < scoop_share else [(n.start, 0.0)]
        if end - n.start > 0.35:
            bends += _vibrato(n.start + 0.2, end, depth=depth, rate=rate)
    return Part(program, notes, reverb=int(rng.integers(0, 90)), bends=bends)


def _glide(start: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """A scoop into the note, from below more often than from above."""
    depth = rng.uniform(0.4, 2.0) * (-1 if rng.random() < 0.8 else 1)
    length = rng.uniform(0.05, 0.15)
    return [(start + length * u, float(depth * (1 - u) ** 2)) for u in np.linspace(0, 1, 9)]


def _vibrato(start: float, end: float, *, depth: float, rate: float) -> list[tuple[float, float]]:
    times = np.arange(start, end, 0.015)
    swell = np.minimum(1, (times - start) / 0.3)
    return list(
        zip(times.tolist(), (depth * swell * np.sin(2 * np.pi * rate * (times - start))).tolist(),
            strict=True)
    )  # fmt: skip


def _backing(score: Score, rng: np.random.Generator) -> list[Part]:
    def part(programs: tuple[int, ...], notes: list[Note], low: int, high: int) -> Part:
        volume, reverb = int(rng.integers(low, high)), int(rng.integers(0, 80))
        return Part(int(rng.choice(programs)), notes, volume=volume, reverb=reverb)

    keys = part(KEYS, score.piano, 75, 115)
    if keys.program < 8:
        keys = dataclasses.replace(keys, controls=[(t, 64, value) for t, value in score.pedal])
    parts = [keys]
    if score.bridge:
        parts.append(part(BRIDGES, score.bridge, 55, 100))
    if rng.random() < 0.85:
        parts.append(part(BASSES, _bass(score, rng), 85, 120))
    if rng.random() < 0.5:
        parts.append(part(PADS, _pad(score), 40, 80))
    if rng.random() < 0.45:
        parts.append(part(GUITARS, _strum(score, rng), 45, 85))
    if rng.random() < 0.85:
        kit = part(KITS, _drums(score, rng), 75, 120)
        parts.append(dataclasses.replace(kit, drums=True))
    return parts


def _bars(score: Score) -> list[tuple[int, int]]:
    """(first beat, beats in it) of each bar."""
    ends = [*score.downbeats[1:].tolist(), len(score.beats) - 1]
    return [(b, e - b) for b, e in zip(score.downbeats.tolist(), ends, strict=True) if e > b]


def _beat_time(score: Score, beat: float) -> float:
    return float(np.interp(beat, np.arange(len(score.beats)), score.beats))


def _drums(score: Score, rng: np.random.Generator) -> list[Note]:
    groove = GROOVES[rng.integers(len(GROOVES))]
    notes = []

    def hit(beat: float, drum: int, velocity: int) -> None:
        time = _beat_time(score, beat) + rng.normal(0, 0.003)
        loud = int(np.clip(velocity + rng.normal(0, 6), 20, 127))
        notes.append(Note(max(0.0, time), time + 0.1, drum, loud))

    for bar, (first, length) in enumerate(_bars(score)):
        fill = bar % 4 == 3 and length == 4 and rng.random() < 0.5
        if bar % 8 == 0 and rng.random() < 0.7:
            hit(first, CRASH, 90)
        for beat, drum, velocity in groove:
            if beat < (length - 1 if fill else length):
                hit(first + beat, drum, velocity)
        if fill:
            for i in range(4):
                hit(first + 3 + i / 4, TOM_HIGH if i < 2 else TOM_LOW, 85 + 5 * i)
    return notes


def _bass(score: Score, rng: np.random.Generator) -> list[Note]:
    line = BASS_LINES[rng.integers(len(BASS_LINES))]
    notes = []
    for first, length in _bars(score):
        for beat, held, semitones in line:
            if beat >= length:
                continue
            start = _beat_time(score, first + beat)
            end = _beat_time(score, first + min(beat + held, length))
            for a, b, name in _chords_between(score, start, end):
                pitch = 28 + (_root(name) - 28) % 12 + semitones
                notes.append(Note(a, b - 0.01, pitch, int(rng.integers(80, 112))))
    return notes


def _pad(score: Score) -> list[Note]:
    return [
        Note(start, end - 0.01, 55 + (pitch - 55) % 12, 75)
        for start, end, name in score.chords
        if name != "N"
        for pitch in chord_pitches(name)
    ]


def _strum(score: Score, rng: np.random.Generator) -> list[Note]:
    """Chords on half beats, the strings one after another; some strokes are left out."""
    density = rng.uniform(0.5, 1.0)
    notes = []
    for half in range(2 * (len(score.beats) - 1)):
        if half % 8 and rng.random() > density:
            continue
        start, end = _beat_time(score, half / 2), _beat_time(score, half / 2 + 0.5)
        chord = _chords_between(score, start, start + 0.02)
        if not chord:
            continue
        pitches = sorted(52 + (p - 52) % 12 for p in chord_pitches(chord[0][2]))
        for i, pitch in enumerate([*pitches, pitches[0] + 12]):
            notes.append(Note(start + 0.012 * i, end, pitch, int(rng.integers(65, 100))))
    return notes


def _chords_between(score: Score, start: float, end: float) -> list[tuple[float, float, str]]:
    """Chords sounding between two times, clipped to them; slivers under 20 ms are dropped."""
    clipped = [(max(a, start), min(b, end), name) for a, b, name in score.chords if name != "N"]
    return [(a, b, name) for a, b, name in clipped if b - a >= 0.0199]


def _root(name: str) -> int:
    letter, accidental = name[0], name[1:2]
    return PITCH_CLASSES[letter] + {"#": 1, "b": -1}.get(accidental, 0)


def chord_pitches(name: str) -> list[int]:
    """Pitch classes (not reduced to 0-11) of a chord name such as "C#:min7/b3"; bare is major."""
    quality = name.partition(":")[2].partition("/")[0]
    for prefix, triad in TRIADS.items():
        if quality.startswith(prefix):
            return [_root(name) + i for i in triad]
    return [_root(name) + i for i in TRIADS["maj"]]
