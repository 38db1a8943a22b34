import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashjax.audio.stretch import warp

SR = 44100


def clicks(times, seconds: float) -> np.ndarray:
    y = np.zeros((1, round(seconds * SR)), np.float32)
    n = np.arange(300)
    for t in times:
        start = round(t * SR)
        y[0, start : start + 300] += np.sin(2 * np.pi * 3000 * n / SR) * np.exp(-n / 40)
    return y


def click_errors(y: np.ndarray, times) -> np.ndarray:
    """Seconds between where each click should be and where it is, looking 40 ms around."""
    errors = []
    for t in times:
        middle = round(t * SR)
        around = np.abs(y[0, middle - 1764 : middle + 1764])
        errors.append((around.argmax() - 1764 - 4) / SR)  # the click itself peaks 4 samples in
    return np.array(errors)


def cents(y: np.ndarray, hz: float) -> float:
    """How far the strongest partial of `y` is from `hz`."""
    spectrum = np.abs(np.fft.rfft(y * np.hanning(len(y)), n=1 << 21))
    return 1200 * np.log2(spectrum.argmax() * SR / (1 << 21) / hz)


@pytest.mark.parametrize(
    ("ratio", "semitones"), [(1.05, 0), (0.93, 2), (1, -1.2), (1.3, 0.3), (1, 0)]
)
def test_one_ratio_keeps_clicks_in_place_and_pitch_exact(ratio, semitones):
    at = np.arange(1.0, 9.0)
    z = warp(
        clicks(at, 10),
        sr=SR,
        source_times=[0.5, 9.5],
        output_times=[0, 9 * ratio],
        semitones=semitones,
    )
    assert z.shape[1] == round(9 * ratio * SR)
    assert np.abs(click_errors(z, (at - 0.5) * ratio)).max() < 1e-3

    t = np.arange(10 * SR) / SR
    tone = 0.3 * np.sin(2 * np.pi * 220 * t).astype(np.float32)[None]
    z = warp(tone, sr=SR, source_times=[1, 9], output_times=[0, 8 * ratio], semitones=semitones)
    assert abs(cents(z[0, SR : 6 * SR], 220 * 2 ** (semitones / 12))) < 0.2


def test_a_drifting_map_puts_every_beat_on_the_grid():
    beats = 0.5 + np.cumsum(0.5 + 0.05 * np.sin(0.3 * np.arange(60)))
    grid = 0.5 * np.arange(60)
    z = warp(clicks(beats, 40), sr=SR, source_times=beats, output_times=grid, semitones=1)
    # 3 ms of deviation are allowed by design, 1 ms is the stretcher's own.
    assert np.abs(click_errors(z, grid[1:-1])).max() < 4e-3

    t = np.arange(40 * SR) / SR
    tone = 0.1 * np.sin(2 * np.pi * 220 * t).astype(np.float32)[None]
    z = warp(tone, sr=SR, source_times=beats, output_times=grid)
    level = np.sqrt(np.mean(z[0, SR : 29 * SR].reshape(-1, 2205) ** 2, axis=1))
    assert 20 * np.log10(level.max() / level.min()) < 3  # joints are not heard as gaps


def test_outside_of_the_song_is_silence():
    z = warp(clicks([1.0], 2), sr=SR, source_times=[-1, 4], output_times=[10, 15])
    assert z.shape[1] == 5 * SR
    assert np.abs(z[0, 2 * SR - 5]) == 0 and np.abs(z[0, 2 * SR : 2 * SR + 99]).max() > 0.5


@settings(max_examples=20, deadline=None)
@given(
    start=st.floats(-1, 3),
    length=st.floats(0.3, 4),
    ratio=st.floats(0.5, 2),
    semitones=st.floats(-4, 4),
)
def test_the_length_is_what_the_map_says(start, length, ratio, semitones):
    y = np.full((1, 8000), 0.1, np.float32)
    z = warp(
        y,
        sr=2000,
        source_times=[start, start + length],
        output_times=[1, 1 + length * ratio],
        semitones=semitones,
    )
    assert z.shape == (1, round(2000 * ((1 + length * ratio) - 1)))
    assert np.isfinite(z).all()


def test_a_map_that_goes_backwards_is_a_fault():
    with pytest.raises(ValueError, match="increasing"):
        warp(np.zeros((1, 99)), sr=10, source_times=[0, 2, 1], output_times=[0, 1, 2])
