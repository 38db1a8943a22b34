import dataclasses

import numpy as np
import pytest

from mashjax.library.comparing import PARTS, WEIGHTS, compare
from mashjax.music.alignment import Limits
from mashjax.music.mashability import SHIFTS


def changed(segment, *, shift: int = 0, faster: float = 1.0, bars: slice = slice(None)):
    """The same music, `shift` semitones higher and `faster`, some of its bars."""
    beats = slice((bars.start or 0) * 4, None if bars.stop is None else bars.stop * 4)
    chroma = np.roll(segment.chroma[beats], shift, axis=1)
    return dataclasses.replace(
        segment,
        tonic=(segment.tonic + shift) % 12,
        tempo_bpm=segment.tempo_bpm * faster,
        bars=len(chroma) // 4,
        chroma=chroma,
        rhythm=segment.rhythm[beats],
        lead=segment.lead[beats],
    )


def one(query, candidate, **options):
    return compare(query, [candidate], **{"role": "lead", **options})[0]


@pytest.mark.parametrize("shift", [-5, -1, 0, 3, 6])
@pytest.mark.parametrize("faster", [0.93, 1.0, 1.08])
def test_the_transform_that_was_made_is_undone(segment, shift, faster):
    query = segment(1)
    match = one(query, changed(query, shift=shift, faster=faster))
    assert match.shift_semitones == pytest.approx(-shift)
    assert match.stretch_percent == pytest.approx(100 * (faster - 1))
    assert match.offset_bars == 0
    assert match.parts["harmony"] == pytest.approx(1, abs=1e-3)
    assert match.parts["chords"] == pytest.approx(1, abs=1e-3)
    assert match.parts["rhythm"] == pytest.approx(1, abs=1e-3)


def test_any_role_is_the_better_of_both(segment):
    """Candidates with and without a lead, against a query with half of one."""
    query = segment(4)
    leads = [dataclasses.replace(segment(k), lead=np.full(32, k % 2, np.float32)) for k in range(9)]
    both = [compare(query, leads, role=role) for role in ("lead", "backing")]
    better = [max(pair, key=lambda match: match.total) for pair in zip(*both, strict=True)]
    assert compare(query, leads, role="any") == better
    assert {match.role for match in better} == {"lead", "backing"}


@pytest.mark.parametrize(("first", "bars"), [(0, 4), (2, 4), (4, 4), (0, 8)])
def test_a_part_of_the_query_lies_where_it_was_cut(segment, first, bars):
    query = segment(2, bars=8)
    match = one(query, changed(query, shift=2, bars=slice(first, first + bars)))
    assert match.offset_bars == first
    assert match.parts["overlap"] == pytest.approx(bars / 8)


def test_a_longer_candidate_begins_before_the_query(segment):
    long = segment(3, bars=16)
    match = one(changed(long, bars=slice(8, 16)), long)
    assert match.offset_bars == -8
    assert match.parts["overlap"] == 1


@pytest.mark.parametrize("faster", [0.5, 2.0])
def test_a_tempo_may_be_doubled(segment, faster):
    """Every beat of the one is two of the other."""
    slow = segment(4, bars=8, tempo=70)
    fast = dataclasses.replace(
        slow,
        bars=16,
        tempo_bpm=141.0,
        chroma=np.repeat(slow.chroma, 2, axis=0),
        rhythm=np.repeat(slow.rhythm.reshape(-1, 4), 2, axis=1),
        lead=np.repeat(slow.lead, 2),
    )
    query, candidate = (slow, fast) if faster == 2 else (fast, slow)
    match = one(query, candidate)
    ratio = 141 / 140 if faster == 2 else 140 / 141
    assert match.stretch_percent == pytest.approx(100 * (ratio - 1))
    assert match.offset_bars == 0
    assert match.parts["harmony"] > 0.99 and match.parts["rhythm"] > 0.99


def test_none_where_the_rules_forbid_it(segment):
    query = segment(0, tempo=100)
    waltz = dataclasses.replace(segment(0), beats_per_bar=3)
    assert compare(query, [segment(1, tempo=150), waltz], role="lead") == [None, None]
    assert one(query, segment(1, tempo=111), limits=Limits(max_stretch=0.1)) is None
    assert one(query, segment(1, tempo=109), limits=Limits(max_stretch=0.1)) is not None


