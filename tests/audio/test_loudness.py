import numpy as np
import pytest

from mashjax.audio.loudness import limit, loudness, master, match, true_peak

SR = 48000


def sine(hz: float, amplitude: float, seconds: float = 5.0, phase: float = 0.0) -> np.ndarray:
    t = np.arange(round(seconds * SR)) / SR
    return (amplitude * np.sin(2 * np.pi * hz * t + phase)).astype(np.float32)[None]


def test_the_standards_own_tone():
    # ITU-R BS.1770-4: a 997 Hz sine at 0 dBFS in one front channel is -3.01 LKFS.
    assert loudness(sine(997, 1.0), sr=SR) == pytest.approx(-3.01, abs=0.05)
    assert loudness(np.repeat(sine(997, 1.0), 2, axis=0), sr=SR) == pytest.approx(0, abs=0.05)
    assert loudness(np.zeros((1, SR), np.float32), sr=SR) == -np.inf
    surround = np.concatenate([np.zeros((3, 5 * SR)), sine(50, 1.0), np.zeros((2, 5 * SR))])
    assert loudness(surround, sr=SR) == -np.inf  # the fourth channel of six is low frequency


def test_a_peak_between_samples_is_found():
    # A quarter of the sample rate at 45 degrees: every sample is 0.707 of the wave's peak.
    y = sine(SR / 4, 1.0, phase=np.pi / 4)
    assert 20 * np.log10(np.abs(y).max()) == pytest.approx(-3.01, abs=0.01)
    # The tone starts at full level at once; what rings there is part of the true peak.
    assert true_peak(y * np.hanning(y.shape[1]), sr=SR) == pytest.approx(0, abs=0.05)


def test_the_peak_does_not_depend_on_blocks():
    y = 0.1 * np.random.default_rng(0).normal(size=(2, (1 << 19) + 1000)).astype(np.float32)
    spike = np.zeros_like(y)
    spike[0, (1 << 19) - 1 : (1 << 19) + 1] = 0.9  # on the seam
    alone = np.zeros((1, 1000), np.float32)
    alone[0, 499:501] = 0.9
    assert true_peak(spike, sr=SR) == pytest.approx(true_peak(alone, sr=SR), abs=1e-3)


@pytest.mark.parametrize("sr", [8000, 44100, 192000])
def test_master_reaches_loudness_and_holds_the_ceiling(sr):
    rng = np.random.default_rng(1)
    t = np.arange(6 * sr) / sr
    beats = np.exp(-8 * (t % 0.5)) * rng.normal(size=t.shape)  # peaky, like drums
    y = np.stack([beats, 0.5 * beats]).astype(np.float32) * 0.05
    z = master(y, sr=sr)
    assert loudness(z.y, sr=sr) == pytest.approx(-14, abs=0.2)
    assert true_peak(z.y, sr=sr) <= -1
    assert np.isfinite(z.y).all()
    assert z.lufs == pytest.approx(loudness(z.y, sr=sr), abs=1e-6)
    assert z.true_peak == pytest.approx(true_peak(z.y, sr=sr), abs=1e-3)


def test_the_limiter_leaves_quiet_material_alone():
    y = sine(440, 0.5)
    z, peak = limit(y, sr=SR)
    assert z is y and peak == pytest.approx(true_peak(y, sr=SR), abs=1e-6)


def test_the_limiter_holds_the_ceiling_for_bursts():
    y = sine(200, 0.2)
    y[0, SR] = 4.0  # one sample, 20 dB above the rest
    z, _ = limit(y, sr=SR)
    assert true_peak(z, sr=SR) <= -1
    far = np.abs(np.arange(y.shape[1]) - SR) > 0.05 * SR
    np.testing.assert_allclose(z[0, far], y[0, far], rtol=2e-3)  # only 41 ms around are touched


def test_match():
    y, gain = match(sine(997, 0.1), sr=SR, lufs=-20)
    assert loudness(y, sr=SR) == pytest.approx(-20, abs=0.01)
    silence, one = match(np.zeros((1, SR), np.float32), sr=SR, lufs=-20)
    assert one == 1 and not silence.any()
    assert gain == pytest.approx(10 ** ((-20 + 23.01) / 20), rel=0.01)
