"""Bands: what goes into them comes out of them, and they lie where they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashjax.audio.stft import StftSettings
from mashjax.tasks.mashup.bands import Bands

SHIPPED = Bands(StftSettings(22050, 2048, 512), 128, 64, 8000.0)


def test_where_they_lie():
    assert SHIPPED.count == 192
    assert SHIPPED.frequencies[127] == pytest.approx(1367, abs=1)
    assert SHIPPED.frequencies[-1] == pytest.approx(8000, abs=6)
    steps = np.diff(np.log2(SHIPPED.frequencies[128:]))
    assert np.ptp(steps) < 1e-9  # evenly spaced in octaves
    assert (np.diff(SHIPPED.frequencies) > 0).all()


@settings(max_examples=30, deadline=None)
@given(
    linear=st.integers(40, 200),
    log_bands=st.integers(1, 64),
    n_fft=st.sampled_from([1024, 2048, 4500]),
)
def test_a_constant_stays_constant_both_ways(linear, log_bands, n_fft):
    bands = Bands(StftSettings(22050, n_fft, n_fft // 4), linear, log_bands, 8000.0)
    above = bands.bins - bands.linear
    np.testing.assert_allclose(np.ones(log_bands) @ bands.spread, np.ones(above), atol=1e-5)
    np.testing.assert_allclose(np.ones(above) @ bands.gather, np.ones(log_bands), atol=1e-5)


def test_masks_between_centres_are_interpolated():
    mask = SHIPPED.frequencies[SHIPPED.linear :] / 1000  # a ramp over frequency
    bins = np.arange(SHIPPED.linear, SHIPPED.bins) * 22050 / 2048 / 1000
    assert np.abs(mask @ SHIPPED.spread - bins).max() < 1e-2


@pytest.mark.parametrize(("linear", "log_bands", "top_hz"), [(128, 64, 1500.0), (1, 19, 8000.0)])
def test_bands_narrower_than_a_bin_are_refused(linear, log_bands, top_hz):
    with pytest.raises(ValueError, match=f"log_bands={log_bands} do not fit"):
        Bands(StftSettings(22050, 1024, 256), linear, log_bands, top_hz)


def test_all_bins_without_log_bands():
    bands = Bands(StftSettings(22050, 2048, 512), 1025, 0, 8000.0)
    assert (bands.count, bands.bins, bands.linear) == (1025, 1025, 1025)
