"""The attribution curve: how much of each song is heard when."""

import numpy as np

SILENCE = 1e-12  # energy per sample under which neither song is heard


def song2_share(
    parts: np.ndarray, *, sr: int, hop: int, window: int
) -> tuple[np.ndarray, np.ndarray]:
    """Song 2's share of the energy, 0 = all song 1, 1 = all song 2, 0.5 where both are silent.

    parts: [2, channels, samples]; hop and window in samples, window a multiple of hop.
    Returns times [frames] in seconds and shares [frames]; frame t looks at `window` samples
    around t * hop.
    """
    samples = parts.shape[-1]
    frames = 1 + samples // hop
    edges = np.minimum(np.arange(frames) * hop, samples)
    share = np.empty((2, frames))
    for song in range(2):
        power = np.square(parts[song], dtype=np.float64).sum(axis=0)
        total = np.concatenate([[0.0], np.cumsum(power)])
        share[song] = (
            total[np.minimum(edges + window // 2, samples)]
            - total[np.maximum(edges - window // 2, 0)]
        )
    both = share.sum(axis=0)
    heard = both > SILENCE * window
    return edges / sr, np.where(heard, share[1] / np.where(heard, both, 1), 0.5)
