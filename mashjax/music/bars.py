"""Where bars begin, and how many beats they have."""

import dataclasses

import numpy as np
from scipy import ndimage

from mashjax.music.onsets import Onsets, frame_of
from mashjax.music.tonality import HOP, SR

METERS = (4, 3)
WEIGHTS = {
    "chord": 1.0,
    "bass": 0.8,
    "kick": 0.5,
    "accent": 0.3,
    "level": 0.3,
}
FIRST = 0.8  # what the first sound of the song is worth, as if it were a mean over all bars
OFFBEAT = 0.8  # what the beats that were found are worth against the ones between them
TRIPLE = 0.15  # how much clearer bars of three must be


@dataclasses.dataclass(frozen=True)
class Bars:
    """beats [n] and downbeats [m] in seconds (the beats may have moved by half a beat)."""

    beats: np.ndarray
    downbeats: np.ndarray
    beats_per_bar: int


def bars(beats: np.ndarray, *, o: Onsets, chroma: np.ndarray, bass: np.ndarray) -> Bars:
    """Downbeats by what changes on them: chord, bass note, kick, accent, level.

    The search runs over half beats, since at twice or half the tempo the beats that were
    found may lie between the ones that bars are counted on.
    """
    if len(beats) < 8:
        return Bars(beats=beats, downbeats=beats[:1], beats_per_bar=4)
    halves = np.interp(np.arange(2 * len(beats) - 1) / 2, np.arange(len(beats)), beats)
    evidence = _evidence(halves, o=o, chroma=chroma, bass=bass)
    onset = _first_sound(o)
    best = (-np.inf, 4, 0)
    for meter in METERS:
        step = 2 * meter
        means = np.array([evidence[k::step].mean() for k in range(step)])
        means -= means.mean()
        if onset is not None:
            k = int(np.argmin(np.abs(halves - onset)))
            if abs(halves[k] - onset) < 0.12 * (beats[1] - beats[0]):
                means[k % step] += FIRST * min(1.0, 8 * step / len(halves))
        means[1::2] -= OFFBEAT
        score = means.max() - (TRIPLE if meter == 3 else 0.0)
        if score > best[0]:
            best = (float(score), meter, int(means.argmax()))
    _, meter, phase = best
    moved = halves[phase % 2 :: 2]
    return Bars(beats=moved, downbeats=moved[phase // 2 :: meter], beats_per_bar=meter)


def _evidence(halves: np.ndarray, *, o: Onsets, chroma: np.ndarray, bass: np.ndarray) -> np.ndarray:
    """How much each half beat looks like the start of a bar, [halves], unit of spread."""
    frame = halves * SR / HOP
    half = np.median(np.diff(frame))
    loud = np.sqrt(ndimage.gaussian_filter1d(o.energy.mean(axis=0), 20))
    at = np.clip(np.round(frame_of(halves)).astype(int), 0, o.novelty.shape[1] - 1)
    near = ndimage.maximum_filter1d
    features = {
        "chord": _change(chroma, frame, 2 * half) + _change(chroma, frame, 4 * half),
        "bass": _change(bass, frame, 2 * half) + _change(bass, frame, 4 * half),
        "kick": near(o.low, 15)[at],
        "accent": near(ndimage.gaussian_filter1d(o.total, 1.5), 15)[at],
        "level": near(loud, 31)[at],
    }
    total = np.zeros(len(halves))
    for name, weight in WEIGHTS.items():
        x = features[name]
        x = np.minimum(x, np.quantile(x, 0.97))
        total += weight * (x - x.mean()) / (x.std() + 1e-9)
    return total


def _change(x: np.ndarray, frame: np.ndarray, span: float) -> np.ndarray:
    """1 - cosine between the mean of `x` over `span` frames after and before each frame."""
    total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])

    def mean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        i = np.clip(np.round(a).astype(int), 0, len(x))
        j = np.clip(np.round(b).astype(int), 0, len(x))
        return total[j] - total[i]

    before, after = mean(frame - span, frame), mean(frame, frame + span)
    product = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosine = (before * after).sum(axis=1) / (product + 1e-9)
    return np.where(product > 1e-6, 1 - cosine, 0.0)


def _first_sound(o: Onsets) -> float | None:
    """Seconds at which the music enters, or None where it runs from the first sample."""
    level = o.energy.sum(axis=0)
    loud = np.quantile(level, 0.9)
    i = int(np.argmax(level > 0.25 * loud))
    return None if i < 4 else (i + 2) / o.rate
