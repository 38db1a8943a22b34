"""How well a segment goes with others, and what must be done to them for it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mashjax.library.segments import Segment
from mashjax.music.alignment import Limits
from mashjax.music.mashability import SCALE, SHARED, SHIFTS
from mashjax.music.tiv import tiv

ROLES = ("lead", "backing")  # what the query gives to the pair; the candidate gives the other
WEIGHTS = {
    "harmony": 0.28,  # notes that sound together, beat by beat
    "chords": 0.2,  # chords that change together
    "rhythm": 0.2,  # onsets at the same moments
    "spectrum": 0.03,  # a lead that its backing does not cover
    "voice": 0.1,  # a lead, and no second one at the same time
    "key": 0.03,  # common notes of both scales
    "loudness": 0.01,
    "overlap": 0.09,  # how much of the query is covered
    "effort": 0.06,  # little stretching and shifting
}
"""Of the parts of the score: found on 20 songs' stems (`tests/benchmarks/ranking.py --first=6`)."""
PARTS = tuple(WEIGHTS)
STYLE = 0.05
"""Weight of "style" beside all of these together, where both songs' is known (see `styling`). So
small by choice, not by measurement: among pairs that sound alike well, the more alike song."""

FOLDS = ((1, 1), (1, 2), (2, 1))  # pulses in a beat of the query and of the candidate
LEAST_BARS = 4  # that both must share
LEADS = 0.3  # mean share of the energy from which on a lead is one
LOUDEST_STEP = 20.0  # dB between two segments at which nothing is left of their "loudness"


@dataclasses.dataclass(frozen=True)
class Match:
    """A query and one candidate.

    role: the query's, see `ROLES`; total and parts: 0..1, 1 is good. What is done to the candidate
    against the query, in all: stretch_percent (positive: it is played slower), shift_semitones
    (upwards, its tuning corrected); offset_bars: the bar of the query, from 0, at which the
    candidate begins; it may be negative, or within a bar where one tempo is twice the other.
    """

    role: str
    total: float
    parts: dict[str, float]
    stretch_percent: float
    shift_semitones: float
    offset_bars: float

    def told(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "role": self.role,
            "total": round(self.total, 4),
            "parts": {name: round(value, 4) for name, value in self.parts.items()},
            "stretch_percent": round(self.stretch_percent, 2),
            "shift_semitones": round(self.shift_semitones, 2),
            "offset_bars": self.offset_bars,
        }


def compare(
    query: Segment,
    candidates: Sequence[Segment],
    *,
    role: str,
    limits: Limits = Limits(),
    weights: Mapping[str, float] = WEIGHTS,
    shifts: np.ndarray | None = None,
) -> list[Match | None]:
    """The best match of `query` with each candidate, over all offsets of bars and all shifts.

    role: what the query gives to the pair, one of `ROLES`, or "any": what is better.
    shifts: bool [candidates, SHIFTS]: the shifts that each candidate may have; None: any.

    None where meters differ, where tempi that may be doubled or halved are farther apart than
    `limits`, where no shift is allowed, and where too little is shared. Songs in tune with
    themselves but not with each other are shifted by cents, too; they count as far apart as their
    whole semitones.
    """
    if role not in (*ROLES, "any"):
        raise ValueError(f"role is {role!r}: say {', '.join(ROLES)} or any")
    weight = np.array([weights[part] for part in PARTS])
    weight = weight / weight.sum()
    matches: list[Match | None] = [None] * len(candidates)
    folds = [_fold(query, candidate, limits=limits) for candidate in candidates]
    allowed = np.abs(SHIFTS) <= 2 * limits.max_shift
    allowed = np.broadcast_to(
        allowed if shifts is None else allowed & shifts, (len(folds), len(SHIFTS))
    )
    for fold in FOLDS:
        which = [i for i, found in enumerate(folds) if found == fold and allowed[i].any()]
        if which:
            group = [candidates[i] for i in which]
            found = _compare(
                query,
                group,
                fold=fold,
                roles=ROLES if role == "any" else (role,),
                limits=limits,
                weight=weight,
                allowed=allowed[which],
            )
            for i, match in zip(which, found, strict=True):
                matches[i] = match
    return matches


def styled(match: Match, query: np.ndarray | None, candidate: np.ndarray | None) -> Match:
    """A match with one more part of the score, "style": the cosine of both songs' places on the
    map of a genre network, 0 where it is negative. As it is where one of them is not known."""
    if query is None or candidate is None:
        return match
    lengths = float(np.linalg.norm(query) * np.linalg.norm(candidate))
    style = max(0.0, float(query @ candidate) / max(lengths, 1e-9))
    total = (1 - STYLE) * match.total + STYLE * style
    return dataclasses.replace(match, total=total, parts={**match.parts, "style": style})


