"""From rows of tracks to what the networks see, and what must be known of all songs for that."""

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from mashjax.data.store import SCALE
from mashjax.data.track_rows import (
    CHROMA,
    COUNTS,
    EXISTS,
    LABELS,
    LABELS_ROW,
    TIMBRE,
    TIMBRE_SCALE,
    WORDS,
)
from mashjax.data.tracks import PITCH_CLASSES
from mashjax.data.word_vectors import read_word_vectors
from mashjax.errors import UserError
from mashjax.tasks.genre.config import Config
from mashjax.tasks.genre.lyrics import rarity, topics

Statistics = dict[str, Any]
"""mean, scale [24]: of the segments' channels; prior [genres]: shares of the training examples;
deciles [9]: bounds of popularity, squashed; rarity [1 + words], vectors [1 + words, topics]: of
the vocabulary, number 0 being no word; centre, spread [topics]: of the songs' mean vectors."""

CHANNELS = TIMBRE.stop
DECILES = 10


class Inputs(NamedTuple):
    """What a network sees; batch first.

    segments: [batch, segments, 24] with mean 0 and scale 1, 0 where there are none; exists:
    [batch, segments], 1 or 0; topics: [batch, topics]; sung: [batch, 1], 1 where the words are
    known. A song without known words and one whose words mean nothing are told apart by `sung`.
    """

    segments: jax.Array
    exists: jax.Array
    topics: jax.Array
    sung: jax.Array


class Labels(NamedTuple):
    """genre: int [batch], -1 where it is not known; decile: int [batch], likewise."""

    genre: jax.Array
    decile: jax.Array


def example_samples(cfg: Config, frames: int) -> int:
    """How many segments an example has: as many as the store's."""
    return cfg.segments


def read_samples(cfg: Config, frames: int) -> int:
    """As many as are used."""
    return cfg.segments


def inputs(
    cfg: Config, statistics: Statistics, sources: jax.Array, *, shifts: jax.Array | None = None
) -> Inputs:
    """sources: rows [batch, len(TRACK_ROW), segments]; shifts: int [batch], semitones up."""
    chroma = sources[:, CHROMA]
    if shifts is not None:
        places = (jnp.arange(PITCH_CLASSES) - shifts[:, None]) % PITCH_CLASSES
        chroma = jnp.take_along_axis(chroma, places[..., None], axis=1)
    exists = sources[:, EXISTS]
    x = jnp.concatenate([chroma, sources[:, TIMBRE] * TIMBRE_SCALE], axis=1)
    x = (x - statistics["mean"][:, None]) / statistics["scale"][:, None]
    segments = jnp.moveaxis(x * exists[:, None], 1, 2)
    if not cfg.reads:
        nothing = jnp.zeros((len(sources), 0))
        return Inputs(segments, exists, nothing, nothing)
    sung = sources[:, LABELS_ROW, LABELS.index("lyrics"), None]
    mean = (_mean_vector(statistics, sources) - statistics["centre"]) / statistics["spread"]
    return Inputs(segments, exists, mean * sung, sung)


def labels(statistics: Statistics, sources: jax.Array | np.ndarray) -> Labels:
    """What is to be said of rows."""
    given = {name: sources[:, LABELS_ROW, place] for place, name in enumerate(LABELS)}
    genre = jnp.rint(given["genre"] * SCALE).astype(jnp.int32) - 1
    popularity = given["popularity"]
    decile = jnp.searchsorted(jnp.asarray(statistics["deciles"]), popularity, side="right")
    return Labels(genre, jnp.where(popularity < 0, -1, decile))


