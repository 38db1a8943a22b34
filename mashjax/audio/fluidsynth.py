"""Notes to sound: a small MIDI file, played by the external program FluidSynth."""

import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence

import numpy as np

from mashjax.audio.midi import Part, write_midi
from mashjax.audio.resample import resample
from mashjax.errors import UserError


def render(
    parts: Sequence[Part], *, seconds: float, sr: int, soundfont: str, room: float = 0.4
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
        write_midi(parts, score, seconds=seconds)
        _play(score, sound, rate=rate, soundfont=soundfont, room=room)
        stereo = np.fromfile(sound, "<f4").reshape(-1, 2)
    y = resample(stereo.mean(-1, dtype=np.float32)[None], sr_in=rate, sr_out=sr)[0]
    n = round(seconds * sr)
    return np.pad(y[:n], (0, max(0, n - len(y)))).astype(np.float32)


def fluidsynth() -> str:
    """Path of the FluidSynth program; UserError if there is none."""
    program = shutil.which("fluidsynth")
    if program is None:
        raise UserError("a soundfont needs the program fluidsynth: apt-get install fluidsynth")
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