def _fold(query: Segment, candidate: Segment, *, limits: Limits) -> tuple[int, int] | None:
    """The one of `FOLDS` under which both tempi agree; None: there is none."""
    if query.beats_per_bar != candidate.beats_per_bar:
        return None
    fold = min(FOLDS, key=lambda fold: abs(np.log(_ratio(query, candidate, fold))))
    ratio = _ratio(query, candidate, fold)
    return fold if max(ratio, 1 / ratio) - 1 <= limits.max_stretch + 1e-3 else None


def _ratio(query: Segment, candidate: Segment, fold: tuple[int, int]) -> float:
    """How much longer the candidate becomes."""
    return candidate.tempo_bpm * fold[1] / (query.tempo_bpm * fold[0])


def _compare(
    query: Segment,
    candidates: list[Segment],
    *,
    fold: tuple[int, int],
    roles: Sequence[str],
    limits: Limits,
    weight: np.ndarray,
    allowed: np.ndarray,
) -> list[Match | None]:
    q = _pulses([query], fold[0])
    c = _pulses(candidates, fold[1])
    step = query.beats_per_bar  # pulses: a bar of the one whose bars are shorter
    offsets = _offsets(q.active.shape[1], c.active.shape[1], step=step)
    tuning = np.array([query.tuning_cents - x.tuning_cents for x in candidates]) / 100
    shifts = SHIFTS + tuning[:, None]
    shifts_in_turn = np.where(allowed, 0.0, -np.inf)

    of_offset = _by_offset(q, c, offsets=offsets, roles=roles)
    spectrum = np.stack([_spectrum(query, candidates, role=role) for role in roles])
    loudness = [abs(query.loudness_lufs - x.loudness_lufs) / LOUDEST_STEP for x in candidates]
    ratios = np.array([_ratio(query, x, fold) for x in candidates])
    stretched = np.abs(np.log(ratios)) / np.log(1 + max(limits.max_stretch, 1e-3))
    shifted = np.abs(shifts) / max(2 * limits.max_shift, 1e-3)
    parts = {  # each can be broadcast to `shape`
        **of_offset,
        "spectrum": spectrum[..., None, None],
        "key": _key(query, candidates)[:, None],
        "loudness": np.clip(1 - np.array(loudness), 0, 1)[:, None, None],
        "effort": np.clip(1 - (stretched[:, None] + shifted) / 2, 0, 1)[:, None],
    }
    shape = len(roles), len(candidates), len(offsets), len(SHIFTS)
    total = sum(w * parts[part] for w, part in zip(weight, PARTS, strict=True))
    total = np.broadcast_to(total, shape) + shifts_in_turn[:, None]
    total = np.where(parts["common"] > LEAST_BARS * step - 0.5, total, -np.inf).swapaxes(0, 1)
    best = total.reshape(len(candidates), -1).argmax(axis=1)
    rows = np.arange(len(candidates))
    which, offset, shift = np.unravel_index(best, total.shape[1:])
    totals = total[rows, which, offset, shift]
    chosen = {
        part: np.broadcast_to(parts[part], shape)[which, rows, offset, shift] for part in PARTS
    }
    return [
        Match(
            role=roles[which[i]],
            total=float(totals[i]),
            parts={part: float(chosen[part][i]) for part in PARTS},
            stretch_percent=float(100 * (ratios[i] - 1)),
            shift_semitones=float(shifts[i, shift[i]]),
            offset_bars=float(offsets[offset[i]] / (step * fold[0])),
        )
        if np.isfinite(totals[i])
        else None
        for i in rows
    ]


@dataclasses.dataclass(frozen=True)
class _Pulses:
    """Segments on the pulse that they share, zeros behind their ends.

    harmony [6, segments, pulses] (Tonal Interval Vectors of unit length: clear chords count no more
    than full ones), rhythm [onsets, segments, pulses] (roots of onset strengths: soft ones count
    beside hard ones), lead [segments, pulses], active [segments, pulses] (0 or 1).
    """

    harmony: np.ndarray
    rhythm: np.ndarray
    lead: np.ndarray
    active: np.ndarray


def _pulses(segments: list[Segment], divide: int) -> _Pulses:
    count = np.array([len(x.lead) for x in segments]) * divide
    active = np.arange(count.max()) < count[:, None]

    def placed(beats: np.ndarray) -> np.ndarray:
        """[all beats, features] as [features, segments, pulses]."""
        out = np.zeros((beats.shape[1], *active.shape), beats.dtype)
        out[:, active] = np.repeat(beats, divide, axis=0).T
        return out

    vectors = tiv(np.concatenate([x.chroma for x in segments])).astype(np.complex64)
    vectors = vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9)
    onsets = np.sqrt(np.concatenate([x.rhythm for x in segments]))
    onsets = onsets.reshape(count.sum(), -1)  # the onsets of each pulse
    rhythm = np.zeros((onsets.shape[1], *active.shape), np.float32)
    rhythm[:, active] = onsets.T
    return _Pulses(
        harmony=placed(vectors),
        rhythm=np.repeat(rhythm, divide, axis=0),
        lead=placed(np.concatenate([x.lead for x in segments])[:, None])[0],
        active=active.astype(np.float32),
    )


