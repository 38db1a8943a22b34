"""The piano that the network is to paint: the notes of a track, played on the device.

Every key of `audio.piano` is struck once, on the host; a track's sound is read from these tones, so
that it costs two look-ups a sample where the piano itself sums eighty sines.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.audio.midi import Note
from mashjax.audio.piano import DAMPED_SECONDS, play
from mashjax.data.control import told
from mashjax.tasks.melody_spectrogram.config import Config

SECONDS = 4.0  # that a key is heard at most
VELOCITY = 80  # a voice's own loudness is not looked at
LEVEL = 0.1  # RMS of the middle key's first second


def piano(cfg: Config, track: jax.Array) -> jax.Array:
    """What the piano plays of tracks of notes: [batch, samples] -> [batch, samples].

    A note that sounds when the track begins is struck then. A damper brings each down at its end,
    while the next one sounds.
    """
    tones = tones_of(cfg)
    last = tones.shape[1] - 1
    said = told(track)
    now = jnp.arange(track.shape[-1])
    before = jnp.pad(said.side, ((0, 0), (1, 0)))[:, :-1]
    changes = said.side != before
    key = jnp.where(said.side != 0, said.note - cfg.heard.lowest, -1)
    struck = jax.lax.cummax(jnp.where(changes, now, 0), axis=1)
    ended = jax.lax.cummax(jnp.where(changes & (before != 0), now, 0), axis=1)

    def heard(key: jax.Array, age: jax.Array) -> jax.Array:
        known = (key >= 0) & (key < len(tones))
        places = jnp.clip(key, 0, len(tones) - 1) * (last + 1) + jnp.minimum(age, last)
        return jnp.where(known, jnp.take(tones.reshape(-1), places), 0.0)

    # What was struck last before the present note, or silence: the sample before `ended` is its.
    its = functools.partial(jnp.take_along_axis, indices=jnp.maximum(ended - 1, 0), axis=1)
    since = (now - ended) / np.float32(cfg.sample_rate * DAMPED_SECONDS)
    tail = heard(jnp.where(ended > 0, its(key), -1), now - its(struck)) * jnp.exp(-since)
    return heard(key, now - struck) + tail


@functools.lru_cache(maxsize=2)
def tones_of(cfg: Config) -> np.ndarray:
    """Every key that a voice may mean, held: float32 [notes, samples], left and right as one."""
    sr, samples = cfg.sample_rate, round(SECONDS * cfg.sample_rate)
    keys = range(cfg.heard.lowest, cfg.heard.lowest + cfg.heard.notes)
    tones = np.stack(
        [
            play([Note(0.0, 2 * SECONDS, key, VELOCITY)], samples=samples, sr=sr).mean(0)
            for key in keys
        ]
    )
    middle = tones[len(tones) // 2, :sr]
    return tones * np.float32(LEVEL / np.sqrt(np.mean(middle**2)))
