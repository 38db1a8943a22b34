"""Where, how fast and how high two songs must be played to sound as one."""

import dataclasses

import numpy as np

from mashjax.errors import UserError
from mashjax.music.analysis import Analysis
from mashjax.music.mashability import PARTS, SHIFTS, pulses, scale_fit, scores
from mashjax.music.places import place
from mashjax.music.time_maps import SHORTEST, TimeMap, cut, on_pulses, straight

SHIFT_COST = 0.012  # of mashability, per semitone
SCALE_WEIGHT = 0.35  # of the scales' common notes beside the mashability
KEY_NEEDED = 0.02  # confidence below which a song has no key to agree with
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
    time_maps: tuple[TimeMap, TimeMap]
    mashability: dict[str, float | None]
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
        i, j, count, k = place(pa, pb, s, choice, start1=start1, start2=start2, duration=duration)
        maps = on_pulses(a, b, pa, pb, i=i, j=j, count=count)
        pulse = float(maps[0][1][-1]) / count
    else:
        maps = straight(a, b, start1=start1, start2=start2, duration=duration)
        i, j = (int(np.searchsorted(p.times, m[0][0])) for p, m in zip((pa, pb), maps, strict=True))
        k = int((s.total[s.row(i - j)] + choice).argmax())
    maps = cut(maps[0], duration), cut(maps[1], duration)
    seconds = float(maps[0][1][-1])
    if seconds < SHORTEST:
        raise UserError(
            f"only {seconds:.1f} s of both songs are left to mix: start earlier or ask for longer"
        )
    tonal = _tonal(a, b)
    shifts = _divide(a, b, int(SHIFTS[k]), tonal=tonal, lead=first, limits=limits)
    begin1, begin2 = float(maps[0][0][0]), float(maps[1][0][0])
    end1, end2 = float(maps[0][0][-1]), float(maps[1][0][-1])
    here = s.row(i - j)
    parts: dict[str, float | None] = {
        "harmony": float(s.harmony[here, k]),
        "rhythm": float(s.rhythm[here]),
        "spectrum": float(s.spectrum[here]),
    }
    parts["total"] = sum(weight * (parts[name] or 0.0) for name, weight in PARTS.items())
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
        why=f"{reason}; {_why_shifts(a, b, shifts, tonal=tonal)}",
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
            f"tempos {t1:.0f} and {t2:.0f} are too far apart to stretch: mixed without stretching "
            f"(max_stretch={np.ceil(100 * ratio) / 100:.2f} would allow it)"
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


def _why_shifts(a: Analysis, b: Analysis, shifts: tuple[float, float], *, tonal: bool) -> str:
    if not tonal:
        return "no key to agree on"
    keys = [f"{song.key.tonic} {song.key.mode}" for song in (a, b)]
    if shifts == (0, 0):
        return f"keys {keys[0]} and {keys[1]} stay"
    return f"{keys[0]} moves by {shifts[0]:+.2f}, {keys[1]} by {shifts[1]:+.2f} semitones"


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
