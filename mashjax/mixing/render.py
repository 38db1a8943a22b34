"""Apply masks and rotations to songs of any length, rate and number of channels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy.fft import next_fast_len

from mashjax.audio.resample import fit
from mashjax.audio.stft import StftSettings, istft, stft
from mashjax.tasks.mashup import Masks

_BLOCK_HOPS = 128  # hops rendered per call of the one compiled shape: about 3 s


def render(y: np.ndarray, *, sr: int, masks: Masks, stft_settings: StftSettings) -> np.ndarray:
    """Each song's part of the mashup: mask * |X| * exp(i (angle X + rotation)), song by song.

    Args:
      y: float32 [2, channels, samples], the aligned songs at `sr` Hz.
      masks: the network's, on the network's own frames and bands; they are interpolated
        linearly to this rate's frames and bins. Bins above the last band's centre take
        the last band's values, so nothing is lost above the network's band.
      stft_settings: the network's. The window here lasts as long in seconds (within 7 %,
        so that the transform has a fast length), whatever `sr` is.

    Returns:
      float32 [2, channels, samples]; their sum is the unmastered mix.

    Blocks overlap by a window on both sides, which is dropped: the result does not depend
    on where the blocks lie, and memory beside `y` does not grow with its length.
    """
    hops_per_window = stft_settings.n_fft // stft_settings.hop_length
    hop = next_fast_len(round(stft_settings.hop_length * sr / stft_settings.sample_rate), real=True)
    n_fft = hops_per_window * hop
    frequencies = np.arange(n_fft // 2 + 1) * sr / n_fft
    position = np.interp(frequencies, masks.frequencies, np.arange(len(masks.frequencies)))
    mask = np.stack([masks.mask1, masks.mask2])
    rotation = np.stack([masks.rotation1, masks.rotation2])

    samples = y.shape[-1]
    block, margin = _BLOCK_HOPS * hop, n_fft
    result = np.empty_like(y)

    def finish(start: int, part: jax.Array) -> None:
        length = min(block, samples - start)
        result[..., start : start + length] = np.asarray(part)[..., margin : margin + length]

    under_way: tuple[int, jax.Array] | None = None
    for start in range(0, samples, block):
        first, last = start - margin, start + block + margin
        piece = np.pad(y[..., max(first, 0) : last], [(0, 0), (0, 0), (max(-first, 0), 0)])
        piece = fit(piece, samples=last - first)
        times = (first + hop * np.arange(1 + (last - first) // hop)) / sr
        part = _render_block(
            piece,
            _at(times, masks.times, mask),
            _at(times, masks.times, rotation),
            position.astype(np.float32),
            n_fft=n_fft,
            hop_length=hop,
        )
        # The block before is copied while this one is computed.
        if under_way is not None:
            finish(*under_way)
        under_way = start, part
    if under_way is not None:
        finish(*under_way)
    return result


@functools.partial(jax.jit, static_argnames=("n_fft", "hop_length"))
def _render_block(y, mask, rotation, position, *, n_fft: int, hop_length: int):
    """y [2, channels, samples]; mask, rotation [2, frames, bands]; position [bins] in bands."""
    spectrum = stft(y, n_fft=n_fft, hop_length=hop_length)
    low = jnp.minimum(position.astype(int), mask.shape[-1] - 2)
    fraction = position - low
    to_bins = lambda x: x[..., low] * (1 - fraction) + x[..., low + 1] * fraction  # noqa: E731
    mask, rotation = to_bins(mask), to_bins(rotation)
    filtered = spectrum * (mask * jnp.exp(1j * rotation))[:, None]
    # The zero frequency and the highest are real: a rotation would lose part of them.
    return istft(filtered, n_fft=n_fft, hop_length=hop_length, length=y.shape[-1])


def _at(times: np.ndarray, frame_times: np.ndarray, x: np.ndarray) -> np.ndarray:
    """x [2, frames, bands] at other times (seconds), linearly; held before and after."""
    position = np.interp(times, frame_times, np.arange(len(frame_times)))
    low = np.minimum(position.astype(int), max(len(frame_times) - 2, 0))
    high = np.minimum(low + 1, len(frame_times) - 1)
    fraction = (position - low).astype(np.float32)[:, None]
    return x[:, low] * (1 - fraction) + x[:, high] * fraction
