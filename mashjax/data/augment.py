"""Augmentation on the device: levels, polarity, tone, pitch with tempo, from a key per example.

Pitch and tempo move together, as on a turntable: everything is read faster or slower, which keeps
transients and phases as they were. To move one without the other takes a phase vocoder, whose
smear the network would learn to expect. Two semitones either way move the tempo by -11 to +12 %;
DJs stretch by less than 5 % in most transitions. Songs are mono here, where a pan is a gain.

All of it is linear and alike for the sources of a song: what a label is the sum of stays its sum.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

BLOCK = 64
"""Samples that are computed by one matrix; speeds are multiples of 1 / BLOCK, 27 cents apart."""

TAPS = 32
"""Length of the windowed sinc (Blackman): images are 79 dB down or more below 0.8 of Nyquist."""

KNEE = 0.05
"""Tilts begin here, in cycles per sample (1.1 kHz at 22.05 kHz): below, TAPS would not resolve."""


@dataclasses.dataclass(unsafe_hash=True)
class Augment:
    """How far each thing is drawn from what is stored; 0 leaves it alone."""

    gain_db: float = 3.0  # +- dB, for each source: how loud a lead is over its own backing varies
    inverted: float = 0.5  # share of songs whose polarity is turned, which no ear hears
    tilt_db: float = 1.0  # +- dB per octave above KNEE, for each song: masters differ as much
    pitch_semitones: float = 2.0  # +-, for each example: both songs at one speed share their beats


def slack(settings: Augment, samples: int) -> int:
    """How many samples to read beyond `samples`, so that the highest speed finds enough."""
    if not _resamples(settings):
        return 0
    return -(-samples // BLOCK) * _speeds(settings)[1] + TAPS - samples


def augmented(
    sources: jax.Array,
    keys: jax.Array,
    *,
    settings: Augment,
    samples: int,
    parts: Sequence[int],
    songs: Sequence[int],
) -> jax.Array:
    """Draw an augmentation for each example and apply it.

    Args:
      sources: float [batch, sources, available], available >= samples. Where that is less than
        `samples + slack(...)`, only the speeds that fit are drawn.
      keys: [batch]; what is drawn for an example is a pure function of its own.
      settings: how far to go.
      samples: length of the result; it is taken from the middle.
      parts: for each source, which gain it takes; sources of one number share it.
      songs: for each source, which song it is of; sources of a song share polarity and tilt.

    Returns:
      float32 [batch, sources, samples].
    """
    for_gain, for_polarity, for_tilt, for_speed = jnp.moveaxis(
        jax.vmap(lambda key: jax.random.split(key, 4))(keys), 1, 0
    )

    def around(keys: jax.Array, count: int) -> jax.Array:
        """Uniform in -1..1, [batch, count]."""
        draw = lambda key: jax.random.uniform(key, (count,), minval=-1.0, maxval=1.0)  # noqa: E731
        return jax.vmap(draw)(keys)

    gain = 10 ** (settings.gain_db / 20 * around(for_gain, max(parts) + 1))
    inverted = around(for_polarity, max(songs) + 1) < 2 * settings.inverted - 1
    tilt = settings.tilt_db * around(for_tilt, max(songs) + 1)
    level = gain[:, np.array(parts)] * jnp.where(inverted, -1.0, 1.0)[:, np.array(songs)]
    if not _resamples(settings):
        start = (sources.shape[-1] - samples) // 2
        return level[..., None] * sources[..., start : start + samples]
    low, high = _speeds(settings)
    high = max(min(high, sources.shape[-1] // -(-samples // BLOCK)), BLOCK)
    advance = jax.vmap(lambda key: jax.random.randint(key, (), low, high + 1))(for_speed)
    kernels = level[..., None, None] * _kernels(advance, tilt[:, np.array(songs)], high)
    return varispeed(sources, kernels, advance, samples=samples)


def varispeed(y: jax.Array, kernels: jax.Array, advance: jax.Array, *, samples: int) -> jax.Array:
    """Read the middle of `y` at advance / BLOCK times its speed, through `kernels`.

    y: [batch, sources, available]; kernels: [batch, sources, BLOCK, width], the weights of one
    block of results; advance: int [batch], samples from block to block. Outside of y is silence.
    Returns float32 [batch, sources, samples].
    """
    blocks, width = -(-samples // BLOCK), kernels.shape[-1]
    available = max(y.shape[-1], blocks * BLOCK)
    edges = (TAPS // 2, available - y.shape[-1] + width)
    y = jnp.pad(y, ((0, 0), (0, 0), edges))
    starts = (available - blocks * advance) // 2 + jnp.arange(blocks)[:, None] * advance

    def cut(y: jax.Array, starts: jax.Array) -> jax.Array:
        return jax.vmap(lambda start: jax.lax.dynamic_slice(y, (start,), (width,)))(starts)

    seen = jax.vmap(jax.vmap(cut, in_axes=(0, None)), in_axes=(0, 1))(y, starts)
    # Full precision: what a GPU or TPU makes of float32 by default is noise at -60 dB.
    result = jnp.einsum("nsbm,nsqm->nsbq", seen, kernels, precision=jax.lax.Precision.HIGHEST)
    return result.reshape(*y.shape[:2], -1)[..., :samples]


def _kernels(advance: jax.Array, tilt: jax.Array, highest: int) -> jax.Array:
    """The weights of one block: a low-pass below both Nyquists, tilted, at BLOCK places.

    advance: [batch]; tilt: dB per octave [batch, sources]; highest: the largest advance that there
    can be. Returns [batch, sources, BLOCK, highest + TAPS].
    """
    speed = advance[:, None] / BLOCK
    at = speed * jnp.arange(BLOCK)  # where each result lies between the samples
    taps = jnp.arange(-TAPS // 2, highest + TAPS // 2) * jnp.ones_like(speed)
    cutoff = 0.5 / jnp.maximum(1.0, speed)
    frequencies = cutoff * (jnp.arange(TAPS) + 0.5) / TAPS
    octaves = jnp.log2(jnp.maximum(frequencies, KNEE) / (2 * KNEE))
    response = 10 ** (tilt[..., None] * octaves[:, None] / 20)
    # The sum over frequencies of response * cos(2 pi f (tap - at)), as one product of matrices.
    waves = lambda t: _waves(frequencies[:, None] * t[..., None])  # noqa: E731
    impulse = jnp.einsum(
        "nqf,nsf,nmf->nsqm",
        waves(at),
        jnp.concatenate([response, response], axis=-1) * (2 * cutoff / TAPS)[..., None],
        waves(taps),
        precision=jax.lax.Precision.HIGHEST,
    )
    distance = jnp.clip((taps[:, None] - at[..., None]) / (TAPS // 2), -1, 1)
    window = 0.42 + 0.5 * jnp.cos(np.pi * distance) + 0.08 * jnp.cos(2 * np.pi * distance)
    return impulse * window[:, None]


def _waves(turns: jax.Array) -> jax.Array:
    return jnp.concatenate([jnp.cos(2 * np.pi * turns), jnp.sin(2 * np.pi * turns)], axis=-1)


def _resamples(settings: Augment) -> bool:
    return settings.pitch_semitones != 0 or settings.tilt_db != 0


def _speeds(settings: Augment) -> tuple[int, int]:
    """The lowest and the highest speed, times BLOCK."""
    ratio = 2 ** (settings.pitch_semitones / 12)
    return round(BLOCK / ratio), round(BLOCK * ratio)