def test_shifts_keep_to_their_limit(segment):
    query = segment(5)
    match = one(query, changed(query, shift=3), limits=Limits(max_shift=1.0))
    assert abs(match.shift_semitones) <= 2


def test_only_the_shifts_that_are_allowed_are_compared(segment):
    query = segment(6)
    raised = changed(query, shift=2)
    allowed = np.zeros((3, len(SHIFTS)), bool)
    allowed[0, SHIFTS == 3] = True
    allowed[1, (SHIFTS == -2) | (SHIFTS == 0)] = True
    moved = compare(query, [raised] * 3, role="lead", shifts=allowed)
    assert [m and round(m.shift_semitones) for m in moved] == [3, -2, None]


def test_tuning_is_part_of_the_shift(segment):
    query = segment(6)
    candidate = dataclasses.replace(changed(query, shift=1), tuning_cents=-20.0)
    assert one(query, candidate).shift_semitones == pytest.approx(-0.8)


def test_a_voice_over_a_bed_is_not_a_bed_over_a_voice(segment):
    some = segment(7)
    voice = dataclasses.replace(some, lead=np.full(32, 0.9, np.float32))
    bed = dataclasses.replace(some, lead=np.full(32, 0.02, np.float32))
    there, back = one(voice, bed, role="lead"), one(voice, bed, role="backing")
    assert there.parts["voice"] > 0.9 and back.parts["voice"] < 0.1
    mirrored = one(bed, voice, role="backing")
    assert mirrored.parts["voice"] == pytest.approx(there.parts["voice"], abs=1e-6)
    assert mirrored.parts["spectrum"] == pytest.approx(there.parts["spectrum"], abs=1e-6)


def test_voices_that_take_turns_are_better_than_two_at_once(segment):
    first = np.repeat([0.8, 0.0] * 4, 4).astype(np.float32)
    some = segment(8)
    query = dataclasses.replace(some, lead=first)
    turns = dataclasses.replace(some, lead=np.roll(first, 4))
    assert one(query, turns).parts["voice"] > one(query, query).parts["voice"] + 0.5


def test_a_backing_in_other_bands_leaves_the_lead_audible(segment):
    some = segment(9)
    low, high = np.full((2, 23), -80, np.float32)
    low[:12], high[12:] = -20, -20
    query = dataclasses.replace(some, lead_spectrum=high)
    apart = one(query, dataclasses.replace(some, backing_spectrum=low))
    masked = one(query, dataclasses.replace(some, backing_spectrum=high))
    assert apart.parts["spectrum"] > 0.99
    assert masked.parts["spectrum"] == pytest.approx(0.5, abs=0.01)


def test_the_best_of_many_is_the_planted_one_and_totals_are_the_weighted_parts(segment):
    query = segment(10)
    others = [segment(seed, tempo=115 + seed % 11) for seed in range(100, 160)]
    planted = changed(query, shift=-2, faster=1.04)
    matches = compare(query, [*others, planted], role="backing")
    assert int(np.argmax([m.total for m in matches])) == 60
    for match in matches:
        assert set(match.parts) == set(PARTS)
        assert all(0 <= value <= 1 for value in match.parts.values())
        total = sum(WEIGHTS[part] * match.parts[part] for part in PARTS)
        assert match.total == pytest.approx(total / sum(WEIGHTS.values()), abs=1e-5)
    alone = compare(query, [planted], role="backing")[0]
    assert alone.total == pytest.approx(matches[-1].total, abs=1e-6)


def test_chords_that_stand_still_say_nothing_of_changes(segment):
    query = segment(13)
    drone = np.broadcast_to(query.chroma.mean(axis=0), query.chroma.shape)
    match = one(query, dataclasses.replace(query, chroma=drone))
    assert match.parts["harmony"] > 0.7 and match.parts["chords"] < 0.01


def test_weights_decide(segment):
    query = segment(11)
    loud = dataclasses.replace(segment(12), loudness_lufs=query.loudness_lufs)
    soft = dataclasses.replace(changed(query), loudness_lufs=query.loudness_lufs - 15)
    of_loudness = {part: float(part == "loudness") for part in PARTS}
    a, b = compare(query, [loud, soft], role="lead", weights=of_loudness)
    assert (a.total, b.total) == (1.0, pytest.approx(0.25))
