"""How close a model's mashups come to the wanted ones, beside the plain sum and the oracle mask."""

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.audio.stft import istft
from mashjax.tasks.mashup.config import Config
from mashjax.tasks.mashup.examples import (
    Example,
    Statistics,
    level_matched,
    spectrum_scale,
    transform,
)
from mashjax.tasks.mashup.model import HEADS, Params, apply

SCORE = "si_sdr_model"
"""Of the scores of `evaluate`, the one that says which checkpoint is best: higher is better."""


VALIDATION = ("si_sdr", "phi")
"""The measures that training's validation waits for."""

MEASURES = (*VALIDATION, "phase_error", "lsd", "si_sdr_lead", "si_sdr_backing")
"""What is measured of each estimate of the mashup.

si_sdr: see there, in dB. phi: the magnitude-weighted mean of 1 - cos of the phase error
(1 = random). phase_error: the mean of the absolute phase error in units of pi, all bins alike
(0.5 = random), as the students counted it. lsd: the log-spectral distance in dB. si_sdr_lead,
si_sdr_backing: si_sdr of what is let through of song 1 against the wanted lead, of song 2 against
the wanted backing; only where the true sources are known, and the mashup is made of shares of
both songs.
"""

LSD_FLOOR_DB = -60.0
"""What counts as silence in the log-spectral distance, relative to white noise of RMS 1."""


def evaluate(
    cfg: Config,
    params: Params,
    statistics: Statistics,
    batches: Iterable[np.ndarray],
    *,
    measures: tuple[str, ...] = MEASURES,
) -> dict[str, np.ndarray]:
    """Scores of each example of the batches, [examples] each.

    batches: sources [batch, 4 or 3, samples], see `level_matched`; measures: some of `MEASURES`.

    Returns `MEASURE_ESTIMATE` for each estimate of the mashup: "sum" (both songs as they are),
    "model", "no_rotation" (its masks alone) and, where the true sources are known, "oracle" (the
    ratio mask made of them); and "worse_than_sum": whether the model's si_sdr is below the sum's.
    """
    collected = [jax.device_get(_scores(cfg, measures, params, statistics, s)) for s in batches]
    scores = {name: np.concatenate([c[name] for c in collected]) for name in collected[0]}
    return scores | {"worse_than_sum": scores["si_sdr_model"] < scores["si_sdr_sum"]}


def derived(means: dict[str, Any]) -> dict[str, Any]:
    """What follows from the means of the scores, be they numbers or arrays of resampled means.

    gain: of the model over the plain sum, in dB; oracle_share: that gain over the oracle's, NaN
    where the oracle has none. A ratio of means: single examples may leave nothing to gain.
    """
    gain = means["si_sdr_model"] - means["si_sdr_sum"]
    if "si_sdr_oracle" not in means:
        return {"gain": gain}
    room = means["si_sdr_oracle"] - means["si_sdr_sum"]
    return {"gain": gain, "oracle_share": gain / np.where(room > 0, room, np.nan)}


def headline(means: dict[str, dict[str, Any]]) -> str:
    """The means in a few words."""
    said = f"{means['gain']['mean']:+.1f} dB over the plain sum"
    share = means.get("oracle_share")
    if share and share["mean"] is not None:
        said += f", {share['mean']:.0%} of the way to the oracle mask"
    return said


def samples(
    cfg: Config, params: Params, statistics: Statistics, sources: np.ndarray
) -> dict[str, np.ndarray]:
    """The first example of a batch to listen to: both songs, the wanted mashup and the model's.

    sources: as for `evaluate`. Returns sounds [samples] by name, within [-1, 1].
    """
    said = jax.device_get(_sounds(cfg, params, statistics, sources[:1]))
    sounds = {name: y[0] for name, y in said.items()}
    loudest = max(float(np.abs(y).max()) for y in sounds.values())
    return {name: y / max(loudest, 1.0) for name, y in sounds.items()}


