"""Which clips go together: those of one cell, of different songs, the most harmonious first."""

import collections
from collections.abc import Sequence

import numpy as np

BLOCK = 1024  # clips compared with all others at a time: memory stays flat


def find_partners(
    cells: Sequence[str], songs: Sequence[str], harmony: Sequence[np.ndarray], *, most: int
) -> np.ndarray:
    """The best partners of every clip.

    Args:
      cells: of each clip; only those of one cell fit.
      songs: of each clip; a song is no partner of its own.
      harmony: of each clip, float [n, 12] of length 1, n the same within a cell.
      most: partners kept of each.

    Returns:
      int32 [clips, most], best first, -1 where there are no more.
    """
    partners = np.full((len(cells), most), -1, np.int32)
    members = collections.defaultdict(list)
    for i, cell in enumerate(cells):
        members[cell].append(i)
    ids = {song: n for n, song in enumerate(dict.fromkeys(songs))}
    for clips in members.values():
        index = np.array(clips)
        song = np.array([ids[songs[i]] for i in clips])
        vectors = np.stack([harmony[i] for i in clips]).reshape(len(clips), -1).astype(np.float32)
        for first in range(0, len(clips), BLOCK):
            block = slice(first, first + BLOCK)
            likeness = vectors[block] @ vectors.T
            likeness[song[block, None] == song] = -np.inf
            # Stable, and rounded: equal likenesses must not fall as the last bit falls.
            best = np.argsort(-np.round(likeness, 4), axis=1, kind="stable")[:, :most]
            found = np.isfinite(np.take_along_axis(likeness, best, axis=1))
            partners[index[block], : best.shape[1]] = np.where(found, index[best], -1)
    return partners
