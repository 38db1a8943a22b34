"""The genre task: what networks see, what each of them can learn, and words."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import sparse

from mashjax.data.store import SCALE, TRACK_ROW
from mashjax.data.track_rows import COUNTS, EXISTS, LABELS_ROW, TIMBRE_SCALE, WORDS, row_of
from mashjax.data.tracks import Track
from mashjax.errors import UserError
from mashjax.nn.weights import Weights
from mashjax.tasks import genre
from mashjax.tasks.genre.examples import inputs, labels, means
from mashjax.tasks.genre.lyrics import rarity, topics
from mashjax.tasks.genre.model import said
from mashjax.tasks.genre.networks import strongest
from mashjax.training.config import TrainConfig, as_dict

SEGMENTS = 48
WORDS_KNOWN = "blue heart mountain road star valley"


@pytest.fixture(scope="module")
def small():
    return genre.Config(
        segments=SEGMENTS, genres="down\nup", words=WORDS_KNOWN, topics=2, filters=12, units=12,
        dense=16, embedding=6, dropout=0.0, pools=2,
    )  # fmt: skip


def rows(count: int, *, seed: int = 0, length: int = SEGMENTS, words: bool = True) -> np.ndarray:
    """Songs whose notes go up or down the circle of fifths, which is their genre."""
    rng = np.random.default_rng(seed)
    x = np.zeros((count, len(TRACK_ROW), SEGMENTS), np.float32)
    for row in x:
        up = int(rng.integers(2))
        note = (rng.integers(12) + (7 if up else 5) * (np.arange(length) // 2)) % 12
        row[note, np.arange(length)] = 1
        row[12:24, :length] = rng.normal(0, 0.05, (12, length))
        row[EXISTS, :length] = 1
        popularity = np.where(up, 0.3, 0.1) + 0.1 * rng.random()
        row[LABELS_ROW, :3] = (up + 1) / SCALE, words, popularity
        if words:
            sung = rng.permutation(3)[:2] + 1 + 3 * up
            row[WORDS, :2], row[COUNTS, :2] = sung / SCALE, rng.integers(1, 9, 2) / SCALE
    return x


@pytest.fixture(scope="module")
def songs():
    return rows(96)


@pytest.fixture(scope="module")
def statistics(small, songs):
    return genre.statistics(small, [songs[:48], songs[48:]])


def trained(cfg, statistics, songs, *, steps: int = 120):
    tx = optax.adam(1e-2)

    @jax.jit
    def step(params, state, key):
        keys = jax.random.split(key, len(songs))
        loss = lambda params: genre.loss_fn(  # noqa: E731
            cfg, params, statistics, songs, keys, frames=SEGMENTS
        )
        (_, parts), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, state = tx.update(grads, state)
        return optax.apply_updates(params, updates), state, parts

    params = genre.init_model(cfg, jax.random.key(0))
    state = tx.init(params)
    for k in range(steps):
        params, state, parts = step(params, state, jax.random.key(k))
    return params, parts


def test_the_networks_learn_what_they_can_see(small, statistics, songs):
    """Order tells the genre: CNN and LSTM hear it, moments do not; words tell it, too."""
    unseen = rows(96, seed=1)
    accuracy = {}
    for network, heard in (("cnn", "audio"), ("lstm", "audio"), ("dense", "audio"),
                           ("dense", "lyrics")):  # fmt: skip
        cfg = dataclasses.replace(small, network=network, inputs=heard)
        params, _ = trained(cfg, statistics, songs)
        scores = genre.evaluate(cfg, params, statistics, [unseen[:64], unseen[64:]])
        accuracy[network, heard] = scores["accuracy"].mean()
    assert accuracy["cnn", "audio"] > 0.95 and accuracy["lstm", "audio"] > 0.95
    assert accuracy["dense", "audio"] < 0.7  # a guess of 96 is below this 99.99 % of the time
    assert accuracy["dense", "lyrics"] == 1
    assert set(scores) == {*genre.VALIDATION, "accuracy_majority"}
    means = {name: {"mean": float(x.mean())} for name, x in scores.items()}
    assert genre.headline(means).startswith("100.0% right, ")


def test_popularity_is_learnt_by_the_second_head(small, statistics, songs):
    cfg = dataclasses.replace(small, popularity=3.0)
    params, _ = trained(cfg, statistics, songs)
    found = genre.predictions(cfg, params, statistics, [rows(64, seed=2)])
    expected = np.exp(found.decile) @ np.arange(10)
    up = found.right_genre == 1
    # One genre is in the upper five deciles and the other one in the lower.
    assert found.right_decile[up].min() >= 4 and found.right_decile[~up].max() <= 5
    assert expected[up].mean() > expected[~up].mean() + 3


def test_a_short_song_is_the_same_without_what_follows_it(small, statistics):
    """Padding changes nothing: not its values, and hardly its length."""
    x = rows(8, length=36)  # whole groups and pools
    noisy = x.copy()
    noisy[:, :24, 36:] = 0.7
    for network in ("dense", "cnn", "lstm"):
        cfg = dataclasses.replace(small, network=network)
        params = genre.init_model(cfg, jax.random.key(1))
        before, after, cut = (
            said(cfg, params, statistics, y).embedding for y in (x, noisy, x[:, :, :36])
        )
        np.testing.assert_allclose(before, after, atol=1e-6)
        np.testing.assert_allclose(before, cut, atol=1e-5)


def test_songs_without_words_are_told_from_songs_that_say_nothing(small, statistics):
    x = rows(4)
    silent, unknown = x.copy(), x.copy()
    silent[:, [WORDS, COUNTS]] = unknown[:, [WORDS, COUNTS]] = 0
    unknown[:, LABELS_ROW, 1] = 0
    said_nothing, not_known = (inputs(small, statistics, y) for y in (silent, unknown))
    assert np.all(said_nothing.sung == 1) and np.all(not_known.sung == 0)
    assert not np.any(not_known.topics)
    assert means(small, statistics, x).shape == (4, 24 + 2 + 1)


def test_inputs_are_normalised_and_transposed(small, statistics, songs):
    seen = inputs(small, statistics, songs)
    x = np.asarray(seen.segments).reshape(-1, 24)
    np.testing.assert_allclose(x[:, 12:].mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(x.std(0)[12:], 1, atol=1e-3)
    up = inputs(small, statistics, songs, shifts=np.full(len(songs), 3))
    np.testing.assert_array_equal(
        np.roll(seen.segments[..., :12], 3, axis=2), up.segments[..., :12]
    )
    right = labels(statistics, songs)
    assert np.bincount(right.decile).tolist() == pytest.approx([9.6] * 10, abs=1.5)
    assert statistics["prior"].sum() == pytest.approx(1)


def test_weights_make_a_rare_genre_count_as_much(small, statistics, songs):
    """Of a batch like the training set, every class has the same part in the loss."""
    cfg = dataclasses.replace(small, weights="balanced", popularity=0.0, l2=0.0)
    params = genre.init_model(cfg, jax.random.key(0))
    few = np.concatenate([songs[songs[:, LABELS_ROW, 0] > 1.5 / SCALE][:6], songs])
    counted = {**statistics, "prior": np.array([0.25, 0.75], np.float32)}
    loss = lambda c, s: float(  # noqa: E731
        genre.loss_fn(c, params, s, few, jax.random.split(jax.random.key(0), len(few)),
                      frames=SEGMENTS)[0]
    )  # fmt: skip
    plain = genre.predictions(cfg, params, counted, [few])
    entropy = -plain.genre[np.arange(len(few)), plain.right_genre]
    cfg_still = dataclasses.replace(cfg, augment=genre.Augment(transpose=False))
    wanted = np.mean(entropy / (2 * counted["prior"][plain.right_genre]))
    assert loss(cfg_still, counted) == pytest.approx(wanted, rel=1e-4)


def test_words_that_come_together_have_like_vectors():
    counts = sparse.csr_matrix(
        np.array([[3, 1, 0, 0, 1], [1, 2, 0, 0, 1], [0, 0, 2, 1, 1], [0, 0, 1, 4, 1]])
    )
    idf = rarity(counts)
    assert idf[4] == 1  # in every song
    assert idf[0] == pytest.approx(1 + np.log(5 / 3))
    vectors = topics(counts, idf, number=2)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = unit @ unit.T
    assert likeness[0, 1] > 0.95 and likeness[2, 3] > 0.95 and likeness[0, 2] < 0.2
    np.testing.assert_array_equal(topics(counts, idf, number=2), vectors)
    assert not topics(counts, idf, number=9)[:, 4:].any()  # of four songs no more than that


def test_word_vectors_of_a_file(small, songs, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("blue 1 0\nheart 0 1\n")
    cfg = dataclasses.replace(small, word_vectors=str(path))
    found = genre.statistics(cfg, [songs])["vectors"]
    assert found[:3].tolist() == [[0, 0], [1, 0], [0, 1]] and not found[3:].any()
    with pytest.raises(UserError, match=r"of 2 numbers, and .* model.topics=3"):
        genre.statistics(dataclasses.replace(cfg, topics=3), [songs])


def test_a_model_travels_with_its_words_and_classes(small, statistics, songs):
    params = jax.device_get(genre.init_model(small, jax.random.key(0)))
    config = as_dict(TrainConfig(task="genre", model=small))
    weights = Weights(params, statistics, {"task": "genre", "config": config})
    state = genre.from_weights(weights, name="x")
    chroma, timbre = songs[0, :12].T, songs[0, 12:24].T * TIMBRE_SCALE
    track = Track("a", "", "", 12.0, chroma, timbre, np.arange(48) / 4, words={"road": 2})
    found = genre.predict(state, [track])
    row = row_of(track, WORDS_KNOWN, segments=SEGMENTS)
    wanted = genre.predictions(small, params, statistics, [row[None]])
    np.testing.assert_allclose(found.genre, wanted.genre, atol=1e-3)
    assert np.exp(found.genre).sum() == pytest.approx(1)
    assert genre.tempered(found.genre, 1.0) == pytest.approx(np.exp(found.genre))
    with pytest.raises(UserError, match="of the task 'mashup', not of 'genre'"):
        other = dataclasses.replace(weights, metadata={**weights.metadata, "task": "mashup"})
        genre.from_weights(other, name="x")
    fewer = {**statistics, "rarity": statistics["rarity"][1:]}
    with pytest.raises(UserError, match=r"rarity should be \(7,\) and is \(6,\)"):
        genre.from_weights(dataclasses.replace(weights, statistics=fewer), name="x")
    del config["model"]["segments"]
    with pytest.raises(UserError, match="x: its settings cannot be read: 'segments'"):
        genre.from_weights(weights, name="x")


def test_the_strongest_pass_their_gradient_on():
    x = np.random.default_rng(0).normal(size=(2, 11, 3)).astype(np.float32)
    weight = jnp.arange(12.0).reshape(2, 2, 3)
    through = jax.grad(lambda x: jnp.sum(weight * strongest(x, 5)))
    usual = jax.grad(lambda x: jnp.sum(weight * jnp.max(x[:, :10].reshape(2, 2, 5, 3), axis=2)))
    np.testing.assert_allclose(through(x), usual(x))
    np.testing.assert_allclose(through(np.ones_like(x)), usual(np.ones_like(x)), rtol=1e-6)
