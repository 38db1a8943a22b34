"""The midi layout: POP909's folders, rendered as leads and backings.

A song is a folder with one .mid file with tracks MELODY, PIANO and, mostly,
BRIDGE, and two text files: beat_midi.txt (seconds, downbeat of a simple meter,
downbeat of a compound meter) and chord_midi.txt (start, end, name).
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence

import numpy as np
from scipy import fft

from mashjax.audio.fluidsynth import fluidsynth, render
from mashjax.audio.midi import Note
from mashjax.data.layouts.arrange import Score, arrange
from mashjax.data.layouts.singer import sing
from mashjax.data.layouts.voices import sing_with
from mashjax.errors import UserError

SECTION_SECONDS = 100.0
"""Rendered of each song: enough for eight excerpts, at half the time of a whole song."""

PLAYED, SUNG = 0.3, 0.25
"""Shares of the leads that are played and that are sung by our own singer; recorded voices sing the
rest. Where there are none, our own singer has their share, too."""

EQ_DB = 2.5
"""Deviation of the random equaliser, per octave."""


@dataclasses.dataclass(frozen=True)
class MidiSong:
    """A song to be rendered; everything drawn depends on its id and `seed` only."""

    id: str
    folder: pathlib.Path
    soundfonts: tuple[str, ...]
    seed: int
    voices: tuple[pathlib.Path, ...] = ()

    @property
    def group(self) -> str:
        """The song is its own group: POP909 does not say who sings it."""
        return self.id

    @property
    def files(self) -> dict[str, list[pathlib.Path]]:
        """Source files, by what they are for."""
        names = [*sorted(self.folder.glob("*.mid")), self.folder / "beat_midi.txt"]
        return {"lead": names, "backing": [*names, self.folder / "chord_midi.txt"]}

    def load(self, *, sr: int) -> tuple[np.ndarray, np.ndarray]:
        """Render (lead, backing), float32 mono [samples] each.

        Raises:
          UserError: the files are unreadable, or miss the melody or the accompaniment.
        """
        rng = np.random.default_rng(digest(f"{self.seed}/{self.id}"))
        score = read_score(self.folder)
        score = section(score, rng, seconds=SECTION_SECONDS)
        lead, backing = arrange(score, rng=rng)
        soundfont = self.soundfonts[rng.integers(len(self.soundfonts))]
        room = float(rng.uniform(0.1, 0.8))
        seconds = float(score.beats[-1])
        backing_y = render(backing, seconds=seconds, sr=sr, soundfont=soundfont, room=room)
        drawn = rng.random()
        if drawn < PLAYED:
            lead_y = render(lead, seconds=seconds, sr=sr, soundfont=soundfont, room=room)
        elif drawn < PLAYED + SUNG or not self.voices:
            lead_y = sing(score.melody, seconds=seconds, sr=sr, rng=rng)
        else:
            voice = self.voices[rng.integers(len(self.voices))]
            lead_y = sing_with(voice, score.melody, seconds=seconds, sr=sr, rng=rng)
        lead_y, backing_y = (equalise(y, rng) for y in (lead_y, backing_y))
        # Lead against backing: about where pop mixes have their voices.
        wanted = 10 ** (rng.uniform(-4, 4) / 20)
        lead_y *= wanted * active_rms(backing_y) / max(active_rms(lead_y), 1e-9)
        return lead_y, backing_y


def find_midi_songs(
    folder: str | pathlib.Path,
    *,
    soundfonts: Sequence[str],
    seed: int,
    voices: tuple[pathlib.Path, ...] = (),
) -> list[MidiSong]:
    """Songs of a folder of folders, sorted by name.

    soundfonts: .sf2 or .sf3 files, of which one is drawn for each song; voices: recordings of one
    voice each (`find_voices`), likewise.

    Raises:
      UserError: there is none, or FluidSynth or a soundfont is missing.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    if not soundfonts:
        raise UserError("this layout needs --soundfont=FILE (.sf2), or several with commas")
    for soundfont in soundfonts:
        if not pathlib.Path(soundfont).is_file():
            raise UserError(f"--soundfont={soundfont}: no such file")
    fluidsynth()
    songs = [
        MidiSong(sub.name, sub, tuple(soundfonts), seed, voices)
        for sub in sorted(folder.iterdir())
        if sub.is_dir() and any(sub.glob("*.mid"))
    ]
    if not songs:
        raise UserError(f"{folder} has no folder with a .mid file in it")
    return songs


def read_score(folder: pathlib.Path) -> Score:
    """Notes, chords and beats of one song folder."""
    import mido

    path = next(iter(sorted(folder.glob("*.mid"))))
    try:
        midi = mido.MidiFile(path)
    except (OSError, EOFError, ValueError, KeyError, IndexError) as error:
        raise UserError(f"{path} is not a readable MIDI file: {error}") from error
    seconds = _clock(midi)
    tracks = {track.name.strip().upper(): track for track in midi.tracks}
    melody, _ = _notes(tracks.get("MELODY", []), seconds)
    bridge, _ = _notes(tracks.get("BRIDGE", []), seconds)
    piano, pedal = _notes(tracks.get("PIANO", []), seconds)
    if not melody:
        raise UserError(f"{path} has no notes in a track MELODY")
    if not piano:
        raise UserError(f"{path} has no notes in a track PIANO")
    beats, downbeats = _read_beats(folder / "beat_midi.txt")
    chords = _read_chords(folder / "chord_midi.txt")
    return Score(melody, bridge, piano, pedal, chords, beats, downbeats)


