"""Time-stretch and pitch-shift along a time map."""

import itertools

import numpy as np

from mashjax.audio.resample import fit, resample

CONTEXT_SECONDS = 0.25  # rendered around each segment and dropped: two of the stretcher's windows
CROSSFADE_SECONDS = 0.04
MAX_DEVIATION_SECONDS = 0.003  # how far one ratio may stray from the map before a new one starts


def warp(
    y: np.ndarray,
    *,
    sr: int,
    source_times: np.ndarray,
    output_times: np.ndarray,
    semitones: float = 0.0,
) -> np.ndarray:
    """Render `y` along a piecewise linear time map, and shift its pitch.

    Args:
      y: float32 [channels, samples].
      sr: sample rate in Hz.
      source_times, output_times: the map's knots in seconds, both increasing, at least
        two; output_times[0] is where the result begins. What lies outside of `y` is silence.
      semitones: pitch shift; need not be whole.

    Returns:
      float32 [channels, round(sr * (output_times[-1] - output_times[0]))].

    A knot's source sample lands on its output time within 1 ms where one ratio of 0.7 to 1.4
    serves the whole map, within `MAX_DEVIATION_SECONDS` more where several are joined. Pitch
    is exact: the shift is a resampling (soxr), undone in time by the stretcher (Signalsmith
    Stretch), whose own transposition is up to 17 cents off on a steady tone.
    """
    source = np.asarray(source_times, np.float64)
    output = np.asarray(output_times, np.float64) - output_times[0]
    knots = _segments(source, output)
    total = round(output[-1] * sr)
    if len(knots) == 2:
        return _render(y, sr, source[0], source[-1], total, semitones)
    result = np.zeros((y.shape[0], total), np.float32)
    fade = round(CROSSFADE_SECONDS * sr)
    for first, last in itertools.pairwise(knots):
        rate = (source[last] - source[first]) / (output[last] - output[first])
        # The joint is faded before the knot, where beats are quiet, so the beat itself is whole.
        begin = round(output[first] * sr)
        lead = min(fade, begin)
        length = round(output[last] * sr) - begin + lead
        at = source[first] - lead / sr * rate
        piece = _render(y, sr, at, at + length / sr * rate, length, semitones)
        _crossfade(result[:, begin - lead : begin - lead + length], piece, lead)
    return result


def _segments(source: np.ndarray, output: np.ndarray) -> list[int]:
    """Indices of the knots between which one ratio stays within MAX_DEVIATION_SECONDS."""
    if len(source) < 2 or np.any(np.diff(source) <= 0) or np.any(np.diff(output) <= 0):
        raise ValueError("a time map needs two or more knots, increasing in source and output")
    ends = [0]
    for last in range(2, len(source)):
        first = ends[-1]
        inner = slice(first + 1, last)
        line = np.interp(source[inner], source[[first, last]], output[[first, last]])
        if np.abs(line - output[inner]).max() > MAX_DEVIATION_SECONDS:
            ends.append(last - 1)
    return [*ends, len(source) - 1]


def _render(
    y: np.ndarray, sr: int, start: float, stop: float, length: int, semitones: float
) -> np.ndarray:
    """`y` from `start` to `stop` (seconds) as `length` samples, `semitones` higher."""
    rate = (stop - start) * sr / length  # source samples per output sample
    first = round(start * sr)
    if abs(rate - 1) < 1e-6 and abs(semitones) < 1e-3:
        return _excerpt(y, first, first + length)
    context = round(CONTEXT_SECONDS * sr)
    last = round(stop * sr) + context
    piece = _excerpt(y, first - context, last)
    pitch = 2 ** (semitones / 12)
    if abs(semitones) >= 1e-3:
        piece = resample(piece, sr_in=sr * pitch, sr_out=sr)
    piece = _stretch(piece, sr, rate / pitch)
    skip = round((start * sr - first + context) / rate)
    return fit(piece[:, skip:], samples=length)


def _excerpt(y: np.ndarray, first: int, last: int) -> np.ndarray:
    """y[:, first:last], zeros where that reaches outside."""
    inside = y[:, max(first, 0) : max(last, 0)]
    before = min(max(-first, 0), last - first)
    return np.pad(inside, [(0, 0), (before, last - first - before - inside.shape[1])])


def _stretch(y: np.ndarray, sr: int, speed: float) -> np.ndarray:
    """Play `y` at `speed` (> 1: shorter) without changing its pitch."""
    if abs(speed - 1) < 1e-6:
        return y
    import python_stretch

    stretcher = python_stretch.Signalsmith.Stretch()
    stretcher.preset(y.shape[0], sr)
    stretcher.setTimeFactor(speed)
    return np.asarray(stretcher.process(np.ascontiguousarray(y, np.float32)))


def _crossfade(into: np.ndarray, piece: np.ndarray, lead: int) -> None:
    """Write `piece` over `into`, fading over the first `lead` samples at constant power.

    Two renderings of the same sound differ in phase; with correlation c the power of the
    sum is g1^2 + g2^2 + 2 c g1 g2, which is divided out.
    """
    if lead:
        old, new = into[:, :lead], piece[:, :lead]
        power = np.sqrt(np.sum(old**2) * np.sum(new**2))
        c = np.clip(np.sum(old * new) / power, 0, 1) if power > 0 else 1.0
        up = np.linspace(0, 1, lead, endpoint=False, dtype=np.float32)
        down = 1 - up
        gain = 1 / np.sqrt(up**2 + down**2 + 2 * c * up * down)
        into[:, :lead] = (old * down + new * up) * gain
    into[:, lead:] = piece[:, lead:]
