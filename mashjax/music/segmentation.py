"""A song in phrases of 4, 8 or 16 bars, which begin where the music changes."""

import dataclasses

import numpy as np

from mashjax.music.analysis import Analysis
from mashjax.music.structure import novelty

LENGTHS = {4: 0.3, 8: 0.0, 16: 0.3}  # bars of a phrase, and what is said against each
EACH = 1.0  # of the average novelty on a downbeat: what a boundary must be worth
LEFT_OUT = 1.2  # what it costs to leave out a bar, so that a song's odd bars belong to no phrase
MOST = 5.0  # times the average, at which novelty ends to count
AUDIBLE = 0.03  # of the loud bars' level: an intro or a tail below it (-30 dB) is left out


@dataclasses.dataclass(frozen=True)
class Phrase:
    """Whole bars from the cell `first` of the song's analysis on."""

    first: int
    bars: int


def segment(song: Analysis) -> list[Phrase]:
    """The phrases of `song` in order; they do not overlap, and odd bars are left out.

    Dynamic programming over downbeats: the most novelty (Foote 2000) on as few boundaries as it
    takes. Songs without a beat, or of less than four bars, have no phrases.
    """
    edges = np.searchsorted(song.cells, song.downbeats - 1e-6)
    if song.tempo_bpm is None or len(edges) <= min(LENGTHS):
        return []
    edges = _audible(edges, song)
    new = novelty(song)[edges]
    new = np.minimum(new / max(float(new.mean()), 1e-9), MOST)
    best = np.zeros(len(edges))
    taken = np.zeros(len(edges), int)  # bars of the phrase that ends here; 0: the bar is left out
    for end in range(1, len(edges)):
        best[end] = best[end - 1] - LEFT_OUT
        for bars, cost in LENGTHS.items():
            if bars <= end:
                worth = best[end - bars] + new[end - bars] - EACH - cost
                if worth >= best[end]:
                    best[end], taken[end] = worth, bars
    found = []
    end = len(edges) - 1
    while end > 0:
        bars = int(taken[end])
        if bars:
            found.append(Phrase(first=int(edges[end - bars]), bars=bars))
        end -= max(1, bars)
    return found[::-1]


def _audible(edges: np.ndarray, song: Analysis) -> np.ndarray:
    """`edges` [bars + 1] without the silent bars before and after the music."""
    level = np.sqrt((song.spectrum**2).sum(axis=1))
    bars = np.maximum.reduceat(level, edges[:-1])
    loud = np.flatnonzero(bars > AUDIBLE * np.quantile(bars, 0.9))
    return edges[loud[0] : loud[-1] + 2] if len(loud) else edges[:0]