def _offsets(pulses: int, longest: int, *, step: int) -> np.ndarray:
    """Pulses of the query, whole bars apart, at which a candidate may begin."""
    least = LEAST_BARS * step
    return np.arange((least - longest) // step, (pulses - least) // step + 1) * step


def _by_offset(
    q: _Pulses, c: _Pulses, *, offsets: np.ndarray, roles: Sequence[str]
) -> dict[str, np.ndarray]:
    """What depends on the offset, each [candidates, offsets, 1 or shifts], "voice" for each role in
    front: parts of the score, and "common", the pulses that both share.

    Everything is a sum over the pulses of the query times those of a candidate: one matrix product
    of the query at all offsets with all candidates.
    """
    at = np.arange(c.active.shape[1]) + offsets[:, None]  # the query's pulse under a candidate's
    inside = (at >= 0) & (at < q.active.shape[1])
    at = np.where(inside, at, 0)

    def products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Of a query's `x` [pulses] with candidates' `y` [candidates, pulses]."""
        return y @ (x[at] * inside).T

    def cosine(x: np.ndarray, y: np.ndarray, product: np.ndarray) -> np.ndarray:
        """`product` over the lengths of `x` [features, pulses] and `y` where both songs sound."""
        power = products((np.abs(x) ** 2).sum(axis=0), c.active)
        power = power * products(active, (np.abs(y) ** 2).sum(axis=0))
        return product / np.sqrt(np.maximum(power, 1e-9))[..., None]

    active, lead, vectors, hits = q.active[0], q.lead[0], q.harmony[:, 0], q.rhythm[:, 0]
    common = products(active, c.active)
    turn = np.exp(-2j * np.pi * np.arange(1, 7)[:, None] * SHIFTS / 12).astype(np.complex64)

    def turned(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Cosines of vectors at every shift, -1..1 [candidates, offsets, shifts]."""
        pairs = zip(np.conj(x), y, strict=True)
        product = np.stack([products(*pair) for pair in pairs], axis=-1)
        return cosine(x, y, (product @ turn).real)

    pairs = zip(hits, c.rhythm, strict=True)
    product = np.sum([products(x, y) for x, y in pairs], axis=0)
    rhythm = cosine(hits, c.rhythm, product[..., None])
    both_lead = products(lead, c.lead)

    def voice(role: str) -> np.ndarray:
        """How much of a lead there is, and how much of it without a second one."""
        leads = products(lead, c.active) if role == "lead" else products(active, c.lead)
        free = 1 - both_lead / np.maximum(leads, 1e-9)
        return np.clip(free * np.minimum(1, leads / np.maximum(common, 1) / LEADS), 0, 1)

    return {
        "harmony": np.clip(0.5 + 0.5 * turned(vectors, c.harmony), 0, 1),
        "chords": np.clip(turned(_moving(q)[:, 0], _moving(c)), 0, 1),
        "rhythm": np.clip(rhythm, 0, 1),
        "voice": np.stack([voice(role) for role in roles])[..., None],
        "overlap": (common / active.sum())[..., None],
        "common": common[..., None],
    }


def _moving(p: _Pulses) -> np.ndarray:
    """`p.harmony` around each segment's mean: what its chords do, whatever its key."""
    mean = p.harmony.sum(axis=2, keepdims=True) / p.active.sum(axis=1)[:, None]
    return (p.harmony - mean * p.active).astype(np.complex64)


def _spectrum(query: Segment, candidates: list[Segment], *, role: str) -> np.ndarray:
    """How much of the lead stands out of the backing, 0..1 [candidates]: its share of the energy
    in each band, in which bands count by the root of the lead's level, both songs equally loud."""

    def power(segments: Sequence[Segment], which: str) -> np.ndarray:
        db = np.stack([getattr(x, which) - x.loudness_lufs for x in segments])
        return 10 ** (db / 10)

    pair = ([query], candidates) if role == "lead" else (candidates, [query])
    lead, backing = power(pair[0], "lead_spectrum"), power(pair[1], "backing_spectrum")
    share, weight = lead / (lead + backing + 1e-12), np.sqrt(lead)
    return (share * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12)


def _key(query: Segment, candidates: list[Segment]) -> np.ndarray:
    """Worth (`SHARED`) of the notes that both scales have in common, [candidates, shifts]."""
    worth = np.array([SHARED[int((SCALE & np.roll(SCALE, k)).sum())] for k in range(12)])
    scales = np.array([_major(x) for x in candidates])
    return worth[(scales[:, None] + SHIFTS - _major(query)) % 12]


def _major(segment: Segment) -> int:
    """The tonic of the major scale with the segment's notes."""
    return (segment.tonic + 3 * (segment.mode == "minor")) % 12
