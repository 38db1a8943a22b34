"""What is sung: the melody network's posteriors of a sound, and the notes that they make."""

import dataclasses
import os

import numpy as np

from mashjax.audio import piano
from mashjax.audio.loudness import loudness, match
from mashjax.audio.midi import Note
from mashjax.audio.resample import resample, to_channels, to_mono
from mashjax.errors import UserError
from mashjax.mixing.model import load_model
from mashjax.mixing.render import render
from mashjax.music.notes import notes_of, with_velocities
from mashjax.tasks import mashup, melody
from mashjax.training.loading import read_checkpoint

AGREEMENT = 0.45
"""Where notes and pitch agree less, no voice sings: what the network takes for a melody in several
instruments is a note of one and the pitch of another (measured: 0.25 and 0.28 in two pieces, 0.88
to 0.96 in single voices)."""
NEAR = 0.6  # semitones


@dataclasses.dataclass(frozen=True)
class Heard:
    """The notes of a voice; its pitch `f0` (MIDI numbers, NaN in rests) at `times` (seconds)."""

    notes: list[Note]
    times: np.ndarray
    f0: np.ndarray

    @property
    def tuning_cents(self) -> float:
        """By how much the voice is above its notes, in the median."""
        off = [
            100 * (self.f0[(self.times >= n.start) & (self.times < n.end)] - n.pitch)
            for n in self.notes
        ]
        known = np.concatenate([*off, np.zeros(0)])
        known = known[np.isfinite(known)]
        return float(np.median(known)) if len(known) else 0.0


def hear(y: np.ndarray, *, sr: int, checkpoint: str | os.PathLike | None = None) -> Heard:
    """The notes of the voice in `y` (mono [samples] at `sr` Hz).

    checkpoint: folder of a melody network; None: the one shipped.

    Raises:
      UserError: no checkpoint, or one of another task.
    """
    if checkpoint is None:
        model = melody.shipped()
    else:
        model = melody.from_weights(read_checkpoint(checkpoint), name=os.fspath(checkpoint))
    said = melody.predict(model, y, sr=sr)
    notes = notes_of(
        said.note,
        said.onset,
        said.voicing,
        frame_seconds=said.frame_seconds,
        lowest=said.lowest,
    )
    end = len(y) / sr
    notes = [dataclasses.replace(n, end=min(n.end, end)) for n in notes if n.start < end]
    times = np.arange(len(said.f0)) * said.frame_seconds
    if _agreement(notes, times, said.f0) < AGREEMENT:
        notes = []
    f0 = np.where(said.voicing > 0.5, said.f0, np.nan)
    return Heard(with_velocities(notes, y, sr=sr), times, f0)


def _agreement(notes: list[Note], times: np.ndarray, f0: np.ndarray) -> float:
    """The share of the notes' frames in which the pitch that is heard is the note's, 0..1."""
    agree = [np.abs(f0[(times >= n.start) & (times < n.end)] - n.pitch) < NEAR for n in notes]
    return float(np.mean(np.concatenate(agree))) if agree else 0.0


def lead_of(y: np.ndarray, *, sr: int) -> np.ndarray:
    """The lead of a whole song [channels, samples] by the mashup network's mask, mono [samples].

    The network hears the song as both of its two: as the one that gives the lead and as the one
    that gives the backing.
    """
    model = load_model()
    mono = to_mono(y)
    heard = resample(mono, sr_in=sr, sr_out=model.cfg.stft.sample_rate)
    masks = mashup.predict(model, heard, heard)
    both = np.stack([mono, np.zeros_like(mono)])[:, None]
    return render(both, sr=sr, masks=masks, stft_settings=model.cfg.stft)[0, 0]


def as_piano(part: np.ndarray, *, sr: int, name: str) -> np.ndarray:
    """What a lead [channels, samples] sings, on a piano: of its shape and loudness.

    Raises UserError where nothing is sung; name: of the song, for that.
    """
    notes = hear(to_mono(part), sr=sr).notes
    if not notes:
        raise UserError(f"{name}: no voice found that a piano could play; leave --melody out")
    y = piano.play(notes, samples=part.shape[1], sr=sr)
    y = to_channels(y, channels=len(part))
    return match(y, sr=sr, lufs=loudness(part, sr=sr))[0]
