import jax.numpy as jnp
import numpy as np
import pytest

from mashjax.audio.griffin_lim import griffin_lim
from mashjax.audio.stft import stft

SR, SIZES = 16000, {"n_fft": 1024, "hop_length": 160}


def away_db(found, wanted):
    """How far a sound's magnitudes are from some others."""
    off = np.linalg.norm(np.abs(stft(found, **SIZES)) - wanted) / np.linalg.norm(wanted)
    return 20 * np.log10(off)


def test_a_sound_of_given_magnitudes():
    """Of a decaying chord, which is heard at its own pitches and dies away as it did."""
    t = np.arange(8000) / SR
    hz = (220.0, 277.2, 329.6)
    y = sum(np.exp(-6 * t) * np.sin(2 * np.pi * f * t) for f in hz).astype(np.float32)
    wanted = np.abs(np.asarray(stft(y, **SIZES)))
    few, many = (
        np.asarray(griffin_lim(jnp.asarray(wanted), length=8000, iterations=n, **SIZES))
        for n in (0, 64)
    )
    assert away_db(many, wanted) < -20 < away_db(few, wanted) - 8
    size = np.abs(np.fft.rfft(many * np.hanning(8000), 65536))
    for f in hz:
        near = slice(round((f - 20) * 65536 / SR), round((f + 20) * 65536 / SR))
        found = (near.start + size[near].argmax()) * SR / 65536
        assert 1200 * np.log2(found / f) == pytest.approx(0, abs=5)
    fall = np.linalg.norm(many[4000:6000]) / np.linalg.norm(many[2000:4000])
    assert fall == pytest.approx(np.exp(-6 * 2000 / SR), rel=0.1)


def test_silence_stays_silent_and_batches_do_not_mix():
    t = np.arange(4000) / SR
    y = np.stack([np.zeros(4000), np.sin(2 * np.pi * 440 * t)]).astype(np.float32)
    wanted = jnp.abs(stft(y, **SIZES))
    both = np.asarray(griffin_lim(wanted, length=4000, iterations=4, **SIZES))
    alone = np.asarray(griffin_lim(wanted[1], length=4000, iterations=4, **SIZES))
    assert not both[0].any()
    np.testing.assert_allclose(both[1], alone, atol=1e-5)
