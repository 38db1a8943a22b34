"""A voice in, a piano out."""

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from mashjax.audio import fluidsynth, piano
from mashjax.audio.files import Clip
from mashjax.audio.loudness import TARGET_LUFS, Master, master
from mashjax.audio.midi import Note, Part, write_midi
from mashjax.audio.resample import to_channels, to_mono
from mashjax.errors import UserError
from mashjax.mixing.pipeline import Clock, describe
from mashjax.music import harmony, playable
from mashjax.music.analysis import Analysis, analyse
from mashjax.music.tonality import TONICS, Key

if TYPE_CHECKING:
    from mashjax.mixing.hearing import Heard

NO_VOICE = "no voice found"
PER_BEAT = {"1/8": 2, "1/16": 4}
SURE_BEAT = 0.25  # a beat less confident is no grid
SURE_KEY = 0.25  # a key less confident is not snapped to
BAR_SECONDS = 2.0  # of a song without a beat
FARTHEST = 48  # semitones of --transpose


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user may ask of a melody."""

    checkpoint: str | os.PathLike | None = None  # None: the one shipped in the package
    source: str = "voice"  # or "mix": a whole song, whose lead is taken
    quantise: str = "off"  # or a key of PER_BEAT
    key: str = "off"  # or "auto", or a key such as "D:minor"
    transpose: int = 0  # semitones
    simplify: float = 0.0  # 0..1: beats between two notes at least
    chords: bool = False  # a left hand
    soundfont: str | os.PathLike | None = None  # None: our own piano
    loudness: float = TARGET_LUFS  # LUFS

    def __post_init__(self) -> None:
        choices = {"source": ("voice", "mix"), "quantise": ("off", *PER_BEAT)}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"{name} is {getattr(self, name)!r}: say {' or '.join(allowed)}")
        if not 0 <= self.simplify <= 1:
            raise UserError(f"simplify is {self.simplify:g}: say 0 to 1")
        if abs(self.transpose) > FARTHEST:
            raise UserError(f"transpose is {self.transpose}: say -{FARTHEST} to {FARTHEST}")
        if self.key not in ("off", "auto"):
            key_named(self.key)
        if self.soundfont is not None:
            if not pathlib.Path(self.soundfont).is_file():
                raise UserError(f"{self.soundfont}: no such soundfont")
            fluidsynth.fluidsynth()


@dataclasses.dataclass(frozen=True)
class Melody:
    """A voice's melody as a piano plays it.

    y: [channels, samples] at `sr` Hz, as long as the voice; right, left: what each hand plays;
    heard: what was heard of the voice; voice: mono [samples]; report: as JSON. Silent, and without
    notes, where no voice was found.
    """

    y: np.ndarray
    sr: int
    right: list[Note]
    left: list[Note]
    heard: "Heard"
    voice: np.ndarray
    report: dict[str, Any]

    def write_midi(self, path: str | os.PathLike) -> None:
        """A MIDI file, a track for each hand; for use within `files.replacing`."""
        write_midi(
            _parts(self.right, self.left),
            path,
            seconds=self.y.shape[1] / self.sr,
            tempo_bpm=self.report["voice"]["tempo_bpm"] or 120.0,
        )


def make_melody(
    clip: Clip,
    *,
    name: str,
    options: Options,
    progress: Callable[[str], None] = lambda stage: None,
) -> Melody:
    """Hear the notes of a voice, arrange them as asked, and play them on a piano.

    Raises:
      UserError: an unusable checkpoint or soundfont.
    """
    from mashjax.mixing.hearing import hear  # JAX takes seconds

    clock = Clock()
    sr, samples = clip.sr, clip.y.shape[1]
    song, voice = song_and_voice(clip, options, clock=clock, progress=progress)
    with clock("model"):
        progress("listening")
        heard = hear(voice, sr=sr, checkpoint=options.checkpoint)
    with clock("arrange"):
        right, left, decisions = _arranged(heard.notes, song, options)
    with clock("play"):
        progress("playing")
        y = sounded(right + left, samples=samples, sr=sr, soundfont=options.soundfont)
        y = to_channels(y, channels=clip.y.shape[0])
        mastered = master(y, sr=sr, lufs=options.loudness)
    pitches = [note.pitch for note in right]
    report: dict[str, Any] = {
        "voice": describe(name, clip, song),
        "found": f"{len(right)} notes" if right else NO_VOICE,
        "melody": {
            "notes": len(right),
            "heard": len(heard.notes),
            "sounding_seconds": round(sum(note.end - note.start for note in right), 3),
            "lowest": min(pitches, default=None),
            "highest": max(pitches, default=None),
            "tuning_cents": round(heard.tuning_cents, 1),
        },
        "decisions": decisions,
        "notes": [_told(note) for note in right],
        "left_hand": [_told(note) for note in left],
        "output": output_of(mastered, sr=sr, sounds=bool(right)),
        "timing_seconds": clock.seconds,
    }
    return Melody(mastered.y, sr, right, left, heard, voice, report)


def song_and_voice(
    clip: Clip, options: Options, *, clock: Clock, progress: Callable[[str], None]
) -> tuple[Analysis, np.ndarray]:
    """Beats and key of a clip, and its voice [samples]: all of it, or the lead of a mix."""
    with clock("analyse"):
        progress("finding beats and key")
        song = analyse(to_mono(clip.y), sr=clip.sr)
    if options.source != "mix":
        return song, to_mono(clip.y)
    from mashjax.mixing.hearing import lead_of  # JAX takes seconds

    with clock("model"):
        progress("taking the lead out of the song")
        return song, lead_of(clip.y, sr=clip.sr)


def output_of(mastered: Master, *, sr: int, sounds: bool) -> dict[str, Any]:
    """What the report says of a result; sounds: whether it is more than silence."""
    return {
        "path": None,
        "sample_rate": sr,
        "channels": mastered.y.shape[0],
        "seconds": round(mastered.y.shape[1] / sr, 3),
        "lufs": round(mastered.lufs, 2) if sounds else None,
        "true_peak_dbtp": round(mastered.true_peak, 2) if sounds else None,
    }


def sounded(
    notes: list[Note], *, samples: int, sr: int, soundfont: str | os.PathLike | None = None
) -> np.ndarray:
    """`notes` on our piano, or on a soundfont's: float32 [2, samples]."""
    if soundfont is None:
        return piano.play(notes, samples=samples, sr=sr)
    if not notes:
        return np.zeros((2, samples), np.float32)
    mono = fluidsynth.render(
        _parts(notes, []), seconds=samples / sr, sr=sr, soundfont=os.fspath(soundfont)
    )
    return np.stack([mono, mono])


