import numpy as np
import pytest

from mashjax.audio.resample import cut, resample, to_channels, to_mono


@pytest.mark.parametrize("sr_out", [8000, 22050, 44100 * 2 ** (1 / 12), 192000])
def test_a_tone_keeps_its_pitch_and_level(sr_out):
    sr = 44100
    y = np.sin(2 * np.pi * 1000 * np.arange(sr) / sr).astype(np.float32)[None]
    z = resample(y, sr_in=sr, sr_out=sr_out)
    assert z.shape == (1, round(sr_out))
    t = np.arange(z.shape[1]) / sr_out
    middle = slice(z.shape[1] // 4, 3 * z.shape[1] // 4)
    error = z[0, middle] - np.sin(2 * np.pi * 1000 * t[middle])
    assert np.sqrt(np.mean(error**2)) < 1e-4  # -80 dB: soxr "HQ" promises -125


def test_what_lies_outside_of_a_sound_is_silence():
    y = np.arange(1, 6)
    for start, wanted in {
        -4: [0, 0, 0],
        -1: [0, 1, 2],
        1: [2, 3, 4],
        4: [5, 0, 0],
        9: [0, 0, 0],
    }.items():
        assert cut(y, start=start, samples=3).tolist() == wanted
    assert cut(np.stack([y, -y]), start=-1, samples=2).tolist() == [[0, 1], [0, -1]]
    assert cut(y, start=-1, samples=7).tolist() == [0, 1, 2, 3, 4, 5, 0]


def test_channels():
    y = np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)
    np.testing.assert_array_equal(to_mono(y), [2, 4])
    np.testing.assert_array_equal(to_channels(y[:1], channels=2), [[1, 2], [1, 2]])
    np.testing.assert_array_equal(to_channels(y, channels=3), [[1, 2], [3, 6], [0, 0]])
    np.testing.assert_array_equal(to_channels(y, channels=1), [[2, 4]])
