"""The melody layout: POP909's melodies as voices, with what was sung written beside them.

A song is a folder as `midi.py` says. Its melody is sung freely by our own singer or a recorded
voice, or played; what a singer takes from the notes in time and pitch is in the track of notes.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from mashjax.audio import files
from mashjax.audio.fluidsynth import render
from mashjax.audio.midi import Note, Part
from mashjax.audio.resample import resample, to_mono
from mashjax.data.control import written
from mashjax.data.layouts.arrange import arrange
from mashjax.data.layouts.midi import MidiSong, active_rms, digest, equalise, read_score, section
from mashjax.data.layouts.performing import RATE, Performance, in_range, perform
from mashjax.data.layouts.singer import sing_freely
from mashjax.data.layouts.voices import sing_freely_with
from mashjax.data.sources import PEAK, Made, moments
from mashjax.data.store import Settings
from mashjax.errors import UserError

PROGRAMS = (52, 53, 54, 85, 52, 53, 54, 85, 64, 65, 66, 68, 71, 73, 74, 40, 56, 22, 75, 80, 81)
"""General MIDI's voices, twice, and other leads; measured: all sound at the pitch written."""

PLAYED, SUNG, SPOKEN = 0.3, 0.25, 0.05
"""Shares of the melodies that are played, that our own singer sings, and that are nothing but
somebody's speech, in which there is no note; recorded voices sing the rest."""

PARTS = 3
"""Of the arrangement, heard as the backing: it is only there to be faintly heard."""


@dataclasses.dataclass(frozen=True)
class Melody:
    """A song whose melody is to be sung; everything drawn depends on its id and seed only."""

    song: MidiSong
    seconds: float

    @property
    def id(self) -> str:
        return self.song.id

    @property
    def group(self) -> str:
        return self.song.group

    @property
    def files(self) -> dict[str, list[pathlib.Path]]:
        """Source files, by what they are for."""
        return self.song.files

    def load(self, *, sr: int) -> tuple[np.ndarray, dict[str, object]]:
        """Lead, backing and the track of notes, float32 [3, samples], and what the lead is.

        Raises:
          UserError: the files are unreadable, or miss the melody or the accompaniment.
        """
        song = self.song
        rng = np.random.default_rng(digest(f"melody/{song.seed}/{song.id}"))
        score = section(read_score(song.folder), rng, seconds=self.seconds)
        seconds = float(score.beats[-1])
        soundfont = song.soundfonts[rng.integers(len(song.soundfonts))]
        lead, track, what = _lead(song, score.melody, soundfont, seconds, sr, rng)
        parts = arrange(score, rng=rng)[1]
        chosen = [parts[k] for k in rng.permutation(len(parts))[:PARTS]]
        backing = render(chosen, seconds=seconds, sr=sr, soundfont=soundfont)
        lead, backing = equalise(lead, rng), equalise(backing, rng)
        lead, backing = (PEAK / max(np.abs(y).max(), 1e-9) * y for y in (lead, backing))
        quieter = active_rms(lead) / max(active_rms(backing), 1e-9)
        return np.stack([lead, min(1.0, quieter) * backing, track]).astype(np.float32), what


def find_melodies(songs: Sequence[MidiSong], *, settings: Settings) -> list[Melody]:
    """Songs of the midi layout, of each enough for its examples."""
    return [Melody(song, settings.clips_per_song * settings.seconds + 0.5) for song in songs]


def make_melody(source: Melody, *, settings: Settings) -> Made:
    """Sing a song's melody and cut it into examples.

    Raises:
      UserError: see `Melody.load`; or the song is shorter than an example.
    """
    y, what = source.load(sr=settings.sample_rate)
    count = min(settings.clips_per_song, y.shape[1] // settings.samples)
    if not count:
        raise UserError(f"{source.song.folder} is shorter than an example of {settings.seconds} s")
    rows = y[:, : count * settings.samples].reshape(3, count, settings.samples).swapaxes(0, 1)
    examples = [{"song": source.id, "start": n * settings.seconds, **what} for n in range(count)]
    return Made(
        rows=rows,
        examples=examples,
        harmony=[],
        about={"seconds": round(y.shape[1] / settings.sample_rate, 3), **what},
        moments=moments(rows[:, 0]),
    )


def _lead(
    song: MidiSong,
    notes: list[Note],
    soundfont: str,
    seconds: float,
    sr: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, dict[str, object]]:
    """A lead, its track of notes, both [samples], and what it is."""
    drawn, n = rng.random(), round(seconds * sr)
    voice = song.voices[rng.integers(len(song.voices))] if song.voices else None
    if drawn < PLAYED:
        program = int(rng.choice(PROGRAMS))
        y, performance = _played(program, notes, soundfont, seconds, sr, rng)
        voiced = np.ones(len(performance.pitch), bool)
        what: dict[str, object] = {"lead": "played", "program": program}
    elif voice is None or drawn < PLAYED + SUNG:
        y, performance, voiced = sing_freely(notes, seconds=seconds, sr=sr, rng=rng)
        what = {"lead": "singer"}
    elif drawn < PLAYED + SUNG + SPOKEN:
        return _spoken(voice, n, sr, rng), np.zeros(n, np.float32), {"lead": "speech"}
    else:
        y, performance, voiced = sing_freely_with(voice, notes, seconds=seconds, sr=sr, rng=rng)
        what = {"lead": "voice", "voice": voice.stem}
    at = np.arange(n) * (RATE / sr)
    pitch = np.interp(at, np.arange(len(performance.pitch)), performance.pitch)
    spans = [(round(x.start * sr), round(x.end * sr), x.pitch) for x in performance.notes]
    near = np.minimum(np.round(at).astype(int), len(voiced) - 1)
    return y, written(spans, pitch, voiced[near]), what


def _played(
    program: int,
    notes: list[Note],
    soundfont: str,
    seconds: float,
    sr: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, Performance]:
    """An instrument that is bent as a voice bends."""
    performance = perform(in_range(notes, rng.uniform(55, 78)), seconds=seconds, rng=rng)
    bends = []
    for note in performance.notes:
        for time in np.arange(note.start, note.end, 0.01):
            away = performance.pitch[round(time * RATE)] - note.pitch
            bends.append((float(time), float(np.clip(away, -2, 2))))
    part = Part(program, performance.notes, reverb=int(rng.integers(0, 90)), bends=bends)
    room = float(rng.uniform(0.1, 0.8))
    y = render([part], seconds=seconds, sr=sr, soundfont=soundfont, room=room)
    return y, performance


def _spoken(voice: pathlib.Path, n: int, sr: int, rng: np.random.Generator) -> np.ndarray:
    """A recording from anywhere on, [n]."""
    clip = files.read(voice)
    y = resample(to_mono(clip.y)[None], sr_in=clip.sr, sr_out=sr)[0]
    return np.resize(np.roll(y, -int(rng.integers(len(y)))), n)
