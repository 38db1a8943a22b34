"""Where, how fast and how high two songs must be played to sound as one."""

import dataclasses

import numpy as np

from mashjax.errors import UserError
from mashjax.music.analysis import Analysis
from mashjax.music.mashability import (
    PARTS,
    SHIFTS,
    Pulses,
    Scores,
    pulses,
    scale_fit,
    scores,
)

SHORTEST = 2.0  # seconds; less is not a mashup
SHIFT_COST = 0.012  # of mashability, per semitone
SCALE_WEIGHT = 0.35  # of the scales' common notes beside the mashability
KEY_NEEDED = 0.02  # confidence below which a song has no key to agree with
LONG = 0.5  # exponent: what a longer overlap is worth
IN_TUNE = 0.02  # semitones; a smaller shift is not worth the resampling


@dataclasses.dataclass(frozen=True)
class Limits:
    """max_stretch: the ratio of the tempos minus 1, divided between both songs;
    max_shift: semitones per song."""

    max_stretch: float = 0.12
    max_shift: float = 3.0


@dataclasses.dataclass(frozen=True)
class Alignment:
    """How to render both songs onto one timeline.

    lead: 1 or 2. tempo_bpm: of the output, counted in the lead's beats; None without beats.
    stretch: output seconds / source seconds of each song, over the whole output (above 1 is
    slower). shift_semitones: of each song, upwards, tuning correction included.
    start_seconds: where in each source the output begins. seconds: the output's length.
    time_maps: for each song (source seconds, output seconds), two increasing arrays of one
    length, linear between knots; output runs from 0.0 to `seconds`, source from
    start_seconds; two knots where one ratio is enough. mashability: "harmony", "rhythm",
    "spectrum" and their weighted "total", 0..1. why: one sentence for people.
    """

    lead: int
    tempo_bpm: float | None
    stretch: tuple[float, float]
    shift_semitones: tuple[float, float]
    start_seconds: tuple[float, float]
    seconds: float
    time_maps: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    mashability: dict[str, float]
    why: str


def align(
    a: Analysis,
    b: Analysis,
    *,
    lead: str = "auto",
    start1: float | None = None,
    start2: float | None = None,
    duration: float | None = None,
    limits: Limits | None = None,
) -> Alignment:
    """Align song 1 (`a`) and song 2 (`b`): bars on bars, keys together.

    lead: "1", "2", or "auto": the song more likely to have a voice. start1, start2: seconds
    in each source where the output begins; with beats they move to a beat nearby (one given:
    the nearest; both: the nearest two that stand at the same place in their bars).
    duration: seconds of output at most. Where nothing is given, the offset in bars is the
    one whose overlap is mashable and long.

    The stretch is divided evenly: at each beat the output's interval is the geometric mean
    of both songs'. A drifting song's single beats may pass `limits.max_stretch`, its mean
    does not. Whole semitones are divided with the smaller half to the lead; the difference
    in tuning goes to the other song.

    Raises UserError for a start outside its song or less than 2 s of common music.
    """
    limits = limits or Limits()
    _check(a, b, lead=lead, start1=start1, start2=start2, duration=duration)
    first = int(lead) if lead != "auto" else (2 if b.voice > a.voice + 0.02 else 1)
    fold, reason = _fold(a, b, limits=limits)
    pa = pulses(a, divide=max(1, fold[0]))
    pb = pulses(b, divide=max(1, fold[1]))
    s = scores(pa, pb)
    choice = _shift_scores(a, b, limits=limits)
    if fold[0]:
        i, j, count, k = _place(pa, pb, s, choice, start1=start1, start2=start2, duration=duration)
        maps = _maps(a, b, pa, pb, i=i, j=j, count=count)
        pulse = float(maps[0][1][-1]) / count
    else:
        maps = _straight(a, b, start1=start1, start2=start2, duration=duration)
        i, j = (int(np.searchsorted(p.times, m[0][0])) for p, m in zip((pa, pb), maps, strict=True))
        k = int((s.total[_row(s, i - j)] + choice).argmax())
    maps = _cut(maps[0], duration), _cut(maps[1], duration)
    seconds = float(maps[0][1][-1])
    if seconds < SHORTEST:
        raise UserError(
            f"only {seconds:.1f} s of both songs are left to mix: start earlier or ask for longer"
        )
    shifts = _divide(a, b, int(SHIFTS[k]), tonal=_tonal(a, b), lead=first, limits=limits)
    begin1, begin2 = float(maps[0][0][0]), float(maps[1][0][0])
    end1, end2 = float(maps[0][0][-1]), float(maps[1][0][-1])
    here = _row(s, i - j)
    parts = {
        "harmony": float(s.harmony[here, k]),
        "rhythm": float(s.rhythm[here]),
        "spectrum": float(s.spectrum[here]),
    }
    parts["total"] = sum(PARTS[name] * value for name, value in parts.items())
    tempo = None
    if fold[0]:
        tempo = 60.0 / pulse / fold[first - 1]
    return Alignment(
        lead=first,
        tempo_bpm=tempo,
        stretch=(seconds / (end1 - begin1), seconds / (end2 - begin2)),
        shift_semitones=shifts,
        start_seconds=(begin1, begin2),
        seconds=seconds,
        time_maps=maps,
        mashability=parts,
        why=reason,
    )


