"""From bins to bands and back: single bins at the bottom, where harmonics lie, octaves above."""

import functools

import numpy as np

from mashjax.audio.stft import StftSettings


class Bands:
    """Bands as hat functions over the bins: a band's value reaches bins by linear interpolation.

    bins: how many bins the bands cover, from bin 0; count: how many bands;
    linear: how many of them are single bins; frequencies: centres in Hz [count].
    """

    def __init__(self, stft: StftSettings, linear_bins: int, log_bands: int, top_hz: float):
        last = stft.bins - 1
        self.linear = min(linear_bins, stft.bins)
        self.count = self.linear + log_bands
        top_bin = min(last, round(top_hz * stft.n_fft / stft.sample_rate))
        log_centres = np.geomspace(self.linear, top_bin, log_bands) if log_bands else np.zeros(0)
        if log_bands and (top_bin <= self.linear or np.diff(log_centres).min(initial=1) < 1):
            raise ValueError(
                f"log_bands={log_bands} do not fit between bin {self.linear} and top_hz={top_hz:g} "
                f"(bin {top_bin}): a band would be narrower than a bin"
            )
        self.centres = np.concatenate([np.arange(self.linear), log_centres])
        self.bins = top_bin + 1 if log_bands else self.linear
        self.frequencies = self.centres * stft.sample_rate / stft.n_fft

    @functools.cached_property
    def spread(self) -> np.ndarray:
        """Weights from the log bands to the bins above the linear ones, [log_bands, bins]."""
        hats = np.eye(self.count)[self.linear :]
        above = np.arange(self.linear, self.bins)
        # The first log band's centre is the first bin above, so no weight falls on linear bands.
        return np.stack([np.interp(above, self.centres, hat) for hat in hats]).astype(np.float32)

    @functools.cached_property
    def gather(self) -> np.ndarray:
        """Weights that average the bins above the linear ones into log bands, [bins, log_bands]."""
        spread = self.spread.T
        return spread / spread.sum(0)
