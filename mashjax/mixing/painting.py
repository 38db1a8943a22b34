"""A voice in, a piano out by the study's route: a painted spectrogram instead of notes."""

import os
from collections.abc import Callable

import numpy as np

from mashjax.audio.files import Clip
from mashjax.audio.loudness import master
from mashjax.audio.resample import to_channels
from mashjax.errors import UserError
from mashjax.mixing.hearing import Heard
from mashjax.mixing.melody import NO_VOICE, Melody, Options, output_of, song_and_voice
from mashjax.mixing.pipeline import Clock, describe
from mashjax.tasks import melody_spectrogram
from mashjax.training.loading import read_checkpoint

OF_NOTES = ("quantise", "key", "transpose", "simplify", "chords", "soundfont")
"""Of the options of a melody, those that arrange or play its notes."""

NO_NOTES = "it paints a piano and knows no notes"
LEAST_RMS = 0.03
"""Of the loudest second that is painted, or no voice was found (measured: 0 for noise,
0.001 to 0.009 for ten speakers, 0.13 to 0.16 for voices that sing)."""


def painter_of(checkpoint: str | os.PathLike) -> melody_spectrogram.ModelState | None:
    """The network that paints, where a checkpoint holds one.

    Raises UserError if there is no checkpoint, or it is damaged.
    """
    weights = read_checkpoint(checkpoint)
    if weights.metadata.get("task") != "melody_spectrogram":
        return None
    return melody_spectrogram.from_weights(weights, name=os.fspath(checkpoint))


def paint_melody(
    clip: Clip,
    *,
    name: str,
    options: Options,
    model: melody_spectrogram.ModelState,
    progress: Callable[[str], None] = lambda stage: None,
) -> Melody:
    """The piano that a network paints for a voice: a melody without notes.

    Raises UserError where more is asked than a spectrogram can give.
    """
    asked = [x for x in OF_NOTES if getattr(options, x) != getattr(Options, x)]
    if asked:
        raise UserError(f"{options.checkpoint}: {NO_NOTES}; leave --{asked[0]} out")
    clock, sr = Clock(), clip.sr
    song, voice = song_and_voice(clip, options, clock=clock, progress=progress)
    with clock("model"):
        progress("painting")
        y = melody_spectrogram.play(model, voice, sr=sr)
    found = _loudest(y, sr=sr) > LEAST_RMS
    with clock("play"):
        y = to_channels(y[None] * found, channels=clip.y.shape[0])
        mastered = master(y, sr=sr, lufs=options.loudness)
    report = {
        "voice": describe(name, clip, song),
        "found": "a painted piano" if found else NO_VOICE,
        "decisions": {},
        "output": output_of(mastered, sr=sr, sounds=found),
        "timing_seconds": clock.seconds,
    }
    return Melody(mastered.y, sr, [], [], Heard([], np.zeros(0), np.zeros(0)), voice, report)


def _loudest(y: np.ndarray, *, sr: int) -> float:
    """RMS of the loudest second."""
    energy = np.concatenate([[0.0], np.cumsum(y.astype(np.float64) ** 2)])
    length = min(sr, len(y))
    return float(np.sqrt((energy[length:] - energy[: -length or None]).max() / max(length, 1)))