def si_sdr(estimate: jax.Array, target: jax.Array) -> jax.Array:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al., 2019) over the last axis.

    Silence counts as 1e-8 of energy, so that an example without sound gives a number.
    """
    tiny = 1e-8
    scale = jnp.sum(estimate * target, -1, keepdims=True)
    scale = scale / (jnp.sum(target**2, -1, keepdims=True) + tiny)
    wanted = jnp.sum((scale * target) ** 2, -1)
    unwanted = jnp.sum((estimate - scale * target) ** 2, -1)
    return 10 * jnp.log10((wanted + tiny) / (unwanted + tiny))


def phi(estimate: jax.Array, target: jax.Array) -> jax.Array:
    """Magnitude-weighted mean of 1 - cos of the phase error of spectra [batch, frames, bins]."""
    product = estimate * jnp.conj(target)
    cos = jnp.real(product) / jnp.maximum(jnp.abs(product), 1e-12)
    weight = jnp.abs(target)
    return jnp.sum(weight * (1 - cos), (-2, -1)) / (jnp.sum(weight, (-2, -1)) + 1e-12)


def phase_error(estimate: jax.Array, target: jax.Array) -> jax.Array:
    """Mean of the absolute phase error of spectra [batch, frames, bins], in units of pi."""
    return jnp.mean(jnp.abs(jnp.angle(estimate * jnp.conj(target))), (-2, -1)) / jnp.pi


def lsd(estimate: jax.Array, target: jax.Array) -> jax.Array:
    """Log-spectral distance in dB of scaled spectra [batch, frames, bins] (see `transform`).

    In each frame the root mean square over the bins of the difference of the power in dB (Gray &
    Markel, 1976), then the mean over the frames; power below `LSD_FLOOR_DB` counts as that.
    """
    quiet = 10 ** (LSD_FLOOR_DB / 10)
    estimate, target = (
        10 * jnp.log10(jnp.maximum(jnp.abs(spectrum) ** 2, quiet))
        for spectrum in (estimate, target)
    )
    return jnp.mean(jnp.sqrt(jnp.mean((estimate - target) ** 2, -1)), -1)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _scores(
    cfg: Config,
    measures: tuple[str, ...],
    params: Params,
    statistics: Statistics,
    sources: jax.Array,
) -> dict[str, jax.Array]:
    """What is not among the measures is traced, but neither compiled nor computed."""
    songs, example, estimates = _estimates(cfg, params, statistics, sources)
    sound = lambda spectrum: _sound(cfg, spectrum, songs.label.shape[-1])  # noqa: E731
    scores: dict[str, jax.Array] = {}
    for name, shares in estimates.items():
        mashup = _whole(shares)
        y = sound(mashup)
        found = {
            "si_sdr": si_sdr(y, songs.label),
            "phi": phi(mashup, example.label),
            "phase_error": phase_error(mashup, example.label),
            # Of the sound: spectra that were filtered or painted are not quite those of any.
            "lsd": lsd(transform(cfg, y), example.label),
        }
        if len(shares) == len(songs.parts) == 2:
            lead, backing = map(si_sdr, map(sound, shares), songs.parts)
            found |= {"si_sdr_lead": lead, "si_sdr_backing": backing}
        scores |= {f"{m}_{name}": found[m] for m in measures if m in found}
    return scores


@functools.partial(jax.jit, static_argnums=0)
def _sounds(
    cfg: Config, params: Params, statistics: Statistics, sources: jax.Array
) -> dict[str, jax.Array]:
    songs, _, estimates = _estimates(cfg, params, statistics, sources)
    return {
        "song1": songs.song1,
        "song2": songs.song2,
        "wanted": songs.label,
        "mashup": _sound(cfg, _whole(estimates["model"]), songs.label.shape[-1]),
    }


def _estimates(
    cfg: Config, params: Params, statistics: Statistics, sources: jax.Array
) -> tuple[Example, Example, dict[str, tuple[jax.Array, ...]]]:
    """Samples of the level-matched songs, their spectra, and estimates of the mashup by name.

    An estimate is what it is the sum of: both songs' shares, or itself alone where nothing is known
    of shares. Spectra are [batch, frames, all bins].
    """
    songs = level_matched(sources)
    example = jax.tree.map(lambda y: transform(cfg, y), songs)
    song1, song2, bins = example.song1, example.song2, cfg.bands.bins
    result = apply(cfg, params, statistics, song1[..., :bins], song2[..., :bins])
    estimates = {
        "sum": (song1, song2),
        **HEADS[cfg.head].estimates(cfg, result, song1, song2),
    }
    if len(example.parts) == 2:
        estimates["oracle"] = tuple(map(_ideal, (song1, song2), example.parts))
    return songs, example, estimates


def _whole(shares: tuple[jax.Array, ...]) -> jax.Array:
    return functools.reduce(jnp.add, shares)


def _sound(cfg: Config, spectrum: jax.Array, length: int) -> jax.Array:
    spectrum = spectrum / spectrum_scale(cfg)
    return istft(spectrum, n_fft=cfg.n_fft, hop_length=cfg.hop_length, length=length)


def _ideal(song: jax.Array, wanted: jax.Array) -> jax.Array:
    """A song through the ratio mask of what is wanted of it."""
    rest = song - wanted
    return song * jnp.abs(wanted) / jnp.maximum(jnp.abs(wanted) + jnp.abs(rest), 1e-12)
