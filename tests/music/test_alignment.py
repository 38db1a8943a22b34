import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashjax.errors import UserError
from mashjax.music.alignment import Limits, align
from mashjax.music.analysis import Analysis, Key, analyse

SR = 22050
SEVEN = np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1], float)


def made_analysis(
    *,
    tempo: float | None = 110.0,
    seconds: float = 40.0,
    start: float = 0.3,
    tonic: int = 0,
    cents: float = 0.0,
    drift: float = 0.0,
    voice: float = 0.5,
    seed: int = 0,
) -> Analysis:
    """An analysis without its song: bars of four, chords I IV V I on `tonic`."""
    rng = np.random.default_rng(seed)
    if tempo is None:
        beats = np.zeros(0)
        cells = np.arange(0, seconds, 0.5)
    else:
        period = 60 / tempo
        start = start % period
        n = int((seconds - start) / period)
        interval = period * (1 + drift * np.sin(np.arange(n) / 7))
        beats = start + np.concatenate([[0.0], np.cumsum(interval)])
        beats = beats[beats < seconds]
        cells = beats
    n = len(cells) - 1
    chords = np.array([[0, 4, 7], [5, 9, 0], [7, 11, 2], [0, 4, 7]])
    chroma = np.zeros((n, 12))
    for k in range(n):
        chroma[k, (chords[k // 4 % 4] + tonic) % 12] = 1
    likelihood = np.zeros((2, 12))
    likelihood[0, tonic] = 1
    return Analysis(
        seconds=seconds,
        tempo_bpm=tempo,
        beats=beats,
        downbeats=beats[::4],
        beats_per_bar=4,
        steady=drift == 0,
        beat_confidence=0.8 if tempo else 0.0,
        key=Key(tonic="C", mode="major", confidence=0.8),
        key_likelihood=likelihood,
        tuning_cents=cents,
        cells=cells,
        chroma=chroma + 0.01,
        rhythm=rng.random((n, 8)),
        spectrum=0.5 + rng.random((n, 24)),
        voice=voice,
    )


songs = st.builds(
    made_analysis,
    tempo=st.one_of(st.none(), st.floats(45, 200)),
    seconds=st.floats(8, 120),
    start=st.floats(0, 1.5),
    tonic=st.integers(0, 11),
    cents=st.floats(-50, 50),
    drift=st.sampled_from([0.0, 0.0, 0.05]),
    seed=st.integers(0, 3),
)


@settings(max_examples=80, deadline=None)
@given(a=songs, b=songs, most=st.floats(0.0, 0.2), shift=st.floats(0, 4))
def test_time_maps_run_forward_and_limits_hold(a, b, most, shift):
    limits = Limits(max_stretch=most, max_shift=shift)
    try:
        found = align(a, b, limits=limits)
    except UserError:
        return
    for song, (source, output), stretch, start in zip(
        (a, b), found.time_maps, found.stretch, found.start_seconds, strict=True
    ):
        assert len(source) == len(output) >= 2
        assert np.all(np.diff(source) > 0)
        assert np.all(np.diff(output) > 0)
        assert output[0] == 0
        assert output[-1] == pytest.approx(found.seconds)
        assert source[0] == start >= 0
        assert source[-1] <= song.seconds + 1e-6
        assert stretch == pytest.approx(found.seconds / (source[-1] - source[0]))
    if a.steady and b.steady:
        one, two = found.stretch
        assert max(one / two, two / one) - 1 <= most + 0.002
        assert all(len(source) == 2 for source, _ in found.time_maps)
    assert max(abs(s) for s in found.shift_semitones) <= shift + 1e-9
    assert found.seconds >= 2
    assert all(0 <= value <= 1 for value in found.mashability.values())
    assert found.why
    assert "\n" not in found.why


@settings(max_examples=80, deadline=None)
@given(
    a=songs,
    b=songs,
    one=st.one_of(st.none(), st.floats(0, 20)),
    two=st.one_of(st.none(), st.floats(0, 20)),
    duration=st.one_of(st.none(), st.floats(2, 15)),
)
def test_starts_and_duration_are_honoured(a, b, one, two, duration):
    try:
        found = align(a, b, start1=one, start2=two, duration=duration)
    except UserError:
        return
    both = one is not None and two is not None
    for song, asked, got in ((a, one, found.start_seconds[0]), (b, two, found.start_seconds[1])):
        if asked is None:
            continue
        beat = 60 / song.tempo_bpm if found.tempo_bpm else 0.0
        slack = (2.2 if both else 1.1) * beat + 1e-6
        last = song.beats[-1] if found.tempo_bpm else asked
        assert abs(got - asked) <= slack + max(0.0, asked - last)
    if duration is not None:
        assert found.seconds <= duration + 1e-9


def beats_in_output(song: Analysis, time_map: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    source, output = time_map
    inside = (song.beats >= source[0] - 1e-6) & (song.beats <= source[-1] + 1e-6)
    return np.interp(song.beats[inside], source, output)


@pytest.mark.parametrize(
    ("tempos", "fewer"), [((100, 109), 1), ((70, 140), 2), ((136, 71), 2), ((50, 198), 4)]
)
@pytest.mark.parametrize("drift", [0.0, 0.04])
def test_beats_coincide(tempos, fewer, drift):
    a = made_analysis(tempo=tempos[0], drift=drift)
    b = made_analysis(tempo=tempos[1], start=1.1)
    found = align(a, b)
    one, two = (beats_in_output(s, m) for s, m in zip((a, b), found.time_maps, strict=True))
    few, many = (one, two) if len(one) < len(two) else (two, one)
    assert np.abs(few[:, None] - many).min(axis=1).max() < 0.001
    assert len(many) / len(few) == pytest.approx(fewer, rel=0.2)


def test_the_stretch_is_divided_evenly():
    found = align(made_analysis(tempo=100), made_analysis(tempo=110))
    assert found.stretch[0] == pytest.approx(np.sqrt(100 / 110), rel=1e-3)
    assert found.stretch[1] == pytest.approx(np.sqrt(110 / 100), rel=1e-3)
    assert found.tempo_bpm == pytest.approx(np.sqrt(100 * 110), rel=1e-3)


def test_tempos_too_far_apart_are_said_and_left():
    found = align(made_analysis(tempo=100), made_analysis(tempo=140))
    assert found.stretch == (1, 1)
    assert found.tempo_bpm is None
    assert found.why.startswith(
        "tempos 100 and 140 are too far apart to stretch: mixed without stretching "
        "(max_stretch=0.40 would allow it)"
    )


def test_no_beat_is_said_and_nothing_is_stretched():
    found = align(made_analysis(tempo=None), made_analysis(tempo=100), lead="1")
    assert found.stretch == (1, 1)
    assert found.start_seconds == (0, 0)
    assert "song 1 has no beat" in found.why


@pytest.mark.parametrize("tonic", range(12))
def test_every_key_meets_the_other_with_small_shifts(tonic):
    found = align(made_analysis(tonic=tonic), made_analysis(tonic=0, seed=1))
    one, two = found.shift_semitones
    moved = np.roll(SEVEN, round(tonic + one - two))
    assert (moved * SEVEN).sum() >= 6
    assert abs(one) <= 3
    assert abs(two) <= 3


@pytest.mark.parametrize(("first", "second"), [(0, 0), (30, -15), (-45, 40), (48, -48)])
def test_tuning_differences_are_removed(first, second):
    found = align(made_analysis(cents=first), made_analysis(cents=second))
    one, two = found.shift_semitones
    apart = (one + first / 100) - (two + second / 100)
    assert abs(apart - round(apart)) < 1e-6
    if first == second == 0:
        assert found.shift_semitones == (0, 0)


def test_the_voice_leads():
    quiet, singing = made_analysis(voice=0.1), made_analysis(voice=0.9, seed=1)
    assert align(quiet, singing).lead == 2
    assert align(singing, quiet).lead == 1
    assert align(singing, quiet, lead="2").lead == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start1": 41.0}, "start1 is 41 s, song 1 is 40.0 s long"),
        ({"start2": -1.0}, "start2 is -1 s"),
        ({"start2": 39.0}, "start2 at 39 s leaves 1.0 s"),
        ({"duration": 1.0}, "duration is 1 s"),
        ({"lead": "3"}, "say auto, 1 or 2"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(UserError, match=message):
        align(made_analysis(), made_analysis(), **arguments)


def test_silence_is_not_mixed_in():
    a, b = made_analysis(), made_analysis(seed=1)
    silent = a.spectrum.copy()
    silent[:16] = 0
    found = align(dataclasses.replace(a, spectrum=silent), b)
    assert found.start_seconds[0] >= a.beats[16] - 1e-6


@pytest.mark.parametrize("seed", [1, 2])
def test_two_songs_from_sound_to_one_grid(make_song, seed):
    rng = np.random.default_rng(seed)
    tempo, other = 96.0, 96.0 * float(rng.uniform(0.92, 1.08))
    first = make_song(tempo=tempo, start=float(rng.uniform(0, 1.5)), tonic=2)
    second = make_song(tempo=other, start=float(rng.uniform(0, 1.5)), tonic=5, cents=-22)
    found = align(analyse(first[0], sr=SR), analyse(second[0], sr=SR))
    for marks, tolerance in ((1, 0.008), (2, 0.008)):
        one, two = (
            np.interp(song[marks], *time_map)[
                (song[marks] > time_map[0][0] - 0.02) & (song[marks] < time_map[0][-1])
            ]
            for song, time_map in zip((first, second), found.time_maps, strict=True)
        )
        assert np.abs(one[:-1, None] - two).min(axis=1).max() < tolerance
    apart = found.shift_semitones[0] - found.shift_semitones[1] + 0.22
    assert abs(apart - round(apart)) < 0.03
