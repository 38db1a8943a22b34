import numpy as np
import pytest

from mashjax.audio.stretch import warp
from mashjax.music import partials, subsequence


def tones(*pitches: int, seconds: float = 0.7) -> np.ndarray:
    """One after the other, MIDI `pitches`, eight partials each, [samples]."""
    t = np.arange(round(seconds * partials.SR)) / partials.SR
    hz = [440 * 2 ** ((p - 69) / 12) for p in pitches]
    notes = [sum(np.sin(2 * np.pi * k * f * t) / k for k in range(1, 9)) for f in hz]
    return np.concatenate([y * np.exp(-t / 0.3) for y in notes]).astype(np.float32)


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    return float((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()))


def test_partials_stand_out_at_their_semitone_whatever_the_gain():
    pitches = (57, 64, 60, 69, 55, 62)
    found = partials.partials(tones(*pitches))
    middle = ((np.arange(len(pitches)) + 0.3) * 0.7 * partials.RATE).round().astype(int)
    bands = np.array(pitches) - 36  # the lowest band is C2
    assert np.all(found[bands, middle] > 2)  # of the band's standard deviation
    loud = partials.partials(100 * tones(*pitches))
    np.testing.assert_allclose(loud, found, atol=0.05)  # rounding, where nothing sounds


def test_partials_of_a_shifted_song_are_its_partials_shifted():
    y = tones(*np.random.default_rng(0).integers(50, 75, 20))
    line = np.array([0.0, len(y) / partials.SR])
    up = warp(y[None], sr=partials.SR, source_times=line, output_times=line, semitones=3.0)[0]
    x = partials.partials(y)
    shifted = partials.partials(up)[:, : x.shape[1]]
    same = cosine(partials.transposed(x, semitones=3), shifted)
    assert same > 0.7
    assert max(cosine(partials.transposed(x, semitones=s), shifted) for s in (0, 2, 4)) < same / 2


def test_silence_has_no_partials():
    assert not partials.partials(np.zeros(partials.SR, np.float32)).any()


def test_sampled_is_linear_between_frames_and_zero_outside():
    x = np.array([[1.0, 3.0, 2.0]], np.float32)
    at = np.array([-0.5, 0.0, 0.5, 1.75, 2.0, 2.5])
    np.testing.assert_allclose(partials.sampled(x, at=at), [[0, 1, 2, 2.25, 2, 0]])


@pytest.mark.parametrize(("semitones", "lag"), [(0, 40), (-4, 40), (5, -200)])
def test_match_finds_lag_and_shift(semitones, lag):
    rng = np.random.default_rng(1)
    y = rng.standard_normal((84, 500)).astype(np.float32)
    moved = np.zeros((84, 300), np.float32)
    inside = np.arange(300) - lag
    known = (inside >= 0) & (inside < 500)
    moved[:, known] = partials.transposed(y, semitones=semitones)[:, inside[known]]
    scores, lags = subsequence.match(moved[None], y, shifts=subsequence.SHIFTS)
    shift, at = np.unravel_index(scores[0].argmax(), scores[0].shape)
    assert (subsequence.SHIFTS[shift], lags[at]) == (semitones, lag)
    assert np.sort(scores[0].ravel())[-2] < 0.2 * scores.max()


def test_path_keeps_the_longest_piece_between_jumps():
    rng = np.random.default_rng(2)
    y = rng.standard_normal((84, 1200)).astype(np.float32)
    x = np.concatenate([y[:, 100:250], y[:, 600:900]], axis=1)
    x = x + rng.standard_normal(x.shape).astype(np.float32)
    middle, places = subsequence.path(x, y, ratio=1.0)
    source, weight = places[0]
    np.testing.assert_allclose(source - middle, 450 / subsequence.RATE, atol=1e-6)
    assert middle[0] == pytest.approx(150 / subsequence.RATE, abs=subsequence.PATH_SECONDS / 2 + 1)
    assert weight.min() > 0


def test_path_names_the_places_where_a_song_repeats_itself():
    rng = np.random.default_rng(3)
    verse = rng.standard_normal((84, 300)).astype(np.float32)
    y = np.concatenate([verse, rng.standard_normal((84, 200)), verse], axis=1).astype(np.float32)
    middle, places = subsequence.path(verse[:, 50:250], y, ratio=1.0)
    starts = sorted((source - middle).mean() * subsequence.RATE for source, _ in places)
    np.testing.assert_allclose(starts, [50, 550], atol=1e-6)
