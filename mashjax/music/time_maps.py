"""From places in two songs to the time maps that render them."""

import numpy as np

from mashjax.music.analysis import Analysis
from mashjax.music.mashability import Pulses

SHORTEST = 2.0  # seconds; less is not a mashup

TimeMap = tuple[np.ndarray, np.ndarray]  # source seconds, output seconds


def on_pulses(
    a: Analysis, b: Analysis, pa: Pulses, pb: Pulses, *, i: int, j: int, count: int
) -> tuple[TimeMap, TimeMap]:
    """Time maps on which the pulses of both songs coincide."""
    count = min(count, len(pa.times) - 1 - i, len(pb.times) - 1 - j)
    ta, tb = pa.times[i : i + count + 1], pb.times[j : j + count + 1]
    output = np.concatenate([[0.0], np.cumsum(np.sqrt(np.diff(ta) * np.diff(tb)))])
    if a.steady and b.steady:
        ends = [0, count]
        return (ta[ends], output[ends]), (tb[ends], output[ends].copy())
    return (ta, output), (tb, output.copy())


def straight(
    a: Analysis,
    b: Analysis,
    *,
    start1: float | None,
    start2: float | None,
    duration: float | None,
) -> tuple[TimeMap, TimeMap]:
    """Time maps without stretching, from the first downbeats where both songs have them."""
    both = a.tempo_bpm is not None and b.tempo_bpm is not None

    def begin(song: Analysis, start: float | None) -> float:
        if start is not None:
            return float(start)
        downbeats = song.downbeats[song.downbeats < song.seconds - SHORTEST]
        return float(downbeats[0]) if both and len(downbeats) else 0.0

    t1, t2 = begin(a, start1), begin(b, start2)
    seconds = min(a.seconds - t1, b.seconds - t2)
    line = np.array([0.0, seconds])
    return (t1 + line, line), (t2 + line, line.copy())


def cut(time_map: TimeMap, duration: float | None) -> TimeMap:
    """The map up to `duration` seconds of output."""
    source, output = time_map
    if duration is None or output[-1] <= duration:
        return time_map
    inside = output < duration - 1e-9
    end = float(np.interp(duration, output, source))
    return np.append(source[inside], end), np.append(output[inside], duration)


def between(time_map: TimeMap, *, start: float, stop: float) -> TimeMap:
    """The map between two output times, ends included."""
    source, output = time_map
    inside = (output > start + 1e-3) & (output < stop - 1e-3)
    ends = np.interp([start, stop], output, source)
    return (
        np.concatenate([ends[:1], source[inside], ends[1:]]),
        np.concatenate([[start], output[inside], [stop]]),
    )