def _check(
    a: Analysis,
    b: Analysis,
    *,
    lead: str,
    start1: float | None,
    start2: float | None,
    duration: float | None,
) -> None:
    if lead not in ("auto", "1", "2"):
        raise UserError(f"lead is {lead!r}: say auto, 1 or 2")
    for number, song, start in ((1, a, start1), (2, b, start2)):
        if song.seconds < SHORTEST:
            raise UserError(f"song {number} is {song.seconds:.1f} s long: it needs at least 2 s")
        if start is None:
            continue
        if not 0 <= start < song.seconds:
            raise UserError(
                f"start{number} is {start:g} s, song {number} is {song.seconds:.1f} s long: "
                f"choose a start between 0 and {song.seconds - SHORTEST:.1f}"
            )
        if song.seconds - start < SHORTEST:
            raise UserError(
                f"start{number} at {start:g} s leaves {song.seconds - start:.1f} s of song "
                f"{number}: start before {song.seconds - SHORTEST:.1f} s"
            )
    if duration is not None and not duration >= SHORTEST:
        raise UserError(f"duration is {duration:g} s: ask for at least {SHORTEST:g} s")


def _fold(a: Analysis, b: Analysis, *, limits: Limits) -> tuple[tuple[int, int], str]:
    """In how many pulses each song's beats are divided so that the pulses nearly agree.

    (0, 0) where the songs have no beats to agree on, with the reason.
    """
    if a.tempo_bpm is None or b.tempo_bpm is None:
        who = "neither song has" if a.tempo_bpm == b.tempo_bpm else (
            "song 1 has no" if a.tempo_bpm is None else "song 2 has no"
        )  # fmt: skip
        end = "a steady beat" if who == "neither song has" else "beat to follow"
        return (0, 0), f"{who} {end}: mixed without stretching"
    t1, t2 = a.tempo_bpm, b.tempo_bpm
    times = {(1, 1): t2, (1, 2): 2 * t2, (2, 1): t2 / 2, (1, 4): 4 * t2, (4, 1): t2 / 4}
    fold = min(times, key=lambda f: abs(np.log(times[f] / t1)))
    ratio = max(times[fold] / t1, t1 / times[fold]) - 1
    if ratio > limits.max_stretch + 1e-3:
        return (0, 0), (
            f"tempos {t1:.0f} and {t2:.0f} are too far apart to stretch: mixed without stretching"
        )
    name, few, many = {1: "", 2: "two", 4: "four"}[max(fold)], 1, 2
    if fold[1] > 1:
        few, many = 2, 1
    folded = f", {name} beats of song {many} to one of song {few}" if name else ""
    drift = [str(n) for n, song in ((1, a), (2, b)) if not song.steady]
    follow = f", song {' and '.join(drift)} followed beat by beat" if drift else ""
    return fold, f"tempos {t1:.1f} and {t2:.1f} meet halfway{folded}{follow}"


