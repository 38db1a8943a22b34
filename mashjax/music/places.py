"""Where in both songs a mashup begins, and how long it lasts."""

import numpy as np

from mashjax.music.mashability import SHIFTS, Pulses, Scores

LONG = 0.5  # exponent: what a longer overlap is worth


def place(
    pa: Pulses,
    pb: Pulses,
    s: Scores,
    choice: np.ndarray,
    *,
    start1: float | None,
    start2: float | None,
    duration: float | None,
) -> tuple[int, int, int, int]:
    """Where to begin in each song (pulses), for how many pulses, and which of `SHIFTS`.

    choice: what speaks for each of `SHIFTS` apart from the songs' sound, -inf where forbidden.
    start1, start2, duration: seconds, or None to choose.
    """
    n, m = len(pa.active), len(pb.active)
    pulse = float(np.sqrt(np.median(np.diff(pa.times)) * np.median(np.diff(pb.times))))
    wanted = np.inf if duration is None else duration / pulse
    score = (s.total + choice).max(axis=1)
    i, j = None, None
    if start1 is not None and start2 is not None:
        i, j = _same_place(pa, pb, start1, start2)
        offset = i - j
    else:
        offsets = np.unique(pa.downbeats[:, None] - pb.downbeats[None, :])
        at = offsets + m - 1
        common = s.common[at]
        if start1 is not None:
            i = _nearest(pa, start1)
            common = np.minimum(np.minimum(n - i, m - (i - offsets)), common)
            common = np.where((i - offsets >= 0) & (i - offsets < m), common, 0)
        if start2 is not None:
            j = _nearest(pb, start2)
            common = np.minimum(np.minimum(m - j, n - (j + offsets)), common)
            common = np.where((j + offsets >= 0) & (j + offsets < n), common, 0)
        length = np.minimum(common, wanted)
        worth = score[at] * (length / max(1.0, length.max())) ** LONG
        offset = int(offsets[int(worth.argmax())])
    k = int((s.total[s.row(offset)] + choice).argmax())
    if i is None and j is None:
        i, end = _sounding(pa, pb, offset)
        if end - i > wanted:
            i = _best_window(pa, pb, offset, i, end, int(np.ceil(wanted)), int(SHIFTS[k]))
        j = i - offset
        return i, j, end - i, k
    if i is None:
        i = offset + (j or 0)
    j = i - offset
    return i, j, min(n - i, m - j), k


def _nearest(p: Pulses, start: float) -> int:
    return int(np.abs(p.times[:-1] - start).argmin())


def _same_place(pa: Pulses, pb: Pulses, start1: float, start2: float) -> tuple[int, int]:
    """The pulses nearest to both starts that stand at the same place in their bars."""
    best = (np.inf, 0, 0)
    i0, j0 = _nearest(pa, start1), _nearest(pb, start2)
    for i in range(max(0, i0 - pa.per_bar), min(len(pa.active), i0 + pa.per_bar + 1)):
        for j in range(max(0, j0 - pb.per_bar), min(len(pb.active), j0 + pb.per_bar + 1)):
            place = (i - pa.downbeats[0]) - (j - pb.downbeats[0])
            if place % np.gcd(pa.per_bar, pb.per_bar):
                continue
            miss = (pa.times[i] - start1) ** 2 + (pb.times[j] - start2) ** 2
            best = min(best, (float(miss), i, j))
    return best[1], best[2]


def _sounding(pa: Pulses, pb: Pulses, offset: int) -> tuple[int, int]:
    """The pulses of song 1 between which both songs sound, from a downbeat on."""
    begin, end = max(0, offset), min(len(pa.active), len(pb.active) + offset)
    both = (pa.active[begin:end] * pb.active[begin - offset : end - offset]).nonzero()[0]
    if len(both) == 0:
        return begin, end
    first, last = begin + int(both[0]), begin + int(both[-1]) + 1
    down = pa.downbeats[(pa.downbeats >= begin) & (pa.downbeats <= first)]
    later = pa.downbeats[(pa.downbeats > first) & (pa.downbeats < last)]
    if len(down):
        return int(down[-1]), last
    return (int(later[0]) if len(later) else first), last


def _best_window(
    pa: Pulses, pb: Pulses, offset: int, begin: int, end: int, count: int, shift: int
) -> int:
    """The downbeat from which `count` pulses sound best together."""
    turn = np.exp(-2j * np.pi * np.arange(1, 7) * shift / 12)
    va = pa.vectors[begin:end] * turn
    vb = pb.vectors[begin - offset : end - offset]
    product = (va * np.conj(vb)).sum(axis=1).real
    cosine = product / (np.linalg.norm(va, axis=1) * np.linalg.norm(vb, axis=1) + 1e-9)
    both = pa.active[begin:end] * pb.active[begin - offset : end - offset]
    total = np.concatenate([[0.0], np.cumsum((1 + cosine) * both)])
    starts = pa.downbeats[(pa.downbeats >= begin) & (pa.downbeats + count <= end)]
    if len(starts) == 0:
        return begin
    return int(starts[(total[starts - begin + count] - total[starts - begin]).argmax()])
