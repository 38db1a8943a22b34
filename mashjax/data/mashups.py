"""From a mashup that somebody made, and its two originals, to aligned examples."""

import pathlib
from typing import Any

import numpy as np
from scipy import optimize

from mashjax.audio import files
from mashjax.audio.loudness import loudness
from mashjax.audio.resample import fit, resample, to_mono
from mashjax.audio.stretch import warp
from mashjax.data.sources import PEAK, Made, MashupSource, moments
from mashjax.data.store import Settings
from mashjax.errors import UserError

LEVEL_SECONDS = 0.1  # of the blocks whose powers are compared to find the originals' levels


def make_mashup(source: MashupSource, *, settings: Settings) -> Made:
    """Bring both originals onto the mashup's timeline and to its levels, and cut all three.

    Raises:
      UserError: a file cannot be read, or an original was not found in the mashup.
    """
    sr = settings.sample_rate
    label = _load(source.label, sr)
    if not settings.whole:
        label = label[: settings.samples]
    originals: list[np.ndarray] = []
    about: list[dict[str, Any]] = []
    for path in source.originals:
        y = _load(path, sr)
        if settings.align == "none":
            originals.append(fit(y, samples=len(label)))
            about.append({"name": path.name})
        else:
            y, found = _aligned(y, label, path=path, settings=settings)
            originals.append(y)
            about.append({"name": path.name, **found})
    if settings.align != "none":
        gains = _levels(label, originals, sr=sr)
        originals = [y * np.float32(gain) for y, gain in zip(originals, gains, strict=True)]
        for one, gain in zip(about, gains, strict=True):
            one["gain_db"] = round(20 * float(np.log10(gain)), 3)
    level = loudness(label[None], sr=sr)
    if not np.isfinite(level):
        raise UserError(f"{source.label}: is silent")
    y = np.stack([label, *originals]) * np.float32(10 ** ((settings.loudness - level) / 20))
    count = -(-y.shape[1] // settings.samples)
    if count > settings.rows_per_song:
        raise UserError(
            f"{source.label}: lasts {y.shape[1] / sr / 60:.0f} minutes, and at most "
            f"{settings.rows_per_song * settings.seconds / 60:.0f} fit: cut it in parts"
        )
    rows, examples = [], []
    for n in range(count):
        start = n * settings.samples
        row = fit(y[:, start : start + settings.samples], samples=settings.samples)
        gain = min(1.0, PEAK / max(float(np.abs(row).max()), 1e-9))
        rows.append(row * np.float32(gain))
        examples.append(
            {
                "song": source.id,
                "start": n * settings.seconds,  # s of the mashup
                "gain_db": round(20 * float(np.log10(gain)), 3),
            }
        )
    stacked = np.stack(rows)
    return Made(
        rows=stacked,
        examples=examples,
        harmony=[],
        about={"seconds": round(len(label) / sr, 3), "originals": about},
        moments=moments(stacked[:, 1:].reshape(-1, settings.samples)),
    )


def _load(path: pathlib.Path, sr: int) -> np.ndarray:
    clip = files.read(path)
    return resample(to_mono(clip.y)[None], sr_in=clip.sr, sr_out=sr)[0]


def _aligned(
    y: np.ndarray, label: np.ndarray, *, path: pathlib.Path, settings: Settings
) -> tuple[np.ndarray, dict[str, Any]]:
    """An original where the mashup has it, silence elsewhere, [samples of the label]."""
    from mashjax.music.locate import locate

    sr = settings.sample_rate
    try:
        found = locate(label, y, sr=sr, threshold=settings.min_confidence)
    except UserError as error:
        raise UserError(f"{path.name}: {error}") from error
    start = float(found.output_times[0])
    heard = warp(
        y[None],
        sr=sr,
        source_times=found.source_times,
        output_times=found.output_times,
        semitones=found.semitones,
    )[0]
    aligned = np.zeros_like(label)
    begin = max(0, round(start * sr))
    heard = heard[max(0, -round(start * sr)) :][: len(label) - begin]
    aligned[begin : begin + len(heard)] = heard
    return aligned, {
        "tempo_ratio": round(1 / found.ratio, 5),
        "shift_semitones": found.semitones,
        "start": round(found.start, 4),
        "confidence": round(found.confidence, 3),
    }


def _levels(label: np.ndarray, originals: list[np.ndarray], *, sr: int) -> list[float]:
    """The gains with which the originals' powers add up to the mashup's (least squares).

    An original that seems not to be heard at all keeps -20 dB: the fit sees powers only.
    """
    hop = round(LEVEL_SECONDS * sr)

    def power(y: np.ndarray) -> np.ndarray:
        blocks = np.pad(y, (0, -len(y) % hop)).reshape(-1, hop).astype(np.float64)
        return (blocks**2).mean(1)

    # Loud blocks must not be all that counts: each is weighed by the mashup's own level there.
    weight = 1 / (power(label) + 1e-6)
    powers, _ = optimize.nnls(
        np.stack([power(y) * weight for y in originals], axis=1), power(label) * weight
    )
    return [max(float(np.sqrt(p)), 0.1) for p in powers]
