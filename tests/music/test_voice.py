import numpy as np

from mashjax.music.voice import voice_likelihood

SR = 22050


def tone(hz: np.ndarray) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(hz) / SR
    return sum(np.sin(k * phase) / k for k in range(1, 9)).astype(np.float32) * 0.1


def test_gliding_tones_sound_more_like_a_voice_than_held_ones():
    t = np.arange(6 * SR) / SR
    steps = 220 * 2 ** (np.floor(t * 2) % 5 / 6)
    vibrato = steps * 2 ** (0.5 * np.sin(2 * np.pi * 5.5 * t) / 12)
    held, sung = voice_likelihood(tone(steps)), voice_likelihood(tone(vibrato))
    assert held < sung
    assert sung > 0.5


def test_silence_has_no_voice():
    assert voice_likelihood(np.zeros(3 * SR, np.float32)) == 0