def _tonal(a: Analysis, b: Analysis) -> bool:
    return min(a.key.confidence, b.key.confidence) > KEY_NEEDED


def _shift_scores(a: Analysis, b: Analysis, *, limits: Limits) -> np.ndarray:
    """What speaks for each of `SHIFTS` apart from the beats' harmony; -inf: out of limits."""
    total = SHIFTS + (b.tuning_cents - a.tuning_cents) / 100
    cost = SHIFT_COST * np.abs(total)
    score = -cost + (SCALE_WEIGHT * scale_fit(a, b) if _tonal(a, b) else -np.abs(total))
    allowed = np.abs(total) <= 2 * limits.max_shift
    if not allowed.any():
        allowed = np.abs(total) == np.abs(total).min()
    return np.where(allowed, score, -np.inf)


def _divide(
    a: Analysis, b: Analysis, relative: int, *, tonal: bool, lead: int, limits: Limits
) -> tuple[float, float]:
    """The shifts of both songs whose difference is `relative` and the tuning's."""
    tuning = (b.tuning_cents - a.tuning_cents) / 100 if tonal else 0.0
    if abs(tuning) < IN_TUNE:
        tuning = 0.0
    total = (relative if tonal else 0) + tuning
    sign = 1.0 if lead == 1 else -1.0
    most = limits.max_shift
    mine = float(np.trunc(abs(relative if tonal else 0) / 2)) * np.sign(relative) * sign
    mine = float(np.clip(mine, -most, most))
    other = mine - sign * total
    if abs(other) > most:
        other = float(np.clip(other, -most, most))
        mine = float(np.clip(sign * total + other, -most, most))
    mine, other = mine + 0.0, other + 0.0
    return (mine, other) if lead == 1 else (other, mine)


def _place(
    pa: Pulses,
    pb: Pulses,
    s: Scores,
    choice: np.ndarray,
    *,
    start1: float | None,
    start2: float | None,
    duration: float | None,
) -> tuple[int, int, int, int]:
    """Where to begin in each song (pulses), for how many pulses, and which of `SHIFTS`."""
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
    k = int((s.total[_row(s, offset)] + choice).argmax())
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


def _row(s: Scores, offset: int) -> int:
    return int(np.clip(offset - s.offsets[0], 0, len(s.offsets) - 1))


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


def _maps(
    a: Analysis, b: Analysis, pa: Pulses, pb: Pulses, *, i: int, j: int, count: int
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Time maps on which the pulses of both songs coincide."""
    count = min(count, len(pa.times) - 1 - i, len(pb.times) - 1 - j)
    ta, tb = pa.times[i : i + count + 1], pb.times[j : j + count + 1]
    output = np.concatenate([[0.0], np.cumsum(np.sqrt(np.diff(ta) * np.diff(tb)))])
    if a.steady and b.steady:
        ends = [0, count]
        return (ta[ends], output[ends]), (tb[ends], output[ends].copy())
    return (ta, output), (tb, output.copy())


def _straight(
    a: Analysis,
    b: Analysis,
    *,
    start1: float | None,
    start2: float | None,
    duration: float | None,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
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


def _cut(
    time_map: tuple[np.ndarray, np.ndarray], duration: float | None
) -> tuple[np.ndarray, np.ndarray]:
    source, output = time_map
    if duration is None or output[-1] <= duration:
        return time_map
    inside = output < duration - 1e-9
    end = float(np.interp(duration, output, source))
    return np.append(source[inside], end), np.append(output[inside], duration)
