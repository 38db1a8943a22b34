"""From a batch of sources to sounds and to what is sung in them."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.data.augment import augmented, slack
from mashjax.data.control import told
from mashjax.tasks.melody.config import Config
from mashjax.tasks.melody.recording import decibels, expressive, recorded, scooped
from mashjax.tasks.melody.spectrum import PER_SEMITONE, bands, pitches

LEVEL = 0.1  # RMS of the whole of what the network hears
LEAST_SCALE = 0.1  # of log powers


class Sung(NamedTuple):
    """What is sung in every frame, [batch, frames] each.

    note: MIDI number, 0 where none sounds; pitch: the voice's own, a MIDI number; voiced: whether
    a note sounds and is voiced; onset: 1 in the frame in which one begins, and less around it.
    """

    note: jax.Array
    pitch: jax.Array
    voiced: jax.Array
    onset: jax.Array


def example_samples(cfg: Config, frames: int) -> int:
    """How long an example must be, in samples, to have so many frames."""
    return (frames - 1) * cfg.hop_length


def read_samples(cfg: Config, frames: int) -> int:
    """How much of an example training should read, where there is so much: augmentation needs
    more than it gives."""
    samples = example_samples(cfg, frames)
    return samples + slack(cfg.augment, samples)


def levelled(y: Any) -> Any:
    """Sounds [..., samples], of NumPy or of JAX, at `LEVEL`; silence stays silent."""
    xp = np if isinstance(y, np.ndarray) else jnp
    if y.shape[-1] == 0:
        return y
    rms = xp.sqrt(xp.mean(y**2, axis=-1, keepdims=True))
    return y * (LEVEL / xp.maximum(rms, 1e-4))


def heard(sources: jax.Array) -> jax.Array:
    """The voices of some sources [batch, 3, samples], as they are, [batch, samples]."""
    return levelled(sources[:, 0])


def varied(
    cfg: Config, sources: jax.Array, keys: jax.Array, *, frames: int
) -> tuple[jax.Array, jax.Array]:
    """Voices of a training batch as they may be recorded, and the tracks of notes.

    Their backings' bleed is heard in some of them, and in a few the backing alone, and no note.
    sources: [batch, 3, samples]; keys: [batch]. Returns [batch, samples] twice.
    """
    samples = example_samples(cfg, frames)
    keys, for_kind, for_level, for_pitch, for_voice, for_room, for_gain = jnp.moveaxis(
        jax.vmap(lambda key: jax.random.split(key, 7))(keys), 1, 0
    )
    lead, backing = jnp.moveaxis(
        augmented(
            sources[:, :2],
            keys,
            settings=cfg.augment,
            samples=samples,
            parts=(0, 1),
            songs=(0, 0),
        ),
        1,
        0,
    )
    # `augmented` takes its result from the middle, in whole blocks.
    start = (sources.shape[-1] - samples) // 2
    track = sources[:, 2, start : start + samples]
    kind = jax.vmap(jax.random.uniform)(for_kind)[:, None]
    unsung, bled = kind < cfg.unsung, kind < cfg.unsung + cfg.bled
    lead, track = scooped(cfg, lead, track, for_pitch)
    lead = expressive(cfg, lead, track, for_voice)
    level = jnp.sqrt(jnp.mean(lead**2, axis=-1, keepdims=True))
    own = jnp.sqrt(jnp.mean(backing**2, axis=-1, keepdims=True))
    bleed = level / jnp.maximum(own, 1e-4) * decibels(for_level, *cfg.bleed_db) * bled
    y = recorded(cfg, jnp.where(unsung, backing, lead + bleed * backing), for_room)
    y = levelled(y) * decibels(for_gain, -cfg.augment.gain_db, cfg.augment.gain_db)
    return y, jnp.where(unsung, 0.0, track)


def sung(cfg: Config, track: jax.Array, *, frames: int) -> Sung:
    """What tracks of notes [batch, samples] say of every frame."""
    at = told(jnp.pad(track, ((0, 0), (0, 1)), mode="edge")[:, :: cfg.hop_length][:, :frames])
    before = jnp.pad(at.side, ((0, 0), (1, 0)), mode="edge")[:, :-1]
    begins = ((at.side != 0) & (at.side != before)).astype(jnp.float32)
    padded = jnp.pad(begins, ((0, 0), (2, 2)))
    around = [weight * padded[:, k : k + frames] for k, weight in enumerate((1, 2, 3, 2, 1))]
    onset = jnp.max(jnp.stack(around), axis=0) / 3
    return Sung(at.note, at.note + at.deviation, at.voiced, onset)


def thirds(cfg: Config, pitch: jax.Array) -> jax.Array:
    """Where pitches (MIDI) lie in the network's thirds of semitones."""
    return PER_SEMITONE * (pitch - cfg.lowest) + PER_SEMITONE // 2


def statistics(cfg: Config, batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Mean and scale of both spectra over some batches of sources, of voices as they are."""

    def sums(sources: jax.Array) -> tuple[jax.Array, ...]:
        y = heard(sources)
        x, loud = pitches(cfg, y), bands(cfg, y)
        return x.mean(), (x**2).mean(), loud.mean((0, 1)), (loud**2).mean((0, 1))

    both: Callable = jax.jit(sums)
    means = [
        np.mean(part, axis=0) for part in zip(*map(jax.device_get, map(both, batches)), strict=True)
    ]
    mean, square, band_mean, band_square = (np.asarray(m, np.float64) for m in means)

    def scale(mean: np.ndarray, square: np.ndarray) -> np.ndarray:
        return np.maximum(np.sqrt(np.maximum(square - mean**2, 0)), LEAST_SCALE)

    said = {"mean": mean, "scale": scale(mean, square)}
    said |= {"band_mean": band_mean, "band_scale": scale(band_mean, band_square)}
    return {name: value.astype(np.float32) for name, value in said.items()}
