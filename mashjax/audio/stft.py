"""The short-time Fourier transform and its inverse, in JAX.

Both equal librosa's (`librosa.stft(..., pad_mode="constant")`, `librosa.istft`), with frames
before bins, and both are plain functions of arrays: the caller decides what to jit.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class StftSettings:
    """What turns samples into frames; it travels with everything made from those frames."""

    sample_rate: int = 22050  # Hz
    n_fft: int = 2048  # samples per window; need not be a power of two
    hop_length: int = 512  # samples from one frame to the next

    @property
    def bins(self) -> int:
        return self.n_fft // 2 + 1

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop_length

    @property
    def frequencies(self) -> np.ndarray:
        """The bins' centres in Hz, [bins]."""
        return np.arange(self.bins) * self.sample_rate / self.n_fft

    def frames(self, samples: int) -> int:
        """How many frames `stft` makes of so many samples."""
        return count_frames(samples, n_fft=self.n_fft, hop_length=self.hop_length)


def count_frames(samples: int, *, n_fft: int, hop_length: int) -> int:
    """How many frames `stft` makes of `samples` samples."""
    return 1 + (samples + 2 * (n_fft // 2) - n_fft) // hop_length


def stft(y: jax.Array, *, n_fft: int, hop_length: int) -> jax.Array:
    """Short-time Fourier transform with a periodic Hann window, centred, padded with zeros.

    y: [..., samples], any length. Returns complex64 [..., frames, n_fft // 2 + 1]; frame t is
    centred on sample t * hop_length.
    """
    samples = y.shape[-1]
    frames = count_frames(samples, n_fft=n_fft, hop_length=hop_length)
    hops = -(-n_fft // hop_length)
    # Frames are put together from `hops` shifted views of hop-sized chunks: three slices and a
    # concatenation where indexing with [frames, n_fft] integers would gather every sample.
    chunks = frames + hops - 1
    before = n_fft // 2
    after = chunks * hop_length - before - samples
    pads = [(0, 0, 0)] * (y.ndim - 1) + [(before, after, 0)]  # a negative pad cuts the end off
    padded = jax.lax.pad(jnp.asarray(y, jnp.float32), jnp.float32(0), pads)
    padded = padded.reshape(*y.shape[:-1], chunks, hop_length)
    framed = jnp.concatenate([padded[..., k : k + frames, :] for k in range(hops)], axis=-1)
    return jnp.fft.rfft(framed[..., :n_fft] * _hann(n_fft))


def istft(spectrum: jax.Array, *, n_fft: int, hop_length: int, length: int) -> jax.Array:
    """Inverse of `stft`: windowed overlap-add divided by the sum of the squared windows.

    This is the least-squares estimate of Griffin & Lim (1984), as in librosa.

    spectrum: complex [..., frames, n_fft // 2 + 1]; length: samples to return (the tail that no
    frame covers is zero). Returns float32 [..., length].
    """
    frames = spectrum.shape[-2]
    hops = -(-n_fft // hop_length)
    chunks = frames + hops - 1
    framed = jnp.fft.irfft(spectrum, n=n_fft) * _synthesis_window(n_fft, hop_length)
    leading = [(0, 0)] * (framed.ndim - 1)
    framed = jnp.pad(framed, [*leading, (0, hops * hop_length - n_fft)])
    framed = framed.reshape(*framed.shape[:-1], hops, hop_length)
    leading = leading[:-1]
    shifted = [
        jnp.pad(framed[..., k, :], [*leading, (k, hops - 1 - k), (0, 0)]) for k in range(hops)
    ]
    summed = functools.reduce(jnp.add, shifted)
    # Inside, every chunk lies under the same windows; at both ends some are missing.
    edge = min(hops - 1, chunks // 2)
    gain = _edge_gain(n_fft, hop_length, frames)
    head, tail = gain[:edge], gain[gain.shape[0] - edge :]
    if chunks <= 2 * (hops - 1):
        summed = summed * gain
    else:
        summed = summed.at[..., :edge, :].multiply(head)
        summed = summed.at[..., chunks - edge :, :].multiply(tail)
    y = summed.reshape(*summed.shape[:-2], chunks * hop_length)[..., n_fft // 2 :]
    y = y[..., :length]
    return jnp.pad(y, [*leading, (0, length - y.shape[-1])])


@functools.cache
def _hann(n_fft: int) -> np.ndarray:
    """Periodic Hann window (scipy.signal.get_window("hann", n_fft, fftbins=True))."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)


@functools.cache
def _synthesis_window(n_fft: int, hop_length: int) -> np.ndarray:
    """Hann divided by the sum of the squared windows where all of them overlap, [n_fft]."""
    squares = _squared_chunks(n_fft, hop_length)
    total = np.tile(squares.sum(0), squares.shape[0])[:n_fft]
    return (_hann(n_fft) / total).astype(np.float32)


@functools.cache
def _edge_gain(n_fft: int, hop_length: int, frames: int) -> np.ndarray:
    """What the edges' fewer windows call for, relative to the inside: [at most 4 hops, hop].

    The first and last `hops - 1` rows belong to the first and last chunks of the signal.
    """
    squares = _squared_chunks(n_fft, hop_length)
    hops = squares.shape[0]
    chunks = frames + hops - 1
    rows = [*range(chunks)]
    if chunks > 2 * (hops - 1):
        rows = [*range(hops - 1), *range(chunks - hops + 1, chunks)]
    sums = np.stack([sum(squares[k] for k in range(hops) if 0 <= j - k < frames) for j in rows])
    total = np.broadcast_to(squares.sum(0), sums.shape)
    enough = sums > np.finfo(np.float32).tiny
    return np.divide(total, sums, out=np.zeros_like(sums), where=enough).astype(np.float32)


def _squared_chunks(n_fft: int, hop_length: int) -> np.ndarray:
    """The squared window cut into hops, zero-padded at its end: [hops, hop_length], float64."""
    hops = -(-n_fft // hop_length)
    squares = np.zeros(hops * hop_length)
    squares[:n_fft] = _hann(n_fft).astype(np.float64) ** 2
    return squares.reshape(hops, hop_length)
