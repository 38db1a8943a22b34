"""Augmentation, measured: cents, decibels, images, and labels that stay the sum of their parts."""

import functools

import jax
import numpy as np
import pytest

from mashjax.data.augment import BLOCK, KNEE, Augment, augmented, slack

SR, SAMPLES = 22050, 32768
NOTHING = Augment(gain_db=0, inverted=0, tilt_db=0, pitch_semitones=0)
SPEED = Augment(gain_db=0, inverted=0, tilt_db=0, pitch_semitones=2)
TONE = Augment(gain_db=0, inverted=0, tilt_db=1.5, pitch_semitones=0)
LEVELS = Augment(gain_db=3, inverted=0.5, tilt_db=0, pitch_semitones=0)
ENOUGH = SAMPLES + slack(SPEED, SAMPLES)
PAIRS = {"parts": (0, 1, 2, 3), "songs": (0, 0, 1, 1)}


def augment(settings, sources, *, seed=0, samples=SAMPLES, **groups):
    run = _compiled(tuple(vars(settings).values()), samples, tuple((groups or PAIRS).items()))
    return np.asarray(
        run(np.float32(sources), jax.random.split(jax.random.key(seed), len(sources)))
    )


@functools.cache
def _compiled(values, samples, groups):
    settings = Augment(*values)
    return jax.jit(
        lambda sources, keys: augmented(
            sources, keys, settings=settings, samples=samples, **dict(groups)
        )
    )


def tone(frequency, *, batch=8, sources=4, available=ENOUGH):
    y = np.sin(2 * np.pi * frequency / SR * np.arange(available))
    return np.tile(y, (batch, sources, 1))


def noise(available, *, batch=3, sources=4):
    return np.random.default_rng(0).normal(size=(batch, sources, available))


def frequency_of(y):
    """In Hz, from how far the phase turns between two halves of a windowed tone."""
    half = len(y) // 2
    window = np.hanning(half)
    spectra = [np.fft.rfft(window * part) for part in (y[:half], y[half:])]
    peak = int(np.argmax(np.abs(spectra[0])))
    turn = np.angle(spectra[1][peak] * np.conj(spectra[0][peak])) / (2 * np.pi)
    return (peak + (turn + 0.5) % 1 - 0.5) * SR / half


def test_a_tone_comes_out_at_its_speed_within_a_cent():
    y = augment(SPEED, tone(440))
    found = np.array([[frequency_of(source) for source in example] for example in y])
    speeds = np.round(found[:, :1] / 440 * BLOCK)
    cents = 1200 * np.log2(found / (440 * speeds / BLOCK))
    assert np.abs(cents).max() < 0.1
    assert len(set(speeds.ravel())) > 3
    # Two semitones either way, to the nearest of the speeds that there are.
    assert 57 <= speeds.min() < 61 < 68 < speeds.max() <= 72


def test_images_of_a_tone_are_78_db_down():
    y = augment(SPEED, tone(5000))
    spectra = np.abs(np.fft.rfft(y * np.kaiser(SAMPLES, 20), axis=-1)) ** 2
    hz = np.fft.rfftfreq(SAMPLES, 1 / SR)
    for spectrum in spectra.reshape(-1, len(hz)):
        near = np.abs(hz - hz[np.argmax(spectrum)]) < 20
        assert 10 * np.log10(spectrum[~near].max() / spectrum.max()) < -78


def test_both_songs_keep_their_time_together():
    """A click in every source comes out at one moment."""
    clicks = np.zeros((8, 4, ENOUGH))
    clicks[..., 15000] = 1
    at = np.abs(augment(SPEED, clicks)).argmax(-1)
    assert (at == at[:, :1]).all()
    assert len(set(at[:, 0])) > 3


