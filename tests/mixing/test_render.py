import numpy as np
import pytest

from mashjax.audio.stft import StftSettings
from mashjax.mixing.render import render
from mashjax.tasks.mashup import Masks

STFT = StftSettings(sample_rate=22050, n_fft=2048, hop_length=512)
BANDS = np.array([0.0, 100, 1000, 5000, 10000])


def constant_masks(seconds: float, mask1, mask2, rotation1=0.0, rotation2=0.0) -> Masks:
    """Masks of one value per band (or one for all) throughout."""
    frames = STFT.frames(round(seconds * STFT.sample_rate))
    full = lambda x: np.broadcast_to(np.float32(x), (frames, len(BANDS)))  # noqa: E731
    times = np.arange(frames) * STFT.hop_length / STFT.sample_rate
    return Masks(full(mask1), full(mask2), full(rotation1), full(rotation2), times, BANDS)


def rms_db(x: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(x, dtype=np.float64)) + 1e-30)


@pytest.mark.parametrize("sr", [8000, 10512, 44100, 48000])
def test_open_masks_leave_the_songs_as_they_are(sr):
    y = 0.1 * np.random.default_rng(0).normal(size=(2, 2, 7 * sr + 123)).astype(np.float32)
    parts = render(y, sr=sr, masks=constant_masks(7.1, 1, 1), stft_settings=STFT)
    assert parts.shape == y.shape
    assert rms_db(parts - y) < rms_db(y) - 100


def test_masks_are_gains_per_song():
    sr = 44100
    y = 0.1 * np.random.default_rng(0).normal(size=(2, 1, 3 * sr)).astype(np.float32)
    parts = render(y, sr=sr, masks=constant_masks(3, 0.5, 0), stft_settings=STFT)
    np.testing.assert_allclose(parts[0], 0.5 * y[0], atol=1e-6)
    np.testing.assert_array_equal(parts[1], 0)


def test_above_the_networks_band_its_last_mask_holds():
    sr = 44100
    t = np.arange(3 * sr) / sr
    tones = {500: 0.0, 15000: 0.25}  # the masks below 1 kHz are 0, those from 5 kHz on a quarter
    y = np.stack([[np.sin(2 * np.pi * hz * t)] for hz in tones]).astype(np.float32)
    mask = [0, 0, 0, 0.25, 0.25]
    parts = render(y, sr=sr, masks=constant_masks(3, mask, mask), stft_settings=STFT)
    middle = slice(sr, 2 * sr)
    assert rms_db(parts[0, 0, middle]) < -80
    assert rms_db(parts[1, 0, middle]) - rms_db(y[1, 0, middle]) == pytest.approx(-12.04, abs=0.01)


def test_a_rotation_turns_the_phase():
    sr = 44100
    t = np.arange(3 * sr) / sr
    y = np.cos(2 * np.pi * 440 * t).astype(np.float32)[None, None].repeat(2, axis=0)
    masks = constant_masks(3, 1, 1, rotation1=np.pi / 2, rotation2=-np.pi / 3)
    parts = render(y, sr=sr, masks=masks, stft_settings=STFT)
    middle = slice(sr, 2 * sr)
    for part, turn in ((parts[0], np.pi / 2), (parts[1], -np.pi / 3)):
        wanted = np.cos(2 * np.pi * 440 * t + turn)
        assert rms_db(part[0, middle] - wanted[middle]) < -60


def test_where_blocks_lie_does_not_matter():
    """The same song, delayed by a part of a block, gives the same parts, delayed."""
    sr, hop = 22050, 512
    rng = np.random.default_rng(0)
    y = 0.1 * rng.normal(size=(2, 1, 9 * sr)).astype(np.float32)
    frames = STFT.frames(y.shape[-1])
    masks = constant_masks(9, 1, 1)
    moving = rng.uniform(size=(frames, len(BANDS))).astype(np.float32)
    late = 37
    one = Masks(moving, moving, 0 * moving, 0 * moving, masks.times, BANDS)
    delay = np.pad(moving, [(late, 0), (0, 0)], mode="edge")
    times = np.arange(frames + late) * hop / sr
    two = Masks(delay, delay, 0 * delay, 0 * delay, times, BANDS)
    parts = render(y, sr=sr, masks=one, stft_settings=STFT)
    delayed = np.pad(y, [(0, 0), (0, 0), (late * hop, 0)])
    later = render(delayed, sr=sr, masks=two, stft_settings=STFT)
    np.testing.assert_allclose(later[..., late * hop :], parts, atol=1e-6)
