"""How near the painted spectrogram is to the piano's, and whether it shows the right note.

Of notes and of what is heard of it: tests/benchmarks/melody_routes.py.
"""

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.tasks import melody
from mashjax.tasks.melody.examples import heard, sung
from mashjax.tasks.melody_spectrogram.config import Config
from mashjax.tasks.melody_spectrogram.model import (
    Params,
    Statistics,
    compressed,
    looks,
    painted,
    sound,
)
from mashjax.tasks.melody_spectrogram.piano import piano, tones_of

SCORE = "closeness"
"""Of the scores of `evaluate`, the one that says which checkpoint is best: higher is better."""

VALIDATION = ("closeness", "note")
"""The measures that training's validation waits for: all that there are.

closeness: how much smaller the squared distance of both looks is than that of silence, 0 at least
and where no note is but something is painted; note: share of the frames with a note whose painted
look is most like the tone of that note, 1 where there are no such frames.
"""

STRUCK_SECONDS = 0.5
"""Of a tone, what its look is taken from."""


def evaluate(
    cfg: Config,
    params: Params,
    statistics: Statistics,
    batches: Iterable[np.ndarray],
    *,
    measures: tuple[str, ...] = VALIDATION,
) -> dict[str, np.ndarray]:
    """Scores of each example of the batches, [examples] each.

    batches: sources [batch, 3, samples]; measures: some of `VALIDATION`.
    """
    found = [jax.device_get(_marked(cfg, params, statistics, sources)) for sources in batches]
    return {name: np.concatenate([scores[name] for scores in found]) for name in measures}


def derived(means: dict[str, Any]) -> dict[str, Any]:
    """Nothing follows from the means that they do not say."""
    return {}


def headline(means: dict[str, dict[str, Any]]) -> str:
    """The means in a few words."""
    closeness, note = (means[name]["mean"] for name in ("closeness", "note"))
    return f"{closeness:.1%} of the piano is painted; {note:.1%} of the frames show its note"


def samples(
    cfg: Config, params: Params, statistics: Statistics, sources: np.ndarray
) -> dict[str, np.ndarray]:
    """The voice of the first example of a batch, the painted piano and the one that was wanted."""
    sounds = _sounds(cfg, params, statistics, sources[:1])
    return {name: np.clip(np.asarray(y[0]), -1, 1) for name, y in sounds.items()}


def statistics(cfg: Config, batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Those of what the melody network hears, and mean and scale of the pianos' looks."""
    kept = list(batches)
    found = melody.statistics(cfg.heard, kept)

    def sums(track: jax.Array) -> jax.Array:
        size = compressed(cfg, piano(cfg, track))
        return jnp.stack([jnp.mean(size), jnp.mean(size**2)])

    both = jax.jit(sums)
    mean, square = np.mean([np.asarray(both(x[:, 2]), np.float64) for x in kept], axis=0)
    found["painted_mean"] = np.array(mean, np.float32)
    found["painted_scale"] = np.array(np.sqrt(max(square - mean**2, 1e-6)), np.float32)
    return found


def marks(
    cfg: Config, statistics: Statistics, track: jax.Array, look: jax.Array
) -> dict[str, jax.Array]:
    """The measures of looks [batch, frames, bins] for tracks of notes [batch, samples]."""
    wanted = looks(cfg, statistics, piano(cfg, track))
    nothing = -statistics["painted_mean"] / statistics["painted_scale"]

    away = jnp.sum((look - wanted) ** 2, axis=(1, 2))
    whole = jnp.sum((wanted - nothing) ** 2, axis=(1, 2))
    sounds = sung(cfg.heard, track, frames=wanted.shape[1]).note
    likely = cfg.heard.lowest + jnp.argmax((look - nothing) @ _looks_of_tones(cfg), axis=-1)

    frames = jnp.sum(sounds > 0, axis=1)
    right = jnp.sum((likely == sounds) & (sounds > 0), axis=1) / jnp.maximum(frames, 1)
    return {
        "closeness": jnp.maximum(1 - away / jnp.maximum(whole, 1e-6), 0.0),
        "note": jnp.where(frames > 0, right, 1.0),
    }


@functools.partial(jax.jit, static_argnums=0)
def _marked(
    cfg: Config, params: Params, statistics: Statistics, sources: jax.Array
) -> dict[str, jax.Array]:
    look = painted(cfg, params, statistics, heard(sources))
    return marks(cfg, statistics, jnp.asarray(sources)[:, 2], look)


@functools.partial(jax.jit, static_argnums=0)
def _sounds(
    cfg: Config, params: Params, statistics: Statistics, sources: jax.Array
) -> dict[str, jax.Array]:
    look = painted(cfg, params, statistics, heard(sources))
    return {
        "voice": sources[:, 0],
        "painted": sound(cfg, statistics, look, length=sources.shape[-1]),
        "wanted": piano(cfg, sources[:, 2]),
    }


@functools.lru_cache(maxsize=2)
def _looks_of_tones(cfg: Config) -> np.ndarray:
    """How each key looks when struck, [bins, notes], of length 1."""
    tones = tones_of(cfg)[:, : round(STRUCK_SECONDS * cfg.sample_rate)]
    with jax.ensure_compile_time_eval():
        look = np.asarray(compressed(cfg, jnp.asarray(tones))).mean(axis=1)
    return (look / np.linalg.norm(look, axis=1, keepdims=True)).T
