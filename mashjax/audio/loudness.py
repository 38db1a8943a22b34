"""Loudness (ITU-R BS.1770-4), true peak, and the master that meets both."""

import dataclasses

import numpy as np

from mashjax.audio.resample import resample

TARGET_LUFS = -14.0
CEILING_DBTP = -1.0
_OVERSAMPLING = 4
_LOOKAHEAD_SECONDS = 0.02  # half of the limiter's window: short enough to be inaudible as a fade
_BLOCK = 1 << 19  # samples oversampled at a time, so that memory does not grow with the song


def loudness(y: np.ndarray, *, sr: int) -> float:
    """Integrated loudness of `y` [channels, samples] in LUFS; -inf for silence (BS.1770-4).

    A sound shorter than a block of the measure (0.4 s) is measured as if it were repeated.
    """
    import pyloudnorm

    block = round(0.4 * sr) + 1
    if 0 < y.shape[1] < block:
        y = np.tile(y, -(-block // y.shape[1]))

    if y.shape[0] == 6:  # 5.1: the low-frequency channel does not count
        y = y[[0, 1, 2, 4, 5]]
    return float(pyloudnorm.Meter(sr).integrated_loudness(y[:5].T))


def true_peak(y: np.ndarray, *, sr: int) -> float:
    """Highest absolute value of `y` [channels, samples], 4 times oversampled, in dBTP."""
    return _db(max((float(part.max()) for _, part in _peaks(y, sr)), default=0.0))


def match(y: np.ndarray, *, sr: int, lufs: float) -> tuple[np.ndarray, float]:
    """`y` at a loudness of `lufs`, and the gain applied; silence stays as it is with gain 1."""
    measured = loudness(y, sr=sr)
    if not np.isfinite(measured):
        return y, 1.0
    gain = 10 ** ((lufs - measured) / 20)
    return y * np.float32(gain), gain


@dataclasses.dataclass(frozen=True)
class Master:
    """Mastered samples [channels, samples], their loudness in LUFS and true peak in dBTP."""

    y: np.ndarray
    lufs: float
    true_peak: float


def master(
    y: np.ndarray, *, sr: int, lufs: float = TARGET_LUFS, ceiling: float = CEILING_DBTP
) -> Master:
    """Bring `y` [channels, samples] to `lufs`, its true peak to at most `ceiling` dBTP.

    Limiting takes loudness away, so gain and limiter are repeated until the loudness is
    within 0.1 LU; material too spiky for both ends up softer, never above the ceiling.
    """
    measured = loudness(y, sr=sr)
    if not np.isfinite(measured):
        return Master(y, measured, true_peak(y, sr=sr))
    gain_db = lufs - measured
    for _ in range(6):
        result, peak = limit(y * np.float32(10 ** (gain_db / 20)), sr=sr, ceiling=ceiling)
        measured = loudness(result, sr=sr)
        if abs(lufs - measured) < 0.1:
            break
        gain_db += lufs - measured
    return Master(result, measured, peak)


def limit(y: np.ndarray, *, sr: int, ceiling: float = CEILING_DBTP) -> tuple[np.ndarray, float]:
    """Look-ahead limiter: one gain for all channels, true peak at most `ceiling` dBTP.

    The gain is the moving average of the moving minimum of ceiling / peak, both over the
    same window: it is down before the peak arrives, and never steps.

    Returns the samples and their true peak in dBTP.
    """
    from scipy import ndimage

    limit_at = 10 ** (ceiling / 20)
    needed = np.ones(y.shape[1], np.float32)
    highest = 0.0
    for start, peaks in _peaks(y, sr):
        highest = max(highest, float(peaks.max()))
        needed[start : start + len(peaks)] = limit_at / np.maximum(peaks, limit_at)
    if highest <= limit_at:
        return y, _db(highest)
    window = 2 * round(_LOOKAHEAD_SECONDS * sr) + 1
    held = ndimage.minimum_filter1d(needed, window, mode="nearest")
    gain = ndimage.uniform_filter1d(held.astype(np.float64), window, mode="nearest")
    limited = y * gain.astype(np.float32)
    peak = true_peak(limited, sr=sr)
    if peak > ceiling:  # the moving gain itself shifts peaks between samples, by hundredths of a dB
        excess = peak - ceiling + 1e-3
        limited *= np.float32(10 ** (-excess / 20))
        peak -= excess
    return limited, peak


def _db(amplitude: float) -> float:
    return 20 * float(np.log10(max(amplitude, 1e-10)))


def _peaks(y: np.ndarray, sr: int):
    """Yield (start, highest |y| over the channels per sample, between samples included)."""
    context = 64  # samples on both sides, so that blocks join without an edge
    for start in range(0, y.shape[1], _BLOCK):
        stop = min(start + _BLOCK, y.shape[1])
        first, last = max(start - context, 0), min(stop + context, y.shape[1])
        fine = np.abs(resample(y[:, first:last], sr_in=sr, sr_out=_OVERSAMPLING * sr)).max(axis=0)
        fine = fine[_OVERSAMPLING * (start - first) :][: _OVERSAMPLING * (stop - start)]
        yield start, fine.reshape(-1, _OVERSAMPLING).max(axis=1)
