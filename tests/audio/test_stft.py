"""The transform against librosa's, and there and back."""

import functools

import jax
import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashjax.audio.stft import StftSettings, istft, stft

SETTINGS = [(2048, 512), (4500, 1125), (400, 160), (256, 256 // 8), (255, 64)]


@functools.cache
def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(samples).uniform(-1, 1, samples).astype(np.float32)


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.max(np.abs(a - b)) / np.max(np.abs(b)))


@pytest.mark.filterwarnings("ignore:n_fft=.* is too large")  # librosa's remark on short input
@pytest.mark.parametrize(("n_fft", "hop_length"), SETTINGS)
@pytest.mark.parametrize("samples", [300, 48000])
def test_stft_equals_librosas(n_fft, hop_length, samples):
    y = noise(samples)
    expected = librosa.stft(y, n_fft=n_fft, hop_length=hop_length, pad_mode="constant").T
    ours = np.asarray(stft(y, n_fft=n_fft, hop_length=hop_length))
    assert ours.dtype == np.complex64
    assert ours.shape == expected.shape
    assert relative(ours, expected) < 1e-5


@pytest.mark.parametrize(("n_fft", "hop_length"), SETTINGS)
@pytest.mark.parametrize("length", [47990, 50000])
def test_istft_equals_librosas(n_fft, hop_length, length):
    # Not the transform of any signal: frames that disagree show the weights of the overlap.
    spectrum = np.asarray(stft(noise(48000), n_fft=n_fft, hop_length=hop_length))
    spectrum = spectrum * np.random.default_rng(1).uniform(0, 1, spectrum.shape).astype(np.float32)
    expected = librosa.istft(spectrum.T, n_fft=n_fft, hop_length=hop_length, length=length)
    ours = np.asarray(istft(spectrum, n_fft=n_fft, hop_length=hop_length, length=length))
    # Beyond the last frame's centre plus one hop hardly any window is left: both divide noise by
    # nearly nothing there.
    known = min(length, (spectrum.shape[0] - 1) * hop_length + hop_length)
    assert relative(ours[:known], expected[:known]) < 1e-5


@settings(max_examples=10, deadline=None)
@given(samples=st.integers(1, 9000), setting=st.sampled_from(SETTINGS))
def test_there_and_back(samples, setting):
    n_fft, hop_length = setting
    y = noise(samples)
    spectrum = stft(y, n_fft=n_fft, hop_length=hop_length)
    back = np.asarray(istft(spectrum, n_fft=n_fft, hop_length=hop_length, length=samples))
    assert np.sqrt(np.mean((back - y) ** 2)) < 1e-6


def test_leading_axes_and_jit():
    y = np.stack([noise(3000), noise(3001)[:3000]]).reshape(2, 1, 3000)
    there = jax.jit(stft, static_argnames=("n_fft", "hop_length"))
    together = there(y, n_fft=512, hop_length=128)
    alone = there(y[1, 0], n_fft=512, hop_length=128)
    assert together.shape == (2, 1, 24, 257)
    assert relative(np.asarray(together[1, 0]), np.asarray(alone)) < 1e-6


def test_a_sine_lands_in_its_bin():
    setting = StftSettings(sample_rate=22050, n_fft=2048, hop_length=512)
    frequency = setting.frequencies[93]
    y = np.sin(2 * np.pi * frequency * np.arange(22050) / 22050).astype(np.float32)
    spectrum = np.abs(stft(y, n_fft=setting.n_fft, hop_length=setting.hop_length))
    assert spectrum.shape == (setting.frames(22050), setting.bins)
    assert set(spectrum[4:-4].argmax(-1)) == {93}
    # A Hann window's sum is n_fft / 2; a unit sine shares it between two sides.
    assert spectrum[20, 93] == pytest.approx(setting.n_fft / 4, rel=1e-3)


def test_the_frame_rate_is_in_hertz():
    assert StftSettings(48000, 4500, 1125).frame_rate == pytest.approx(42.667, abs=1e-3)
