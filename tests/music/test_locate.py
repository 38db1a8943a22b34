import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashjax.audio.stretch import warp
from mashjax.errors import UserError
from mashjax.music.locate import THRESHOLD, Location, locate

SR = 22050
# What a labelled mashup must hold: a beat is heard double from 50 ms on, and 0.2 % of a
# minute are 120 ms at its ends when its middle is right.
START_SECONDS, RATIO = 0.05, 0.002


def made_song(seed: int, *, seconds: float = 40.0) -> np.ndarray:
    """Lead and backing [2, samples]: a melody, and chords over drums, that never repeat."""
    rng = np.random.default_rng(seed)
    beat = 60 / rng.uniform(80, 130)
    lead, backing = song = np.zeros((2, round(seconds * SR) + 4 * SR))
    scale = 60 + rng.integers(12) + np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16])
    for k in range(int(seconds / beat)):
        length = float(rng.choice([0.5, 1.0, 1.5])) * beat
        add(lead, k * beat, note(rng.choice(scale), length, partials=10))
        add(backing, k * beat, 0.5 * drum(rng, low=k % 2 == 0))
        if k % 2 == 0:
            degree = rng.integers(5)
            for pitch in scale[[degree, degree + 2, degree + 4]]:
                add(backing, k * beat, 0.5 * note(pitch - 12, 2 * beat, partials=5))
    return song[:, : round(seconds * SR)].astype(np.float32)


def add(y: np.ndarray, when: float, sound: np.ndarray) -> None:
    i = round(when * SR)
    y[i : i + len(sound)] += sound


def note(pitch: int, seconds: float, *, partials: int) -> np.ndarray:
    t = np.arange(round(seconds * SR)) / SR
    hz = 440 * 2 ** ((pitch - 69) / 12)
    y = sum(np.sin(2 * np.pi * k * hz * t) / k for k in range(1, partials + 1) if k * hz < 8000)
    return y * np.minimum(1, t / 0.01) * np.exp(-t / 0.5) * np.clip((seconds - t) / 0.02, 0, 1)


def drum(rng: np.random.Generator, *, low: bool) -> np.ndarray:
    t = np.arange(round(0.15 * SR)) / SR
    if low:
        return 3 * np.sin(2 * np.pi * 60 * t) * np.exp(-t / 0.05)
    return rng.standard_normal(len(t)) * np.exp(-t / 0.03)


@dataclasses.dataclass(frozen=True)
class Truth:
    ratio: float
    semitones: int
    start: float

    def render(self, y: np.ndarray, *, seconds: float) -> np.ndarray:
        output = np.array([0.0, seconds])
        return play(y, (output - self.start) / self.ratio, output, semitones=self.semitones)


def play(y, source: np.ndarray, output: np.ndarray, *, semitones: float) -> np.ndarray:
    """`y` [samples] along a time map, at 0 dB: 1 is the root mean square where it sounds."""
    z = warp(y[None], sr=SR, source_times=source, output_times=output, semitones=semitones)[0]
    return z / np.sqrt(np.mean(z[z != 0] ** 2))


@pytest.fixture(scope="module")
def one() -> np.ndarray:
    return made_song(1)


@pytest.fixture(scope="module")
def two() -> np.ndarray:
    return made_song(2)


def assert_found(at: Location, truth: Truth) -> None:
    assert at.semitones == truth.semitones
    assert at.ratio == pytest.approx(truth.ratio, rel=RATIO)
    assert at.start == pytest.approx(truth.start, abs=START_SECONDS)
    mapped = truth.start + truth.ratio * at.source_times
    np.testing.assert_allclose(at.output_times, mapped, atol=START_SECONDS)
    assert at.confidence > 0.8  # the threshold is 0.5


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Truth(0.93, -2, -8.0), Truth(1.08, 3, -3.0)),
        (Truth(1.0, 0, 0.0), Truth(1.0, 1, -12.0)),
        (Truth(0.76, -6, -4.0), Truth(1.32, 5, -20.0)),  # the ends of what is searched
    ],
)
def test_both_songs_of_a_mashup_are_found(one, two, a, b):
    mashup = a.render(one.sum(axis=0), seconds=25.0) + b.render(two.sum(axis=0), seconds=25.0)
    for song, truth in ((one, a), (two, b)):
        at = locate(mashup, song.sum(axis=0), sr=SR)
        assert_found(at, truth)
        assert at.output_times[0] == pytest.approx(max(truth.start, 0.0), abs=1.0)
        assert at.output_times[-1] == pytest.approx(25.0, abs=1.0)
        assert len(at.output_times) == 2  # one ratio throughout: the map is a line