def test_a_tilt_is_a_line_in_db_per_octave_of_each_song():
    impulse = np.zeros((8, 4, 4096))
    impulse[..., 2048] = 1
    y = augment(TONE, impulse, samples=4096)
    at = np.round(4096 * KNEE * 2.0 ** np.array([-3.0, 0, 1, 2, 3])).astype(int)
    decibels = 20 * np.log10(np.abs(np.fft.rfft(y)[..., at]))
    octaves = np.diff(decibels)
    slopes = octaves[..., 2]
    np.testing.assert_allclose(octaves[..., 3], slopes, atol=0.05)
    # The filter is too short for a corner: the knee spreads over an octave to either side.
    np.testing.assert_allclose(octaves[..., 1], 0.67 * slopes, atol=0.03)
    np.testing.assert_allclose(octaves[..., 0], 0.24 * slopes, atol=0.05)
    np.testing.assert_allclose(slopes[:, [0, 2]], slopes[:, [1, 3]], atol=1e-3)
    assert np.abs(slopes).max() < 1.5 * 1.05
    assert slopes.std() > 0.5
    assert np.abs(slopes[:, 0] - slopes[:, 2]).min() > 1e-3  # the two songs of an example


def test_gains_are_of_sources_and_polarities_of_songs():
    y = augment(LEVELS, np.ones((256, 4, 64)), samples=64)
    assert np.ptp(y, axis=-1).max() == 0
    level = y[..., 0]
    decibels = 20 * np.log10(np.abs(level))
    assert np.abs(decibels).max() <= 3 + 1e-4
    # Uniform over 6 dB: a standard deviation of 6 / sqrt(12), and none alike.
    assert decibels.std() == pytest.approx(1.73, abs=0.1)
    assert np.abs(np.corrcoef(decibels.T) - np.eye(4)).max() < 0.3
    np.testing.assert_array_equal(np.sign(level[:, [0, 2]]), np.sign(level[:, [1, 3]]))
    assert 200 <= np.sum(level[:, [0, 2]] < 0) <= 312  # 512 fair coins, five deviations
    assert 80 <= np.sum(level[:, 0] * level[:, 2] < 0) <= 176


def test_what_shares_everything_stays_in_proportion():
    sources = noise(SAMPLES, sources=3)
    sources[:, 0] = sources[:, 1] + 0.5 * sources[:, 2]
    y = augment(Augment(), sources, parts=(0, 0, 0), songs=(0, 0, 0))
    np.testing.assert_allclose(y[:, 0], y[:, 1] + 0.5 * y[:, 2], atol=1e-5)
    assert np.abs(y - sources).max() > 0.1


def test_it_is_linear_so_that_labels_stay_sums():
    lead, backing = noise(2 * (SAMPLES + 5000)).reshape(3, 4, 2, -1).transpose(2, 0, 1, 3)
    settings = Augment(gain_db=0)
    whole = augment(settings, lead + backing)
    np.testing.assert_allclose(
        augment(settings, lead) + augment(settings, backing), whole, atol=1e-5
    )


def test_the_same_key_draws_the_same():
    sources = noise(SAMPLES + 1000)
    first = augment(Augment(), sources, seed=1)
    assert first.shape == (3, 4, SAMPLES)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(augment(Augment(), sources, seed=1), first)
    assert np.abs(augment(Augment(), sources, seed=2) - first).max() > 0.1


def test_nothing_asked_is_the_middle():
    sources = np.float32(noise(SAMPLES + 100))
    y = augment(NOTHING, sources)
    np.testing.assert_array_equal(y, sources[..., 50 : 50 + SAMPLES])
    # Through the resampler at a speed of 1, and a tilt of nearly 0.
    close = augment(Augment(0, 0, 1e-6, 0), sources)
    np.testing.assert_allclose(close, y, atol=2e-5 * np.abs(y).max())


def test_without_slack_only_what_fits_is_drawn():
    """Speeds up to 1, and no silence where the songs have none."""
    y = augment(SPEED, tone(440, available=SAMPLES))
    speeds = np.array([frequency_of(example[0]) for example in y]) / 440
    assert speeds.max() <= 1 + 1e-4
    assert speeds.min() < 0.95
    level = np.sqrt(np.mean(np.square(y.reshape(8, 4, -1, 256)), -1))
    assert level.min() > 0.6
    odd = augment(SPEED, tone(440, available=1000), samples=1000)  # no whole number of blocks
    assert odd.shape[-1] == 1000
    assert np.sqrt(np.mean(np.square(odd[..., -100:]))) > 0.5


def test_slack_is_what_the_highest_speed_needs():
    assert pytest.approx(72 / 64, abs=2e-3) == ENOUGH / SAMPLES
    assert slack(NOTHING, SAMPLES) == 0
