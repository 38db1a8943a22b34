"""Where a song's music changes, and the phrases that two aligned songs share."""

import dataclasses

import numpy as np
from scipy import ndimage

from mashjax.music.alignment import Alignment
from mashjax.music.analysis import Analysis

AROUND = 16  # beats before and after that are compared: four bars
BARS = (8, 4)  # of a phrase: the first of which there are at least `PHRASES`
PHRASES = 4


@dataclasses.dataclass(frozen=True)
class Phrases:
    """edges [n + 1]: seconds of output, from 0 to its end, the inner ones on downbeats;
    novelty [n - 1]: 0..1 at the inner ones; beat: seconds; bars: in a phrase."""

    edges: np.ndarray
    novelty: np.ndarray
    beat: float
    bars: int


def phrases(a: Analysis, b: Analysis, alignment: Alignment) -> Phrases | None:
    """The phrases of two songs on their common timeline; None where bars do not agree.

    Of the grids of 8 bars on the lead's downbeats (4 where that is less than four phrases) it is
    the one on which most changes in both songs.
    """
    if alignment.tempo_bpm is None:
        return None
    lead = (a, b)[alignment.lead - 1]
    source, output = alignment.time_maps[alignment.lead - 1]
    inside = (lead.downbeats > source[0]) & (lead.downbeats < source[-1])
    downbeats = np.interp(lead.downbeats[inside], source, output)
    bars = BARS[0] if len(downbeats) >= PHRASES * BARS[0] else BARS[1]
    new = np.zeros(len(downbeats))
    for song, (source, output) in zip((a, b), alignment.time_maps, strict=True):
        new += np.interp(np.interp(downbeats, output, source), song.cells, novelty(song)) / 2
    least = 0.9 * bars * lead.beats_per_bar * 60 / alignment.tempo_bpm
    whole = (downbeats > least) & (downbeats < alignment.seconds - least)
    grids = [np.flatnonzero(whole[first::bars]) * bars + first for first in range(bars)]
    best = max(grids, key=lambda grid: float(new[grid].sum()))
    return Phrases(
        edges=np.concatenate([[0.0], downbeats[best], [alignment.seconds]]),
        novelty=new[best],
        beat=60 / alignment.tempo_bpm,
        bars=bars,
    )


def novelty(song: Analysis) -> np.ndarray:
    """How much the music changes at each edge of the song's cells, [cells + 1], 0..1.

    A checkerboard along the self-similarity of pitch classes and levels (Foote 2000, "Automatic
    audio segmentation using a measure of audio novelty", ICME). Where similarity is an inner
    product, its sum under a tapered checkerboard is the squared length of the tapered
    difference between what comes after and what comes before.
    """
    if len(song.chroma) < 2:
        return np.zeros(len(song.cells))
    levels = np.log10(song.spectrum + 1e-3 * song.spectrum.mean() + 1e-12)
    features = np.concatenate([_scaled(song.chroma), _scaled(levels)], axis=1)
    taper = np.exp(-0.5 * (2 * (np.arange(AROUND) + 0.5) / AROUND) ** 2)
    taper /= taper.sum()
    change = ndimage.correlate1d(features, np.concatenate([-taper[::-1], taper]), axis=0)
    new = np.append((change**2).sum(axis=1), 0.0)
    return new / max(float(new.max()), 1e-9)


def _scaled(x: np.ndarray) -> np.ndarray:
    """x [cells, features] around its mean, of unit mean length."""
    x = x - x.mean(axis=0)
    return x / max(float(np.sqrt((x**2).sum(axis=1).mean())), 1e-9)
