"""A spectrogram in, a spectrogram out: convolutions alone, and a critic that may be asked."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from mashjax.audio.griffin_lim import griffin_lim
from mashjax.audio.stft import stft
from mashjax.tasks.melody.spectrum import HARMONICS, PER_SEMITONE, bands, by_harmonic, pitches
from mashjax.tasks.melody_spectrogram.config import Config

Params = dict[str, Any]  # {"painter": ..., "critic": ...}
Statistics = dict[str, Any]
"""Those of the melody task, and painted_mean and painted_scale, of all bins together."""

UNIT = 0.25
"""A sine of amplitude 1 has magnitude 1 after division by UNIT * n_fft (Hann)."""


class Painter(nnx.Module):
    """From pitches with their partials to states of every note, and from these to bins.

    The first part knows no pitch from another, the last is a matrix that learns each key's
    partials. Between them convolutions over frames, each of them farther apart than the last, say
    which note is meant and how long ago it was struck.
    """

    def __init__(self, cfg: Config, *, rngs: nnx.Rngs):
        channels, seen = cfg.channels, cfg.heard.notes * cfg.states
        self.first = nnx.Conv(len(HARMONICS), channels, (1, 5), rngs=rngs)
        self.second = nnx.Conv(channels, channels, (3, 3), rngs=rngs)
        self.by_note = nnx.Conv(channels, channels, (3, 5), strides=(1, PER_SEMITONE), rngs=rngs)
        self.state = nnx.Linear(channels, cfg.states, rngs=rngs)
        self.norm = nnx.LayerNorm(seen, rngs=rngs)
        self.project = nnx.Linear(seen + cfg.heard.bands, cfg.width, rngs=rngs)
        self.inner = nnx.Dict(
            {
                str(number): nnx.Conv(cfg.width, cfg.width, (3,), kernel_dilation=apart, rngs=rngs)
                for number, apart in enumerate(cfg.dilations)
            }
        )
        self.meant = nnx.Linear(cfg.width, seen, rngs=rngs)
        self.paint = nnx.Linear(seen, cfg.n_fft // 2 + 1, rngs=rngs)

    def __call__(self, x: jax.Array, loud: jax.Array) -> jax.Array:
        """x: [batch, frames, thirds, harmonics]; loud: [batch, frames, bands], normalised.

        Returns [batch, frames, bins].
        """
        x = jax.nn.relu(self.second(jax.nn.relu(self.first(x))))
        states = self.state(jax.nn.relu(self.by_note(x)))
        states = states.reshape(*states.shape[:2], -1)
        seen = jnp.concatenate([self.norm(jax.nn.relu(states)), loud], axis=-1)
        y = jax.nn.relu(self.project(seen))
        for number in range(len(self.inner)):
            y = y + jax.nn.relu(self.inner[str(number)](y))
        return self.paint(jax.nn.relu(states + self.meant(y)))


class Critic(nnx.Module):
    """How much every part of a spectrogram looks like a piano's, by small convolutions."""

    def __init__(self, cfg: Config, *, rngs: nnx.Rngs):
        channels = cfg.critic_channels
        self.first = nnx.Conv(1, channels, (3, 9), strides=(2, 4), rngs=rngs)
        self.second = nnx.Conv(channels, channels, (3, 9), strides=(2, 4), rngs=rngs)
        self.last = nnx.Linear(channels, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[batch, frames, bins] -> logits [batch, ...]."""
        x = jax.nn.leaky_relu(self.second(jax.nn.leaky_relu(self.first(x[..., None]))))
        return self.last(x)[..., 0]


def init_model(cfg: Config, key: jax.Array) -> Params:
    """Fresh parameters, as nested dicts of arrays; without a critic where none is asked."""
    rngs = nnx.Rngs(params=key)
    parts: dict[str, nnx.Module] = {"painter": Painter(cfg, rngs=rngs)}
    if cfg.critic:
        parts["critic"] = Critic(cfg, rngs=rngs)
    return {name: nnx.to_pure_dict(nnx.split(part, nnx.Param)[1]) for name, part in parts.items()}


def painted(cfg: Config, params: Params, statistics: Statistics, y: jax.Array) -> jax.Array:
    """What the piano of voices [batch, samples], as levelled, looks like: [batch, frames, bins].

    In units of `statistics`' painted_scale around painted_mean: as `looks` of a sound is.
    """
    heard = cfg.heard
    x = (pitches(heard, y) - statistics["mean"]) / statistics["scale"]
    loud = (bands(heard, y) - statistics["band_mean"]) / statistics["band_scale"]
    return _module(Painter, cfg, params["painter"])(by_harmonic(heard, x), loud)


def looks(cfg: Config, statistics: Statistics, y: jax.Array) -> jax.Array:
    """Sounds [batch, samples] as the network paints them: [batch, frames, bins]."""
    return (compressed(cfg, y) - statistics["painted_mean"]) / statistics["painted_scale"]


def compressed(cfg: Config, y: jax.Array) -> jax.Array:
    """Magnitudes of sounds [batch, samples] to the power of `cfg.power`: [batch, frames, bins]."""
    spectrum = stft(y, n_fft=cfg.n_fft, hop_length=cfg.hop_length)
    return (jnp.abs(spectrum) / (UNIT * cfg.n_fft)) ** cfg.power


def judged(cfg: Config, params: Params, look: jax.Array) -> jax.Array:
    """The critic's logits of looks [batch, frames, bins]: higher is more like a piano."""
    return _module(Critic, cfg, params["critic"])(look)


def magnitude(cfg: Config, statistics: Statistics, look: jax.Array) -> jax.Array:
    """The magnitudes of the STFT that looks so, [batch, frames, bins]."""
    size = look * statistics["painted_scale"] + statistics["painted_mean"]
    return jnp.maximum(size, 0.0) ** (1 / cfg.power) * (UNIT * cfg.n_fft)


def sound(cfg: Config, statistics: Statistics, look: jax.Array, *, length: int) -> jax.Array:
    """Sounds [batch, length] that look so."""
    return griffin_lim(
        magnitude(cfg, statistics, look),
        n_fft=cfg.n_fft,
        hop_length=cfg.hop_length,
        length=length,
    )


def _module(kind: type[nnx.Module], cfg: Config, params: dict[str, Any]) -> Any:
    """Made while tracing, so it costs nothing per step."""
    shapes = nnx.eval_shape(lambda: kind(cfg, rngs=nnx.Rngs(0)))  # type: ignore[call-arg]
    return nnx.merge(nnx.split(shapes, nnx.Param)[0], nnx.State(params))
