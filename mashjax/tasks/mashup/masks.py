"""The mask head: how much of each song to keep, and how far to turn its phase.

mashup = sum over songs of mask * |X| * exp(i (angle X + rotation)). Masks are per band; rotations
only for the bands that are single bins, since bins of one wide band share no phase.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.tasks.mashup.config import Config
from mashjax.tasks.mashup.examples import Example, Statistics, normalised

QUIET = 0.1
"""Share of both songs' magnitude below which the wanted mashup counts as quiet."""

AJAR = 0.05
"""Of every bin that is let through, -26 dB: where a mask is shut, the phase is nobody's."""


class Filters(NamedTuple):
    """mask1, mask2: 0..1 [batch, frames, bands]; rotation1, rotation2: radians [..., linear]."""

    mask1: jax.Array
    mask2: jax.Array
    rotation1: jax.Array
    rotation2: jax.Array


def feature_counts(cfg: Config) -> tuple[int, int]:
    """What the magnitude and the phase network see of a song in each frame."""
    return cfg.bands.count, 8 * cfg.bands.linear


def output_counts(cfg: Config) -> tuple[int, int]:
    return 2 * cfg.bands.count, 2 * cfg.bands.linear


def first_bias(cfg: Config) -> float:
    """The logit of the mask before training."""
    return float(np.log(cfg.first_mask / (1 - cfg.first_mask)))


