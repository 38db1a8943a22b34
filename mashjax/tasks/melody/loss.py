"""What the network is taught: the note that is meant, where it begins and whether it sounds."""

import jax
import jax.numpy as jnp
import optax

from mashjax.tasks.melody.config import Config
from mashjax.tasks.melody.examples import sung, thirds, varied
from mashjax.tasks.melody.model import Params, Statistics, logits

WEIGHTS = {"note": 1.0, "onset": 3.0, "voicing": 1.0, "f0": 0.3}
"""Onsets are rare, so that their mean is small; a pitch is easy, and its loss never reaches 0."""


def loss_fn(
    cfg: Config,
    params: Params,
    statistics: Statistics,
    sources: jax.Array,
    keys: jax.Array,
    *,
    frames: int,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The training loss of a batch, and its parts by name.

    sources: [batch, 3, samples], lead, backing and track of notes; keys: [batch], for augmentation;
    frames: how many are judged, for which there may be more samples than they need.
    Cross entropies: of the note where one is voiced, of the voice's pitch likewise, of whether a
    note begins, and whether one is voiced, everywhere.
    """
    y, track = varied(cfg, sources, keys, frames=frames)
    said, wanted = logits(cfg, params, statistics, y), sung(cfg, track, frames=frames)
    voiced = wanted.voiced & (wanted.note >= cfg.lowest) & (wanted.note < cfg.lowest + cfg.notes)
    count = jnp.maximum(jnp.sum(voiced), 1)

    def over_voiced(losses: jax.Array) -> jax.Array:
        return jnp.sum(jnp.where(voiced, losses, 0.0)) / count

    note = jnp.clip(wanted.note - cfg.lowest, 0, cfg.notes - 1)
    # A Gaussian of a third of a semitone around the pitch: half of it would be lost in the bins.
    away = jnp.arange(said.f0.shape[-1]) - thirds(cfg, wanted.pitch)[..., None]
    near = jax.nn.softmax(-0.5 * away**2)
    parts = {
        "note": over_voiced(optax.softmax_cross_entropy_with_integer_labels(said.note, note)),
        "onset": jnp.mean(optax.sigmoid_binary_cross_entropy(said.onset, wanted.onset)),
        "voicing": jnp.mean(optax.sigmoid_binary_cross_entropy(said.voicing, wanted.voiced)),
        "f0": over_voiced(optax.softmax_cross_entropy(said.f0, near)),
    }
    parts["note_right"] = over_voiced(jnp.argmax(said.note, axis=-1) == note)
    weighted = jnp.stack([weight * parts[name] for name, weight in WEIGHTS.items()])
    return jnp.sum(weighted), parts
