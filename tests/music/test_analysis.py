import numpy as np
import pytest

from mashjax.music.analysis import analyse

SR = 22050


@pytest.mark.parametrize("tempo", [84.0, 97.3, 120.0, 131.7])
def test_click_track_has_its_tempo_and_its_beats(make_clicks, tempo):
    truth = np.arange(0.7, 19.5, 60 / tempo)
    a = analyse(make_clicks(truth, seconds=20), sr=SR)
    folds = np.log2(a.tempo_bpm / tempo)
    assert abs(folds - round(folds)) < 0.001
    nearest = np.abs(truth[1:-1, None] - a.beats).min(axis=1)
    if round(folds) >= 0:
        assert np.max(nearest) < 0.005


def test_beats_cover_the_whole_song(make_song):
    y, _, _ = make_song(tempo=100, seconds=20)
    a = analyse(y, sr=SR)
    period = 60 / a.tempo_bpm
    assert a.steady
    assert 0 <= a.beats[0] < period + 0.01
    assert 20 - period - 0.01 < a.beats[-1] < 20
    assert np.ptp(np.diff(a.beats)) < 1e-6


@pytest.mark.parametrize("meter", [3, 4])
@pytest.mark.parametrize("start", [0.2, 1.1])
def test_bars_begin_where_chords_change(make_song, meter, start):
    y, _, downbeats = make_song(tempo=110, start=start, meter=meter)
    a = analyse(y, sr=SR)
    assert a.beats_per_bar == meter
    assert np.abs(downbeats[1:-1, None] - a.downbeats).min(axis=1).max() < 0.02
    assert set(a.downbeats) <= set(a.beats)


@pytest.mark.parametrize("sr", [8000, 11025, 44100, 96000, 192000])
def test_sample_rate_does_not_matter(make_song, sr):
    y, _, downbeats = make_song(tempo=96, seconds=12, sr=sr)
    a = analyse(y, sr=sr)
    assert abs(a.seconds - 12) < 0.001
    assert a.tempo_bpm == pytest.approx(96, rel=0.003)
    assert abs(a.tuning_cents) < 2
    assert np.abs(downbeats[0] - a.downbeats).min() < 0.02


@pytest.mark.parametrize("cents", [-41.0, -12.0, 0.0, 30.0])
def test_tuning_is_found_to_two_cents(make_song, cents):
    y, _, _ = make_song(tempo=104, seconds=12, cents=cents)
    assert analyse(y, sr=SR).tuning_cents == pytest.approx(cents, abs=2)


@pytest.mark.parametrize(("tonic", "name"), [(0, "C"), (3, "D#"), (6, "F#"), (10, "A#")])
def test_key_of_a_cadence(make_song, tonic, name):
    y, _, _ = make_song(tempo=104, seconds=12, tonic=tonic)
    key = analyse(y, sr=SR).key
    assert (key.tonic, key.mode) == (name, "major")
    assert key.confidence > 0.2


def test_a_drifting_song_is_not_steady_and_its_beats_follow(make_clicks):
    intervals = 0.55 + 0.06 * np.sin(np.arange(48) / 5)
    truth = 0.5 + np.concatenate([[0], np.cumsum(intervals)])
    a = analyse(make_clicks(truth, seconds=truth[-1] + 1), sr=SR)
    assert not a.steady
    nearest = np.abs(truth[2:-2, None] - a.beats).min(axis=1)
    assert np.median(nearest) < 0.012
    assert np.quantile(nearest, 0.9) < 0.04


def silence(n):
    return np.zeros(n, np.float32)


def noise(n):
    return 0.2 * np.random.default_rng(3).standard_normal(n).astype(np.float32)


def drone(n):
    t = np.arange(n) / SR
    return (0.2 * np.sin(2 * np.pi * 110 * t) + 0.1 * np.sin(2 * np.pi * 165 * t)).astype(
        np.float32
    )


@pytest.mark.parametrize("sound", [silence, noise, drone])
@pytest.mark.parametrize("seconds", [2, 15])
def test_no_beat_is_said_to_be_none(sound, seconds):
    a = analyse(sound(seconds * SR), sr=SR)
    assert a.tempo_bpm is None
    assert len(a.beats) == len(a.downbeats) == 0
    assert a.beat_confidence < 0.2


def test_silence_has_no_key():
    assert analyse(silence(5 * SR), sr=SR).key.confidence == 0


@pytest.mark.parametrize("seconds", [2.0, 2.5, 4.0])
def test_short_music_is_analysed(make_song, seconds):
    y, _, _ = make_song(tempo=120, seconds=seconds, start=0.0)
    a = analyse(y, sr=SR)
    assert a.seconds == pytest.approx(seconds, abs=0.001)
    assert np.all(np.diff(a.cells) > 0)


def test_loudness_does_not_matter(make_song):
    y, _, _ = make_song(tempo=117, seconds=12)
    loud, quiet = analyse(y, sr=SR), analyse(0.003 * y, sr=SR)
    assert quiet.tempo_bpm == pytest.approx(loud.tempo_bpm, rel=1e-4)
    assert quiet.tuning_cents == pytest.approx(loud.tuning_cents, abs=0.2)
