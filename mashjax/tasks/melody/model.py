"""The network: convolutions that know no pitch from another, then LSTMs that know melodies."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from mashjax.nn.attention import WindowedAttention
from mashjax.nn.lstm import BiLstm
from mashjax.nn.precision import dense
from mashjax.tasks.melody.config import Config
from mashjax.tasks.melody.spectrum import HARMONICS, PER_SEMITONE, bands, by_harmonic, pitches

Params = dict[str, Any]  # {"front": ..., "sequence": ...}
Statistics = dict[str, Any]
"""mean, scale: of all bins of `pitches` together, so that one pitch is like another; band_mean,
band_scale [bands]."""


class Logits(NamedTuple):
    """What the network says of every frame.

    f0: of thirds of semitones [batch, frames, PER_SEMITONE * notes]; note: [batch, frames, notes];
    onset, voicing: [batch, frames].
    """

    f0: jax.Array
    note: jax.Array
    onset: jax.Array
    voicing: jax.Array


class Front(nnx.Module):
    """Convolutions over frames and pitches: how much each pitch sounds like one that is sung."""

    def __init__(self, cfg: Config, *, rngs: nnx.Rngs):
        channels = cfg.channels
        self.first = nnx.Conv(len(HARMONICS), channels, (1, 5), rngs=rngs)
        self.second = nnx.Conv(channels, channels, (3, 3), rngs=rngs)
        self.f0 = nnx.Linear(channels, 1, rngs=rngs)
        self.by_note = nnx.Conv(channels, channels, (3, 5), strides=(1, PER_SEMITONE), rngs=rngs)
        self.note = nnx.Linear(channels, 1, rngs=rngs)
        self.squeeze = nnx.Linear(channels, cfg.squeezed, rngs=rngs)

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """x: [batch, frames, thirds, harmonics].

        Returns logits of f0 [batch, frames, thirds], of notes [batch, frames, notes], and what
        the sequence network sees, [batch, frames, notes * squeezed].
        """
        x = jax.nn.relu(self.second(jax.nn.relu(self.first(x))))
        notes = jax.nn.relu(self.by_note(x))
        squeezed = jax.nn.relu(self.squeeze(notes))
        seen = squeezed.reshape(*squeezed.shape[:2], -1)
        return self.f0(x)[..., 0], self.note(notes)[..., 0], seen


class Sequence(nnx.Module):
    """Which note is meant, where it begins and whether there is one, in the light of what is sung
    before and after: LSTMs both ways around a self-attention."""

    def __init__(self, cfg: Config, *, rngs: nnx.Rngs):
        self.dtype = cfg.dtype
        self.norm = nnx.LayerNorm(cfg.notes * cfg.squeezed, rngs=rngs)
        self.project = nnx.Linear(cfg.notes * cfg.squeezed + cfg.bands, cfg.width, rngs=rngs)
        self.encoder = BiLstm(
            cfg.width, cfg.encoder, bidirectional=True, dtype=cfg.dtype, rngs=rngs
        )
        self.attention = WindowedAttention(
            2 * cfg.encoder,
            cfg.attention,
            window=cfg.window,
            rotary=True,
            dtype=cfg.dtype,
            rngs=rngs,
        )
        self.decoder = BiLstm(
            2 * cfg.encoder + cfg.attention,
            cfg.decoder,
            bidirectional=True,
            dtype=cfg.dtype,
            rngs=rngs,
        )
        self.out = nnx.Linear(2 * cfg.decoder, cfg.notes + 2, rngs=rngs)

    def __call__(self, seen: jax.Array, loud: jax.Array) -> jax.Array:
        """seen: of the front; loud: bands, normalised. Returns [batch, frames, notes + 2]."""
        x = jnp.concatenate([self.norm(seen), loud], axis=-1)
        x = jax.nn.relu(dense(self.project, x, dtype=self.dtype))
        encoded, _ = self.encoder(jnp.swapaxes(x, 0, 1))
        encoded = jnp.swapaxes(encoded, 0, 1)
        x = jnp.concatenate([encoded, self.attention(encoded)], axis=-1)
        decoded, _ = self.decoder(jnp.swapaxes(x, 0, 1))
        return dense(self.out, jnp.swapaxes(decoded, 0, 1), dtype=self.dtype)


class Network(nnx.Module):
    """Both, on normalised spectra."""

    def __init__(self, cfg: Config, *, rngs: nnx.Rngs):
        self.front = Front(cfg, rngs=rngs)
        self.sequence = Sequence(cfg, rngs=rngs)

    def __call__(self, x: jax.Array, loud: jax.Array) -> Logits:
        """x: [batch, frames, thirds, harmonics]; loud: [batch, frames, bands]."""
        f0, local, seen = self.front(x)
        said = self.sequence(seen, loud)
        return Logits(f0, local + said[..., :-2], said[..., -2], said[..., -1])


def init_model(cfg: Config, key: jax.Array) -> Params:
    """Fresh parameters, as nested dicts of arrays."""
    network = Network(cfg, rngs=nnx.Rngs(params=key))
    return nnx.to_pure_dict(nnx.split(network, nnx.Param)[1])


def logits(cfg: Config, params: Params, statistics: Statistics, y: jax.Array) -> Logits:
    """What the network says of sounds, [batch, samples]; the level should be about that of -20 dB
    RMS."""
    x = (pitches(cfg, y) - statistics["mean"]) / statistics["scale"]
    loud = (bands(cfg, y) - statistics["band_mean"]) / statistics["band_scale"]
    shapes = nnx.eval_shape(lambda: Network(cfg, rngs=nnx.Rngs(0)))
    network = nnx.merge(nnx.split(shapes, nnx.Param)[0], nnx.State(params))
    return network(by_harmonic(cfg, x), loud)