def features(
    cfg: Config, statistics: Statistics, song1: jax.Array, song2: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """Magnitude network: log-magnitudes. Phase network: those of the low bins, and how far each
    bin's phase is from its neighbours': the advance from the frame before and to the frame behind,
    and the turn from the bin below. Two partials that beat in one bin are told from a single one by
    them, and where in their beat they are. The masks join them: see `with_masks`."""
    linear = cfg.bands.linear
    logs = normalised(cfg, song1, statistics), normalised(cfg, song2, statistics)
    phase = []
    for log, song in zip(logs, (song1, song2), strict=True):
        low = song[..., :linear]
        before = _advance(cfg, low)
        behind = jnp.pad(before[:, 1:], ((0, 0), (0, 1), (0, 0)))
        below = _turn(cfg, -low[..., 1:], low[..., :-1])  # a partial's phase turns by pi per bin
        below = jnp.pad(below, ((0, 0), (0, 0), (1, 0)))
        parts = [f(turn) for turn in (before, behind, below) for f in (jnp.real, jnp.imag)]
        phase.append(jnp.concatenate([log[..., :linear], *parts], axis=-1))
    return logs, (phase[0], phase[1])


def with_masks(
    cfg: Config, phase: tuple[jax.Array, jax.Array], magnitude_said: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """What the phase network sees, with each song's mask: how large the wanted part of a bin is
    says how far its phase may be from the song's. The masks are constants to the phase's loss."""
    masks = jnp.split(jax.nn.sigmoid(jax.lax.stop_gradient(magnitude_said)), 2, axis=-1)
    linear = cfg.bands.linear
    first, second = (
        jnp.concatenate([seen, mask[..., :linear]], axis=-1)
        for seen, mask in zip(phase, masks, strict=True)
    )
    return first, second


def result(
    cfg: Config, statistics: Statistics, magnitude_said: jax.Array, phase_said: jax.Array
) -> Filters:
    masks = jnp.split(jax.nn.sigmoid(magnitude_said), 2, axis=-1)
    rotations = jnp.split(jnp.pi * jnp.tanh(phase_said), 2, axis=-1)
    return Filters(*masks, *rotations)


def loss(
    cfg: Config, statistics: Statistics, filters: Filters, example: Example
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Complex L1 on the mashup and its sources, compressed-magnitude L1 on the mashup, phase error.

    The rotations are constants to the first two: the magnitude network learns under the phase that
    there is, and the phase network from its own loss alone, the mean of 1 - cos of the phase
    error, weighted by magnitude (0 = right, 1 = random): of each source where both are known, else
    of the mashup.

    Each is relative to the example's own level, so that a quiet example weighs as much as a loud
    one, unless what is wanted of it is 20 dB quieter than the songs: its errors are no larger then.
    """
    fixed = jax.lax.stop_gradient(filters)
    masked = fixed._replace(mask1=filters.mask1, mask2=filters.mask2)
    turned = fixed._replace(rotation1=filters.rotation1, rotation2=filters.rotation2)
    shares = filtered(cfg, masked, example.song1, example.song2)
    mashup, label = shares[0] + shares[1], example.label
    songs = example.song1, example.song2
    errors = [_l1(mashup - label)]
    if len(example.parts) == 2:
        errors += [_l1(share - part) for share, part in zip(shares, example.parts, strict=True)]
    compressed = _mean(jnp.abs(_compress(mashup) - _compress(label)))
    shares = filtered(cfg, turned, example.song1, example.song2)
    heard = shares if len(example.parts) == 2 else (shares[0] + shares[1],)
    low = lambda spectrum: spectrum[..., : cfg.bands.linear]  # noqa: E731
    least: jax.Array = QUIET * (_mean(jnp.abs(low(songs[0]))) + _mean(jnp.abs(low(songs[1]))))
    phase = [
        _phase_error(low(share), low(part), least)
        for share, part in zip(heard, example.parts, strict=True)
    ]
    level = jnp.maximum(_l1(label), QUIET * sum(map(_l1, songs)))
    parts = {
        "complex": jnp.mean(sum(errors) / level),
        "compressed": jnp.mean(compressed / _mean(_compress(label))),
        "phase": jnp.mean(jnp.stack(phase)),
    }
    total = (
        parts["complex"]
        + cfg.compressed_weight * parts["compressed"]
        + cfg.phase_weight * parts["phase"]
    )
    return total, parts


def filtered(
    cfg: Config, filters: Filters, song1: jax.Array, song2: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Both songs' shares of the mashup: spectra [batch, frames, bins] through their filters."""
    return (
        _filter(cfg, song1, filters.mask1, filters.rotation1),
        _filter(cfg, song2, filters.mask2, filters.rotation2),
    )


def eased(mask: Any) -> Any:
    """A mask as it is heard, [..., frames, bands], of NumPy or of JAX.

    The mean of three frames, and never quite shut: the loss, an absolute error, shuts masks harder
    than the squared error by which sounds are compared. 0.13 dB and .012 of phi on validation.
    """
    xp = mask.__array_namespace__()
    around = xp.concat([mask[..., :1, :], mask, mask[..., -1:, :]], axis=-2)
    mean = (around[..., :-2, :] + mask + around[..., 2:, :]) / 3
    return AJAR + (1 - AJAR) * mean


def estimates(
    cfg: Config, filters: Filters, song1: jax.Array, song2: jax.Array
) -> dict[str, tuple[jax.Array, ...]]:
    """Both songs' shares, whose sum is the mashup, as evaluation compares them: whole spectra.

    Each is [batch, frames, all bins]. Bins above the network's bands take the last band's mask,
    as in `mashjax.mix`.
    """
    filters = filters._replace(mask1=eased(filters.mask1), mask2=eased(filters.mask2))
    still = jnp.zeros_like(filters.rotation1)
    unturned = filters._replace(rotation1=still, rotation2=still)
    above = [
        song[..., cfg.bands.bins :] * mask[..., -1:]
        for song, mask in ((song1, filters.mask1), (song2, filters.mask2))
    ]
    return {
        name: tuple(
            jnp.concatenate(share, axis=-1)
            for share in zip(filtered(cfg, used, song1, song2), above, strict=True)
        )
        for name, used in (("model", filters), ("no_rotation", unturned))
    }


def _filter(cfg: Config, song: jax.Array, mask: jax.Array, rotation: jax.Array) -> jax.Array:
    bands = cfg.bands
    low = song[..., : bands.linear] * mask[..., : bands.linear] * jnp.exp(1j * rotation)
    if bands.count == bands.linear:
        return low
    high = song[..., bands.linear : bands.bins] * (mask[..., bands.linear :] @ bands.spread)
    return jnp.concatenate([low, high], axis=-1)


def _advance(cfg: Config, song: jax.Array) -> jax.Array:
    """How much further a bin's phase went in one hop than its centre frequency, exp(i advance).

    1 for a partial at the bin's centre; the first frame has no predecessor and says 0.
    """
    expected = 2 * np.pi * np.arange(song.shape[-1]) * cfg.hop_length / cfg.n_fft
    turn = _turn(cfg, song[:, 1:] * np.exp(-1j * expected).astype(np.complex64), song[:, :-1])
    return jnp.pad(turn, ((0, 0), (1, 0), (0, 0)))


def _turn(cfg: Config, to: jax.Array, of: jax.Array) -> jax.Array:
    """exp(i (angle `to` - angle `of`)); 0 where they are 60 dB below the usual level: noise."""
    turn = to * jnp.conj(of)
    return turn / (jnp.abs(turn) + 10 ** (cfg.floor_db / 10))


def _phase_error(heard: jax.Array, wanted: jax.Array, least: jax.Array) -> jax.Array:
    """Mean of 1 - cos of the phases' difference, weighted by the wanted magnitude, [batch].

    least: what the mean of the wanted magnitude is taken for where it is less, [batch].
    """
    product, weight = heard * jnp.conj(wanted), jnp.abs(wanted)
    cos = jnp.real(product) / jnp.maximum(jnp.abs(product), 1e-9)
    return _mean(weight * (1 - cos)) / (jnp.maximum(_mean(weight), least) + 1e-9)


def _l1(spectrum: jax.Array) -> jax.Array:
    return _mean(jnp.abs(jnp.real(spectrum)) + jnp.abs(jnp.imag(spectrum))) + 1e-9


def _mean(values: jax.Array) -> jax.Array:
    """Of each example, [batch, frames, bins] -> [batch]."""
    return jnp.mean(values, axis=(-2, -1))


def _compress(spectrum: jax.Array) -> jax.Array:
    """|X| to the power 0.3: quiet partials count, as they do for the ear."""
    power = jnp.real(spectrum) ** 2 + jnp.imag(spectrum) ** 2
    return (power + 1e-8) ** 0.15