def _clock(midi):
    """Ticks to seconds, through the file's tempo changes."""
    changes = {0: 500_000}
    for track in midi.tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type == "set_tempo":
                changes[now] = message.tempo
    ticks = np.array(sorted(changes), np.float64)
    pace = np.array([changes[int(t)] for t in ticks]) * 1e-6 / midi.ticks_per_beat
    starts = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * pace[:-1])])

    def seconds(tick: int) -> float:
        i = int(np.searchsorted(ticks, tick, side="right")) - 1
        return float(starts[i] + (tick - ticks[i]) * pace[i])

    return seconds


def _notes(track, seconds) -> tuple[list[Note], list[tuple[float, int]]]:
    """Notes and sustain pedal (seconds, value) of a track."""
    notes, pedal, sounding, now = [], [], {}, 0
    for message in track:
        now += message.time
        if message.type == "note_on" and message.velocity > 0:
            sounding[message.note] = (seconds(now), message.velocity)
        elif message.type in ("note_on", "note_off") and message.note in sounding:
            start, velocity = sounding.pop(message.note)
            notes.append(Note(start, seconds(now), message.note, velocity))
        elif message.type == "control_change" and message.control == 64:
            pedal.append((seconds(now), message.value))
    return notes, pedal


def _read_beats(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Beat times, and the indices of the beats that begin a (compound) bar."""
    try:
        table = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a table of beats: {error}") from error
    if table.shape[0] < 16 or table.shape[1] < 3:
        raise UserError(f"{path} has {table.shape[0]} rows of {table.shape[1]}; needs 16 of 3")
    downbeats = np.flatnonzero(table[:, 2] > 0.5)
    if len(downbeats) < 4 or np.any(np.diff(table[:, 0]) <= 0):
        raise UserError(f"{path} has too few downbeats, or times that go back")
    return table[:, 0], downbeats


def _read_chords(path: pathlib.Path) -> list[tuple[float, float, str]]:
    try:
        lines = path.read_text().splitlines()
        return [(float(a), float(b), name) for a, b, name in (line.split() for line in lines)]
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a table of chords: {error}") from error


def section(score: Score, rng: np.random.Generator, *, seconds: float) -> Score:
    """About so many seconds from a downbeat on, with melody from its beginning, moved to 0."""
    beats, downs = score.beats, score.downbeats
    first_note = min(n.start for n in score.melody)
    latest = max(beats[-1] - seconds, first_note)
    starts = [i for i in downs if first_note - 8.0 <= beats[i] <= latest] or [downs[0]]
    first = int(rng.choice(starts))
    stop = int(np.searchsorted(beats, beats[first] + seconds))
    stop = min(stop, len(beats) - 1)
    t0, t1 = float(beats[first]), float(beats[stop])

    def cut(notes: list[Note]) -> list[Note]:
        # 30 ms early counts as on the beat: players anticipate.
        return [
            Note(max(n.start - t0, 0.0), min(n.end, t1) - t0, n.pitch, n.velocity)
            for n in notes
            if t0 - 0.03 <= n.start < t1 - 0.05
        ]

    return Score(
        melody=cut(score.melody),
        bridge=cut(score.bridge),
        piano=cut(score.piano),
        pedal=[(t - t0, value) for t, value in score.pedal if t0 <= t < t1],
        chords=[
            (max(a - t0, 0.0), min(b, t1) - t0, name)
            for a, b, name in score.chords
            if b > t0 and a < t1
        ],
        beats=beats[first : stop + 1] - t0,
        downbeats=np.array([i - first for i in downs if first <= i < stop]),
    )


def equalise(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another microphone, another desk: a few dB up or down per octave."""
    n = fft.next_fast_len(len(y), real=True)
    spectrum = fft.rfft(y.astype(np.float32), n)
    octave = np.log2(np.arange(1, len(spectrum) + 1) / len(spectrum))
    gain = np.interp(octave, np.arange(-9, 1), rng.normal(0, EQ_DB, 10))
    return fft.irfft(spectrum * (10 ** (gain / 20)).astype(np.float32), n)[: len(y)]


def active_rms(y: np.ndarray, frame: int = 4096) -> float:
    """Root of the median power over the frames that sound (within 40 dB of the loudest)."""
    power = (y[: len(y) // frame * frame].reshape(-1, frame) ** 2).mean(-1)
    sounding = power[power > 1e-4 * power.max(initial=0)]
    return float(np.sqrt(np.median(sounding))) if sounding.size else 0.0


def digest(text: str) -> int:
    """A seed out of a name."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
