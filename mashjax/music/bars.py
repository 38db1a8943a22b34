"""Where bars begin, and how many beats they have."""

import dataclasses

import numpy as np
from scipy import ndimage

from mashjax.music.onsets import Onsets, frame_of
from mashjax.music.tonality import HOP, SR

METERS = (4, 3)
TRIPLE = 0.5  # how much clearer bars of three must be
# What each kind of evidence on the downbeat, half a bar later, on the other beats and between
# the beats says for a downbeat: softmax regression over the places in a bar, on 160 made songs
# and 50 pop songs rendered from MIDI with known bars.
EVIDENCE = (
    "chord 1", "chord 2", "chord 4", "bass 1", "bass 2", "bass 4", "attack", "low", "mid", "high",
)  # fmt: skip
WEIGHTS = np.array(
    [
        [0.84, 0.35, -0.10, 0.73, 0.39, 0.10, 0.69, 0.52, 0.35, -0.02],
        [0.14, -0.10, 0.44, -0.06, -0.02, 0.36, -0.27, -0.12, -0.20, 0.52],
        [-0.04, 0.11, -0.05, -0.16, -0.01, -0.09, 0.03, -0.39, -0.18, 0.34],
        [0.20, 0.40, 0.39, 0.08, -0.11, -0.18, -0.52, -0.34, 0.02, 0.17],
    ]
)
FIRST_SOUND = 0.87  # a song that begins with silence mostly begins with a bar
FIRST_SOUND_SHORT = 0.31  # the more so the less of it there is to judge by
STRONG = 1.5  # onsets between the beats, over the median, that make them a place of their own
WEAK = 0.4  # of the strongest such onsets


@dataclasses.dataclass(frozen=True)
class Bars:
    """beats [n] and downbeats [m] in seconds; the beats may have moved between the beats
    that were given."""

    beats: np.ndarray
    downbeats: np.ndarray
    beats_per_bar: int


def bars(beats: np.ndarray, *, o: Onsets, chroma: np.ndarray, bass: np.ndarray) -> Bars:
    """Downbeats by what changes on them: chord, bass note, drums.

    The search includes the places between the beats, where the real ones lie when a song's
    tempo was halved or its swung notes are as strong as its beats.
    """
    if len(beats) < 9:
        return Bars(beats=beats, downbeats=beats[:1], beats_per_bar=4)
    index = np.arange(len(beats))
    places = [np.interp(index[:-1] + part, index, beats) for part in _places(o, beats)]
    period = float(np.median(np.diff(beats)))
    evidence = np.stack(
        [_evidence(t, period=period, o=o, chroma=chroma, bass=bass) for t in places]
    )
    evidence -= evidence.mean(axis=(0, 1))
    evidence /= evidence.std(axis=(0, 1)) + 1e-9
    begin = _first_sound(o)
    best = (-np.inf, 4, 0, 0)
    for meter in METERS:
        means = np.stack([evidence[:, k::meter].mean(axis=1) for k in range(meter)], axis=1)
        for place, times in enumerate(places):
            between = means[1 if place == 0 else 0]
            for k in range(meter):
                here = means[place]
                half = here[(k + meter // 2) % meter]
                other = (here[(k + 1) % meter] + here[(k - 1) % meter]) / 2
                score = float((WEIGHTS * np.stack([here[k], half, other, between[k]])).sum())
                if begin is not None and np.abs(times[k::meter] - begin).min() < 0.12 * period:
                    score += FIRST_SOUND + FIRST_SOUND_SHORT * min(1.0, 32 / len(beats))
                score -= TRIPLE if meter == 3 else 0.0
                best = max(best, (score, meter, place, k))
    _, meter, place, k = best
    moved = beats if place == 0 else places[place]
    return Bars(beats=moved, downbeats=moved[k::meter], beats_per_bar=meter)


def _places(o: Onsets, beats: np.ndarray) -> list[float]:
    """Parts of the beat at which bars may begin: 0, a half, and where else onsets pile up."""
    parts = np.arange(12, 69) / 80
    index = np.arange(len(beats))
    times = np.interp((index[:-1, None] + parts).ravel(), index, beats)
    novelty = ndimage.gaussian_filter1d(o.total, 2.0)
    folded = np.interp(frame_of(times), np.arange(len(novelty)), novelty)
    folded = folded.reshape(-1, len(parts)).mean(axis=0)
    top = folded == ndimage.maximum_filter1d(folded, 9)
    top &= folded > max(STRONG * float(np.median(folded)), WEAK * float(folded.max()))
    peaks = sorted(np.flatnonzero(top), key=lambda i: -folded[i])[:3]
    found = [float(parts[i]) for i in peaks if 0 < i < len(parts) - 1]
    near_half = [p for p in found if abs(p - 0.5) < 0.04]
    rest = [p for p in found if p not in near_half]
    return [0.0, near_half[0] if near_half else 0.5, *rest]


def _evidence(
    times: np.ndarray, *, period: float, o: Onsets, chroma: np.ndarray, bass: np.ndarray
) -> np.ndarray:
    """`EVIDENCE` at each of `times`, [times, kinds]: how much the chord and the bass differ
    before and after, over 1, 2 and 4 beats, and how strong the onsets are."""
    frame = times * SR / HOP
    beat = period * SR / HOP
    at = np.clip(np.round(frame_of(times)).astype(int), 0, o.novelty.shape[1] - 1)

    def strength(bands: slice) -> np.ndarray:
        x = ndimage.gaussian_filter1d(o.novelty[bands].mean(axis=0), 1.5)
        return ndimage.maximum_filter1d(x, 13)[at]

    level = np.log1p(10 * chroma / (12 * chroma.mean() + 1e-9))
    rise = np.maximum(0.0, np.diff(level, axis=0, prepend=0.0)).sum(axis=1)
    attack = np.interp(frame[:, None] + np.arange(-1, 3), np.arange(len(rise)), rise)
    columns = [_change(chroma, frame, beats * beat) for beats in (1, 2, 4)]
    columns += [_change(bass, frame, beats * beat) for beats in (1, 2, 4)]
    columns += [attack.sum(axis=1)]
    columns += [strength(slice(0, 3)), strength(slice(5, 14)), strength(slice(16, None))]
    x = np.stack(columns, axis=1)
    return np.minimum(x, np.quantile(x, 0.97, axis=0))


def _change(x: np.ndarray, frame: np.ndarray, span: float) -> np.ndarray:
    """1 - cosine between the mean of `x` over `span` frames after and before each frame."""
    total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        i = np.clip(np.round(a).astype(int), 0, len(x))
        j = np.clip(np.round(b).astype(int), 0, len(x))
        return total[j] - total[i]

    before, after = between(frame - span, frame), between(frame, frame + span)
    product = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosine = (before * after).sum(axis=1) / (product + 1e-9)
    return np.where(product > 1e-6, 1 - cosine, 0.0)


def _first_sound(o: Onsets) -> float | None:
    """Seconds at which the music enters, or None where it runs from the first sample.

    What sounds all the time, such as hum or a test tone, is no music: each band's quiet tenth
    is taken off.
    """
    floor = np.quantile(o.energy[:, ::4], 0.1, axis=1, keepdims=True)
    level = np.maximum(0.0, o.energy - floor).sum(axis=0)
    i = int(np.argmax(level > 0.25 * np.quantile(level, 0.9)))
    return None if i < 4 else (i + 2) / o.rate
