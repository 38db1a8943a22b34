"""How close a model's mashups come to the wanted ones, beside the plain sum and the oracle mask."""

import functools
from collections.abc import Iterable

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


def evaluate(
    cfg: Config, params: Params, statistics: Statistics, batches: Iterable[np.ndarray]
) -> dict[str, float]:
    """Means over all examples of the batches.

    batches: sources [batch, 4 or 3, samples], see `level_matched`.
    Returns for each of "sum" (both songs as they are), "model", "no_rotation" (its masks alone)
    and, where the true sources are known, "oracle" (the ratio mask made of them): `si_sdr_*` in dB
    and `phi_*`, the magnitude-weighted mean of 1 - cos of the phase error (1 = random);
    "examples"; and "worse_than_sum", how many of them the model made worse.
    """
    collected = [jax.device_get(_scores(cfg, params, statistics, s)) for s in batches]
    scores = {name: np.concatenate([c[name] for c in collected]) for name in collected[0]}
    worse = int(np.sum(scores["si_sdr_model"] < scores["si_sdr_sum"]))
    means = {name: round(float(np.mean(values)), 4) for name, values in scores.items()}
    return {"examples": len(scores["si_sdr_sum"]), **means, "worse_than_sum": worse}


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


@functools.partial(jax.jit, static_argnums=0)
def _scores(
    cfg: Config, params: Params, statistics: Statistics, sources: jax.Array
) -> dict[str, jax.Array]:
    songs, example, estimates = _estimates(cfg, params, statistics, sources)
    scores = {}
    for name, estimate in estimates.items():
        y = _sound(cfg, estimate, songs.label.shape[-1])
        scores[f"si_sdr_{name}"] = si_sdr(y, songs.label)
        scores[f"phi_{name}"] = phi(estimate, example.label)
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
        "mashup": _sound(cfg, estimates["model"], songs.label.shape[-1]),
    }


def _estimates(
    cfg: Config, params: Params, statistics: Statistics, sources: jax.Array
) -> tuple[Example, Example, dict[str, jax.Array]]:
    """Samples of the level-matched songs, their spectra, and the mashup's spectra by name.

    Spectra are [batch, frames, all bins].
    """
    songs = level_matched(sources)
    example = jax.tree.map(lambda y: transform(cfg, y), songs)
    song1, song2, bins = example.song1, example.song2, cfg.bands.bins
    result = apply(cfg, params, statistics, song1[..., :bins], song2[..., :bins])
    estimates = {
        "sum": song1 + song2,
        **HEADS[cfg.head].estimates(cfg, result, song1, song2),
    }
    if len(example.parts) == 2:
        estimates["oracle"] = sum(map(_ideal, (song1, song2), example.parts))
    return songs, example, estimates


def _sound(cfg: Config, spectrum: jax.Array, length: int) -> jax.Array:
    spectrum = spectrum / spectrum_scale(cfg)
    return istft(spectrum, n_fft=cfg.n_fft, hop_length=cfg.hop_length, length=length)


def _ideal(song: jax.Array, wanted: jax.Array) -> jax.Array:
    """A song through the ratio mask of what is wanted of it."""
    rest = song - wanted
    return song * jnp.abs(wanted) / jnp.maximum(jnp.abs(wanted) + jnp.abs(rest), 1e-12)
