import numpy as np
import pytest
from scipy import signal

from mashjax.audio.midi import Note
from mashjax.audio.piano import play

SR = 44100


def tone(pitch: int, *, velocity: int = 80, seconds: float = 1.5) -> np.ndarray:
    """A note from 0.1 s on, 2 s in all, mono float64."""
    notes = [Note(0.1, 0.1 + seconds, pitch, velocity)]
    return play(notes, samples=2 * SR, sr=SR).mean(axis=0).astype(np.float64)


def db(y: np.ndarray) -> float:
    return 10 * np.log10(np.mean(y**2) + 1e-20)


def first_partial(y: np.ndarray, near: float) -> float:
    n = 2**20
    spectrum = np.abs(np.fft.rfft(y * np.hanning(len(y)), n))
    hz = np.fft.rfftfreq(n, 1 / SR)
    inside = np.abs(hz / near - 1) < 0.1
    return float(hz[inside][spectrum[inside].argmax()])


@pytest.mark.parametrize("pitch", [33, 45, 57, 60, 69, 76, 84, 96])
def test_it_is_in_tune(pitch):
    hz = 440 * 2 ** ((pitch - 69) / 12)
    y = tone(pitch)[round(0.2 * SR) : round(1.5 * SR)]
    assert abs(1200 * np.log2(first_partial(y, hz) / hz)) < 1.0
    # As a whole, by its period: the stretched partials pull it up, by less than 3 cents.
    lags = signal.correlate(y, y, "full", method="fft")[len(y) - 1 :]
    low, high = round(0.97 * SR / hz), round(1.03 * SR / hz) + 1
    many = max(1, round(0.05 * hz))  # of periods: a lag of 50 ms is known to 0.1 cents
    at = low * many + int(lags[low * many : high * many].argmax())
    near = np.arange(round(many * SR / hz) - 3, round(many * SR / hz) + 4)
    at = int(near[lags[near].argmax()])
    left, middle, right = lags[at - 1 : at + 2]
    period = (at + 0.5 * (left - right) / (left - 2 * middle + right)) / many
    assert abs(1200 * np.log2(SR / period / hz)) < 3.0


def test_it_begins_when_written_and_falls_in_two_stages():
    y = play([Note(0.1, 6.0, 69, 80)], samples=6 * SR, sr=SR).mean(axis=0).astype(np.float64)
    onset = round(0.1 * SR)
    assert np.abs(y[:onset]).max() < 1e-7  # the room is a convolution by FFT
    assert db(y[onset : onset + 441]) > db(y[onset : onset + 4410]) - 10  # there within 10 ms
    level = [db(y[round(t * SR) : round((t + 0.2) * SR)]) for t in (0.2, 0.7, 4.0, 4.5)]
    assert level[0] - level[1] > level[2] - level[3] + 2


def test_a_damper_ends_a_note():
    y = tone(60, seconds=0.5)
    assert db(y[round(0.4 * SR) : round(0.6 * SR)]) > db(y[round(1.2 * SR) : round(1.4 * SR)]) + 30


def test_struck_harder_it_is_louder_and_brighter():
    soft, hard = tone(60, velocity=40), tone(60, velocity=110)
    assert db(hard) > db(soft) + 6
    frequencies = np.fft.rfftfreq(len(soft), 1 / SR)
    centre = [
        (np.abs(np.fft.rfft(y)) * frequencies).sum() / np.abs(np.fft.rfft(y)).sum()
        for y in (soft, hard)
    ]
    assert centre[1] > 1.1 * centre[0]


def test_low_is_left_and_high_is_right():
    low, high = (play([Note(0, 1, p, 80)], samples=SR, sr=SR) for p in (30, 100))
    assert db(low[0]) > db(low[1]) + 1 and db(high[1]) > db(high[0]) + 1


@pytest.mark.parametrize("sr", [8000, 96000])
def test_the_length_is_exact_at_any_rate(sr):
    y = play([Note(0.0, 0.5, 60, 80), Note(0.95, 3.0, 110, 80)], samples=sr + 7, sr=sr)
    assert y.shape == (2, sr + 7) and np.isfinite(y).all() and y[:, -100:].any()


def test_no_notes_are_silence():
    assert not play([], samples=100, sr=SR).any()
    assert not play([Note(5, 6, 60, 80)], samples=100, sr=SR).any()


def test_notes_off_the_keyboard_are_moved_into_it():
    y = play([Note(0, 1, 9, 80)], samples=SR, sr=SR).mean(axis=0)
    same = play([Note(0, 1, 21, 80)], samples=SR, sr=SR).mean(axis=0)
    assert np.array_equal(y, same)