def key_named(name: str) -> Key:
    """ "D:minor" as a key. Raises UserError for what is none."""
    tonic, _, mode = name.partition(":")
    flats = {"Db": "C#", "Eb": "D#", "Gb": "F#", "Ab": "G#", "Bb": "A#"}
    tonic = flats.get(tonic[:1].upper() + tonic[1:], tonic[:1].upper() + tonic[1:])
    if tonic not in TONICS or mode not in playable.SCALES:
        raise UserError(f"key is {name!r}: say auto, off, or a key such as D:minor or Bb:major")
    return Key(tonic=tonic, mode=mode, confidence=1.0)


def _arranged(
    notes: list[Note], song: Analysis, options: Options
) -> tuple[list[Note], list[Note], dict[str, str]]:
    """The right hand, the left one, and what was decided, in words."""
    said: dict[str, str] = {}
    if not notes:
        return [], [], said
    beats = song.beats if song.beat_confidence >= SURE_BEAT else np.zeros(0)
    source = "the song's beats"
    if len(beats) < 3:
        onsets = np.array([note.start for note in notes])
        found = playable.pulse(onsets, seconds=song.seconds)
        beats, source = (np.zeros(0), "") if found is None else (found, "the notes' own pulse")
    beat = float(np.median(np.diff(beats))) if len(beats) > 1 else 0.5
    if options.simplify:
        notes = playable.simplified(notes, options.simplify, beat=beat)
        said["simplify"] = f"no two notes begin within {options.simplify * beat:.2f} s"
    if options.quantise != "off":
        if len(beats) < 3:
            said["quantise"] = "no beat was found: notes stay where they were sung"
        else:
            line = playable.one_tempo(beats)
            grid = beats if line is None else line
            notes = playable.quantised(notes, grid, per_beat=PER_BEAT[options.quantise])
            tempo = "its beats drift and are followed" if line is None else "one tempo"
            said["quantise"] = f"to {options.quantise} of {source}, {60 / beat:.1f} BPM: {tempo}"
    key = song.key
    if options.key not in ("off", "auto"):
        key = key_named(options.key)
    if options.key != "off":
        if key.confidence < SURE_KEY:
            said["key"] = "no key is clear: notes stay as they were sung"
        else:
            notes = playable.in_key(notes, key)
            said["key"] = f"to the scale of {key.tonic} {key.mode}"
    left: list[Note] = []
    if options.chords:
        bars = _bars(song, beats)
        weights = harmony.sounding(notes, bars)
        if options.source == "mix":
            weights = weights / max(weights.max(), 1e-9) + _chroma(song, bars)
        chords = harmony.triads(weights, key)
        left = harmony.left_hand(chords, bars)
        said["chords"] = f"one a bar, of {key.tonic} {key.mode}"
    moved = [playable.transposed(hand, options.transpose) for hand in (notes, left)]
    return moved[0], moved[1], said


def _bars(song: Analysis, beats: np.ndarray) -> np.ndarray:
    """Edges of bars in seconds from the first to the end."""
    if len(song.downbeats) > 1 and len(beats) and beats is song.beats:
        edges = song.downbeats
    elif len(beats) > 4:
        edges = beats[::4]
    else:
        edges = np.arange(0.0, song.seconds, BAR_SECONDS)
    return np.concatenate([edges[edges < song.seconds - 0.1], [song.seconds]])


def _chroma(song: Analysis, bars: np.ndarray) -> np.ndarray:
    """The song's own pitch classes in each bar, [bars, 12], 1 at most."""
    middle = (song.cells[1:] + song.cells[:-1]) / 2
    at = np.searchsorted(bars, middle, side="right") - 1
    weights = np.zeros((len(bars) - 1, 12))
    inside = (at >= 0) & (at < len(weights))
    np.add.at(weights, at[inside], song.chroma[inside])
    return weights / np.maximum(weights.max(axis=1, keepdims=True), 1e-9)


def _parts(right: list[Note], left: list[Note]) -> list[Part]:
    parts = [Part(0, right, name="Melody")]
    return [*parts, Part(0, left, name="Chords")] if left else parts


def _told(note: Note) -> dict[str, Any]:
    return {
        "start": round(note.start, 4),
        "end": round(note.end, 4),
        "pitch": note.pitch,
        "name": f"{TONICS[note.pitch % 12]}{note.pitch // 12 - 1}",
        "velocity": note.velocity,
    }