def statistics(cfg: Config, batches: Iterable[np.ndarray]) -> Statistics:
    """What the examples of some batches are like; of the words, the more songs the better.

    Raises:
      UserError: `cfg.word_vectors` cannot be used.
    """
    total, square, count = np.zeros(CHANNELS), np.zeros(CHANNELS), 0.0
    genres: list[np.ndarray] = []
    popularity: list[np.ndarray] = []
    sung: list[sparse.csr_matrix] = []
    for batch in batches:
        exists = batch[:, EXISTS] > 0
        x = np.moveaxis(batch[:, :CHANNELS], 1, 2)[exists].astype(np.float64)
        total, square, count = total + x.sum(0), square + (x**2).sum(0), count + len(x)
        given = batch[:, LABELS_ROW, : len(LABELS)]
        genres.append(np.rint(given[:, LABELS.index("genre")] * SCALE).astype(int) - 1)
        popularity.append(given[:, LABELS.index("popularity")])
        if cfg.reads:
            sung.append(_counts(batch[given[:, LABELS.index("lyrics")] > 0], cfg.vocabulary))
    mean = total / count
    scale = np.sqrt(np.maximum(square / count - mean**2, 1e-8))
    # Chroma's twelve channels share one mean and one scale: transposed, they are each other.
    mean[CHROMA], scale[CHROMA] = mean[CHROMA].mean(), np.sqrt((scale[CHROMA] ** 2).mean())
    unit = np.where(np.arange(CHANNELS) < CHROMA.stop, 1.0, TIMBRE_SCALE)
    genre, known = np.concatenate(genres), np.concatenate(popularity)
    prior = np.bincount(genre[genre >= 0], minlength=len(cfg.names)) + 1.0
    known = known[known >= 0]
    bounds = np.arange(1, DECILES) / DECILES
    deciles = np.quantile(known, bounds) if len(known) else np.zeros(len(bounds))
    found = {"mean": mean * unit, "scale": scale * unit, "prior": prior / prior.sum()}
    found |= {"deciles": deciles} | (_words(cfg, sparse.vstack(sung).tocsr()) if sung else {})
    return {name: np.asarray(value, np.float32) for name, value in found.items()}


def _words(cfg: Config, counts: sparse.csr_matrix) -> dict[str, np.ndarray]:
    """Statistics of the vocabulary; counts: [songs, words]."""
    idf = rarity(counts)
    vectors = _vectors(cfg) if cfg.word_vectors else topics(counts, idf, number=cfg.topics)
    weighed = counts.astype(np.float64)
    weighed.data = (1 + np.log(weighed.data)) * idf[weighed.indices]
    sums = np.maximum(np.asarray(weighed.sum(axis=1)), 1e-9)
    means = np.asarray(weighed @ vectors) / sums if len(sums) else np.zeros((1, cfg.topics))
    spread = means.std(axis=0)
    none = np.zeros((1, vectors.shape[1]))
    return {
        "rarity": np.concatenate([[0.0], idf]),
        "vectors": np.concatenate([none, vectors]),
        "centre": means.mean(axis=0),
        "spread": np.where(spread > 1e-6, spread, 1.0),
    }


def _vectors(cfg: Config) -> np.ndarray:
    """Those of a file, [words, topics]."""
    vectors = read_word_vectors(cfg.word_vectors, cfg.words.split()).vectors
    if vectors.shape[1] != cfg.topics:
        raise UserError(
            f"{cfg.word_vectors}: has vectors of {vectors.shape[1]} numbers, and the config says "
            f"model.topics={cfg.topics}"
        )
    return vectors


def _counts(rows: np.ndarray, vocabulary: int) -> sparse.csr_matrix:
    """How often each song sings each word, [songs, words]."""
    song, place = np.nonzero(rows[:, WORDS])
    word = np.rint(rows[song, WORDS, place] * SCALE).astype(int) - 1
    count = np.rint(rows[song, COUNTS, place] * SCALE)
    return sparse.csr_matrix((count, (song, word)), shape=(len(rows), vocabulary))


def _mean_vector(statistics: Statistics, sources: jax.Array) -> jax.Array:
    """The mean of a song's words' vectors, weighed by TF-IDF: [batch, topics]."""
    words = jnp.rint(sources[:, WORDS] * SCALE).astype(jnp.int32)
    counts = jnp.rint(sources[:, COUNTS] * SCALE)
    weights = (1 + jnp.log(jnp.maximum(counts, 1))) * jnp.take(statistics["rarity"], words)
    sums = jnp.einsum("bw,bwt->bt", weights, jnp.take(statistics["vectors"], words, axis=0))
    return sums / jnp.maximum(jnp.sum(weights, axis=1, keepdims=True), 1e-9)


@functools.partial(jax.jit, static_argnums=0)
def means(cfg: Config, statistics: Statistics, sources: jax.Array) -> jax.Array:
    """What is left of a song without its order: [batch, features].

    Each channel's mean over the segments, and the words' topics: what the floors are given.
    """
    seen = inputs(cfg, statistics, sources)
    total = jnp.maximum(jnp.sum(seen.exists, axis=1, keepdims=True), 1.0)
    heard = jnp.sum(seen.segments, axis=1) / total
    return jnp.concatenate([heard, seen.topics, seen.sung] if cfg.hears else seen[2:], axis=1)
