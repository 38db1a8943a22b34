"""Change the sample rate."""

import numpy as np


def resample(y: np.ndarray, *, sr_in: float, sr_out: float, quality: str = "HQ") -> np.ndarray:
    """Resample float32 `y` [..., samples] from `sr_in` to `sr_out` Hz (soxr, linear phase).

    Rates need not be whole numbers: a ratio of 1.0007 is as good as 2. Sample 0 keeps
    its time; the result has round(samples * sr_out / sr_in) samples.
    """
    import soxr

    samples = round(y.shape[-1] * sr_out / sr_in)
    if sr_in == sr_out or y.shape[-1] == 0:
        return y
    flat = y.reshape(-1, y.shape[-1]).astype(np.float32, copy=False)
    out = np.stack([soxr.resample(row, sr_in, sr_out, quality=quality) for row in flat])
    return fit(out, samples=samples).reshape(*y.shape[:-1], samples)


def fit(y: np.ndarray, *, samples: int) -> np.ndarray:
    """Cut `y` [..., n] to `samples`, or append zeros."""
    if y.shape[-1] >= samples:
        return y[..., :samples]
    return np.pad(y, [(0, 0)] * (y.ndim - 1) + [(0, samples - y.shape[-1])])


def cut(y: np.ndarray, *, start: int, samples: int) -> np.ndarray:
    """`samples` of `y` [..., n] from `start` on, which may lie outside of it: zeros are there."""
    inside = y[..., max(0, start) : max(0, start + samples)]
    before = min(samples, max(0, -start))
    return fit(np.pad(inside, [(0, 0)] * (y.ndim - 1) + [(before, 0)]), samples=samples)


def to_mono(y: np.ndarray) -> np.ndarray:
    """Mean of the channels: [channels, samples] -> [samples]."""
    return y.mean(axis=0, dtype=np.float32)


def to_channels(y: np.ndarray, *, channels: int) -> np.ndarray:
    """Bring [n, samples] to [channels, samples]: mono goes to all, fewer go to the first ones.

    One channel is the mean of what there is.
    """
    if y.shape[0] == channels:
        return y
    if channels == 1:
        return to_mono(y)[None]
    if y.shape[0] == 1:
        return np.repeat(y, channels, axis=0)
    return np.concatenate([y, np.zeros((channels - y.shape[0], y.shape[1]), y.dtype)])
