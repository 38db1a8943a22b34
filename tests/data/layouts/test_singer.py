import numpy as np
import pytest
from scipy import signal

from mashjax.audio.midi import Note
from mashjax.data.layouts.singer import sing

SR = 22050


def melody(pitches: list[int], *, seconds: float, gap: float = 0.0) -> list[Note]:
    return [Note(i * seconds, (i + 1) * seconds - gap, p, 90) for i, p in enumerate(pitches)]


def fundamental(y: np.ndarray) -> float:
    """Hz, by the first strong peak of the autocorrelation."""
    power = signal.correlate(y, y, method="fft")[len(y) - 1 :]
    lags = np.arange(int(SR / 1000), int(SR / 70))
    strong = lags[power[lags] > 0.85 * power[lags].max()]
    lag = strong[0] + int(np.argmax(power[strong[0] : strong[0] + 20]))
    a, b, c = power[lag - 1 : lag + 2]
    return SR / (lag + 0.5 * (a - c) / (a - 2 * b + c))


@pytest.mark.parametrize("seed", range(6))
def test_the_singer_holds_the_melody_s_notes(seed):
    pitches = [60, 64, 62, 67, 65, 59]
    y = sing(melody(pitches, seconds=1.0), seconds=6.0, sr=SR, rng=np.random.default_rng(seed))
    cents = []
    for i, pitch in enumerate(pitches):
        found = fundamental(y[int((i + 0.3) * SR) : int((i + 0.9) * SR)])
        apart = 12 * np.log2(found / 440) + 69 - pitch
        cents.append(100 * (apart - 12 * np.round(apart / 12)))
    # A singer drifts by 15 cents and swings by up to 70 in vibrato; a wrong note is 100 away.
    assert np.median(np.abs(cents)) < 40


def test_it_is_silent_between_phrases_and_never_clips():
    notes = [Note(1.0, 2.0, 62, 90), Note(5.0, 6.0, 62, 90)]
    for seed in range(4):
        y = sing(notes, seconds=8.0, sr=SR, rng=np.random.default_rng(seed))
        assert len(y) == 8 * SR
        assert y.dtype == np.float32
        assert np.abs(y).max() == pytest.approx(0.9, abs=1e-6)
        level = np.sqrt(np.mean(y[int(1.1 * SR) : int(1.9 * SR)] ** 2))
        before = np.sqrt(np.mean(y[: int(0.4 * SR)] ** 2))
        between = np.sqrt(np.mean(y[int(3.6 * SR) : int(4.4 * SR)] ** 2))
        assert 20 * np.log10(before / level + 1e-9) < -40
        assert 20 * np.log10(between / level + 1e-9) < -25


def test_one_seed_is_one_performance():
    notes = melody([60, 62], seconds=0.5)
    first, again, other = (
        sing(notes, seconds=1.0, sr=SR, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_its_pitch_moves_as_a_voice_s_does_and_its_vowels_change():
    y = sing(melody([60] * 8, seconds=0.8), seconds=6.4, sr=SR, rng=np.random.default_rng(3))
    _, _, z = signal.stft(y, SR, nperseg=1024, noverlap=768)
    power = np.abs(z) ** 2
    shares = power[12:60].sum(0) / power.sum(0)
    per_note = [np.median(shares[int(k * 0.8 * SR / 256) :][20:50]) for k in range(8)]
    assert np.ptp(per_note) > 0.15
