"""Notes to sound: a small MIDI file, played by the external program FluidSynth."""

import dataclasses
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np

from mashjax.audio.resample import resample
from mashjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Note:
    start: float  # seconds
    end: float  # seconds
    pitch: int  # MIDI number
    velocity: int


@dataclasses.dataclass(frozen=True)
class Part:
    """One instrument's notes.

    bends: (seconds, semitones within +-2); controls: (seconds, controller, value).
    """

    program: int
    notes: list[Note]
    volume: int = 100
    reverb: int = 40
    drums: bool = False
    bends: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    controls: list[tuple[float, int, int]] = dataclasses.field(default_factory=list)


def render(
    parts: list[Part], *, seconds: float, sr: int, soundfont: str, room: float = 0.4
) -> np.ndarray:
    """Play `parts` together.

    Args:
      parts: at most 15 pitched ones, and drums.
      seconds: length of the result.
      sr: its sample rate in Hz.
      soundfont: an .sf2 file.
      room: size of the reverb's room, 0 to 1.

    Returns:
      float32 mono [round(seconds * sr)].

    Raises:
      UserError: FluidSynth is not installed, or cannot play with this soundfont.
    """
    # FluidSynth does not filter what lies above half its rate. Fonts are at 44.1 kHz; played at
    # 32 kHz, what folds back lands above 10 kHz, and it is a quarter faster.
    rate = 32000 if sr <= 22050 else 44100
    with tempfile.TemporaryDirectory(prefix="mashjax-") as folder:
        score, sound = pathlib.Path(folder, "score.mid"), pathlib.Path(folder, "sound.raw")
        _write_score(parts, score, seconds=seconds)
        _play(score, sound, rate=rate, soundfont=soundfont, room=room)
        stereo = np.fromfile(sound, "<f4").reshape(-1, 2)
    y = resample(stereo.mean(-1, dtype=np.float32)[None], sr_in=rate, sr_out=sr)[0]
    n = round(seconds * sr)
    return np.pad(y[:n], (0, max(0, n - len(y)))).astype(np.float32)


def fluidsynth() -> str:
    """Path of the FluidSynth program; UserError if there is none."""
    program = shutil.which("fluidsynth")
    if program is None:
        raise UserError("the midi layout needs the program fluidsynth: apt-get install fluidsynth")
    return program


def _play(
    score: pathlib.Path, sound: pathlib.Path, *, rate: int, soundfont: str, room: float
) -> None:
    options = {
        "synth.gain": 0.4,
        "synth.chorus.active": 0,
        "synth.dynamic-sample-loading": 1,
        "synth.reverb.room-size": room,
        "synth.reverb.level": 0.6,
    }
    command = [fluidsynth(), "-ni", "-q", "-T", "raw", "-O", "float", "-r", str(rate)]
    for name, value in options.items():
        command += ["-o", f"{name}={value}"]
    command += ["-F", str(sound), soundfont, str(score)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    # A font that it cannot read leaves it playing silence, with exit code 0.
    errors = [line for line in run.stderr.splitlines() if "error" in line]
    if run.returncode or errors or not sound.is_file():
        why = errors[0] if errors else f"it ended with {run.returncode}"
        raise UserError(f"fluidsynth cannot play with {soundfont}: {why}")


def _write_score(parts: list[Part], path: pathlib.Path, *, seconds: float) -> None:
    """A type 1 MIDI file in which a tick is a millisecond."""
    import mido

    score = mido.MidiFile(type=1, ticks_per_beat=500)
    pitched = (channel for channel in range(16) if channel != 9)
    for part in parts:
        channel = 9 if part.drums else next(pitched)
        events: list[tuple[float, int, mido.Message]] = [
            (0.0, 0, mido.Message("program_change", channel=channel, program=part.program)),
            (0.0, 0, mido.Message("control_change", channel=channel, control=7, value=part.volume)),
            (
                0.0,
                0,
                mido.Message("control_change", channel=channel, control=91, value=part.reverb),
            ),
        ]
        for time, control, value in part.controls:
            message = mido.Message("control_change", channel=channel, control=control, value=value)
            events.append((time, 1, message))
        for time, semitones in part.bends:
            pitch = int(np.clip(round(semitones / 2 * 8192), -8192, 8191))
            events.append((time, 2, mido.Message("pitchwheel", channel=channel, pitch=pitch)))
        for note in part.notes:
            on = mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity)
            off = mido.Message("note_off", channel=channel, note=note.pitch, velocity=0)
            events += [(note.start, 3, on), (max(note.end, note.start + 0.03), -1, off)]
        track = mido.MidiTrack()
        now = 0
        for time, _, message in sorted(events, key=lambda e: (round(e[0] * 1000), e[1])):
            tick = max(now, round(time * 1000))
            track.append(message.copy(time=tick - now))
            now = tick
        track.append(mido.MetaMessage("end_of_track", time=max(0, round(seconds * 1000) - now)))
        score.tracks.append(track)
    score.save(path)
