import numpy as np
import pytest

from mashjax.music.timbre import beat_parts

SR = 22050


def tone(hz, seconds, amplitude=1.0):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * SR)) / SR)


def test_level_is_in_decibels():
    """The song's highest level is 1, whatever it was: half of it is 6 dB less."""
    noise = np.random.default_rng(0).uniform(-1, 1, 8 * SR).astype(np.float32)
    y = np.concatenate([noise[: 4 * SR], noise[4 * SR :] / 2])
    song = beat_parts(0.3 * y, sr=SR)
    difference = song.timbre[4:12].mean(axis=0) - song.timbre[20:28].mean(axis=0)
    assert difference[0] == pytest.approx(6.02, abs=0.2) and np.abs(difference[1:]).max() < 2
    np.testing.assert_allclose(song.timbre, beat_parts(y, sr=SR).timbre, atol=1e-3)
    assert song.timbre[:, 0].min() > 0 and song.timbre[:, 0].max() < 60


def test_brightness_is_another_shape():
    low, high = (beat_parts(tone(hz, 4).astype(np.float32), sr=SR) for hz in (200, 4000))
    assert low.timbre[8, 1] > 20 and high.timbre[8, 1] < -5
    assert low.chroma[8].argmax() == 7 and (low.chroma[8] <= 1).all()


def test_silence_is_zero_and_a_moment_has_no_parts():
    silence = beat_parts(np.zeros(3 * SR, np.float32), sr=SR)
    assert np.diff(silence.starts) == pytest.approx(0.25)
    assert not silence.chroma.any() and not silence.timbre.any()
    for n in (0, 100, SR // 2):
        moment = beat_parts(np.zeros(n, np.float32), sr=SR)
        assert moment.chroma.shape == moment.timbre.shape == (0, 12) and len(moment.starts) == 0


@pytest.mark.parametrize(("tempo", "parts"), [(62, 4), (124, 2), (180, 2), (210, 1)])
def test_parts_last_about_a_quarter_of_a_second(tempo, parts):
    """Clicks whose tempo is taken for what it is, or for its double or half."""
    y = np.zeros(16 * SR, np.float32)
    for start in np.arange(0, 15.9, 60 / tempo):
        click = np.exp(-np.arange(1000) / 100) * np.sin(np.arange(1000))
        y[int(start * SR) :][:1000] += click
    lasts = np.median(np.diff(beat_parts(y, sr=SR).starts))
    assert lasts == pytest.approx(60 / tempo / parts, rel=0.02)