def test_a_lead_alone_is_found_by_its_whole_song(one, two):
    a, b = Truth(1.05, 2, -9.0), Truth(0.97, 0, -5.0)
    mashup = a.render(one[0], seconds=25.0) + b.render(two[1], seconds=25.0)
    assert_found(locate(mashup, one.sum(axis=0), sr=SR), a)
    assert_found(locate(mashup, two.sum(axis=0), sr=SR), b)


def test_a_song_that_is_not_in_it_is_rejected_in_one_line(one, two):
    mashup = one.sum(axis=0) + two.sum(axis=0)
    with pytest.raises(UserError, match="not heard in the mashup") as caught:
        locate(mashup, made_song(3).sum(axis=0), sr=SR)
    assert "\n" not in str(caught.value)
    doubtful = locate(mashup, made_song(3).sum(axis=0), sr=SR, threshold=0.0)
    assert doubtful.confidence < THRESHOLD / 2


def test_the_map_covers_where_the_original_is_heard(one, two):
    """It enters after 12 s, and ends 3 s before the mashup does."""
    truth = Truth(1.0, -1, -3.0)
    part = truth.render(one.sum(axis=0), seconds=40.0)
    part[: 12 * SR] = 0
    mashup = part + Truth(1.0, 0, 0.0).render(two.sum(axis=0), seconds=40.0)
    at = locate(mashup, one.sum(axis=0), sr=SR)
    assert_found(at, truth)
    assert at.output_times[0] == pytest.approx(12.0, abs=1.5)  # it may begin on a rest
    assert at.output_times[-1] == pytest.approx(37.0, abs=0.1)


def test_after_a_cut_the_longest_piece_is_located(one, two):
    """10 s from 2 s on, then 20 s from 18 s on."""
    y = one.sum(axis=0)
    part = np.concatenate([y[2 * SR : 12 * SR], y[18 * SR : 38 * SR]])
    mashup = part / part.std() + Truth(1.0, 3, 0.0).render(two.sum(axis=0), seconds=30.0)
    at = locate(mashup, y, sr=SR)
    assert_found(at, Truth(1.0, 0, -8.0))
    assert at.output_times[0] == pytest.approx(10.0, abs=1.5)
    assert at.output_times[-1] == pytest.approx(30.0, abs=0.1)


def test_the_map_follows_a_drifting_tempo(one, two):
    """2 % faster at first, then as much slower."""
    output = np.arange(0.0, 31.0)
    source = 4.0 + output + 0.1 * np.sin(2 * np.pi * output / 30)
    mashup = play(one.sum(axis=0), source, output, semitones=0)
    mashup += Truth(1.0, 2, -2.0).render(two.sum(axis=0), seconds=30.0)
    at = locate(mashup, one.sum(axis=0), sr=SR)
    error = np.abs(at.source_times - np.interp(at.output_times, output, source))
    assert error[1:-1].max() < 0.02
    assert error[[0, -1]].max() < 0.1  # 4 s from the middle of the nearest window
    a_line = np.polyval(np.polyfit(output, source, 1), output) - source
    assert np.abs(a_line).max() > 0.04


def test_the_sample_rate_does_not_matter(one, two):
    mashup = one.sum(axis=0) + two.sum(axis=0)
    slow = locate(mashup, one.sum(axis=0), sr=SR)
    twice = [np.repeat(y, 2) for y in (mashup, one.sum(axis=0))]  # with images above 11 kHz
    fast = locate(*twice, sr=2 * SR)
    assert fast.start == pytest.approx(slow.start, abs=0.001)
    assert fast.ratio == pytest.approx(slow.ratio, rel=1e-4)


@settings(max_examples=4, deadline=None)
@given(start=st.floats(0.0, 20.0), gain=st.floats(1e-3, 1e3))
def test_an_excerpt_lies_where_it_was_cut(one, start, gain):
    y = one.sum(axis=0)
    first = round(start * SR)
    at = locate(gain * y[first : first + 10 * SR], y, sr=SR)
    middle = first / SR + 5.0
    assert at.start + at.ratio * middle == pytest.approx(5.0, abs=0.002)  # nothing else sounds
    assert at.ratio == pytest.approx(1.0, abs=3e-4)


@pytest.mark.parametrize("name", ["mashup", "original"])
def test_too_short_and_silent_recordings_are_named(one, name):
    y = one.sum(axis=0)
    short = {"mashup": y, "original": y} | {name: y[: 5 * SR]}
    with pytest.raises(UserError, match=f"the {name} lasts 5.0 s: .* at least 8 s"):
        locate(**short, sr=SR)
    silent = {"mashup": y, "original": y} | {name: 0 * y}
    with pytest.raises(UserError, match=f"the {name} is silent"):
        locate(**silent, sr=SR)
