"""Parts of several songs on the beats of one: the two tracks that a continuous set is mixed of."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mashjax.audio.files import Clip
from mashjax.audio.loudness import match
from mashjax.audio.resample import resample, to_channels
from mashjax.audio.stretch import warp
from mashjax.mixing.taste import WORKING_LUFS

SAME_SECONDS = 1e-3  # a piece that begins where the one before ended goes on without a seam


@dataclasses.dataclass(frozen=True)
class Piece:
    """Beats of the main song, and as many of a partner that sound with them.

    beats, partner_beats: [n + 1] seconds in the songs' files, two or more; partner: which of the
    partners; semitones: by which it goes up.
    """

    beats: np.ndarray
    partner: int
    partner_beats: np.ndarray
    semitones: float


@dataclasses.dataclass(frozen=True)
class Tracks:
    """main, partners: [channels, samples], on one timeline; starts: where each piece begins, in
    seconds; beats: of all pieces, in seconds."""

    main: Clip
    partners: Clip
    starts: list[float]
    beats: np.ndarray


def lay(main: Clip, partners: Sequence[Clip], pieces: Sequence[Piece]) -> Tracks:
    """Pieces one after another, at the main song's own tempo and pitch, on its beats.

    From piece to piece both tracks are crossfaded during the last beat before the new piece, which
    brings its own pick-up; where the main song simply goes on, it is left as it is. Partners are
    brought to one loudness. The result has the main song's sample rate.
    """
    lengths = [float(piece.beats[-1] - piece.beats[0]) for piece in pieces]
    starts = np.concatenate([[0.0], np.cumsum(lengths)])
    outputs = [s + p.beats - p.beats[0] for s, p in zip(starts, pieces, strict=False)]
    channels = max(clip.y.shape[0] for clip in (main, *partners))
    at_rate = [resample(clip.y, sr_in=clip.sr, sr_out=main.sr) for clip in partners]
    first, *wide = (to_channels(y, channels=channels) for y in (main.y, *at_rate))
    others = [match(y, sr=main.sr, lufs=WORKING_LUFS)[0] for y in wide]
    track = np.zeros((2, channels, round(starts[-1] * main.sr)), np.float32)
    for beats, output in _runs(pieces, outputs):
        _place(track[0], first, beats, output, sr=main.sr, semitones=0.0)
    for piece, output in zip(pieces, outputs, strict=True):
        y, beats = others[piece.partner], piece.partner_beats
        _place(track[1], y, beats, output, sr=main.sr, semitones=piece.semitones)
    return Tracks(
        main=Clip(track[0], main.sr, main.note),
        partners=Clip(track[1], main.sr),
        starts=starts[:-1].tolist(),
        beats=np.concatenate([*(output[:-1] for output in outputs), starts[-1:]]),
    )


def _runs(
    pieces: Sequence[Piece], outputs: Sequence[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Beats of the main song and their output times, without seams where it goes on."""
    runs: list[tuple[np.ndarray, np.ndarray]] = []
    for piece, output in zip(pieces, outputs, strict=True):
        if runs and abs(piece.beats[0] - runs[-1][0][-1]) < SAME_SECONDS:
            beats, before = runs[-1]
            runs[-1] = (
                np.concatenate([beats, piece.beats[1:]]),
                np.concatenate([before, output[1:]]),
            )
        else:
            runs.append((piece.beats, output))
    return runs


def _place(
    track: np.ndarray,
    y: np.ndarray,
    source: np.ndarray,
    output: np.ndarray,
    *,
    sr: int,
    semitones: float,
) -> None:
    """Add y's beats `source` at `output`, with a beat before them that is crossfaded with what is
    there already; both at constant power, since they are different music."""
    begin = round(output[0] * sr)
    if begin:
        source = np.concatenate([[2 * source[0] - source[1]], source])
        output = np.concatenate([[2 * output[0] - output[1]], output])
    y = warp(y, sr=sr, source_times=source, output_times=output, semitones=semitones)
    at = round(output[0] * sr)
    angle = np.linspace(0, np.pi / 2, begin - at, endpoint=False, dtype=np.float32)
    track[:, at:begin] *= np.cos(angle)
    y[:, : begin - at] *= np.sin(angle)
    room = track[:, at : at + y.shape[1]]
    room += y[:, : room.shape[1]]
