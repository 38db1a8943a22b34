"""The autoencoder: descriptions, what training adds to principal components, and embeddings."""

import dataclasses

import jax
import numpy as np
import pytest

from mashjax.data.augment import Augment
from mashjax.errors import UserError
from mashjax.nn.weights import Weights
from mashjax.tasks import autoencoder
from mashjax.tasks.autoencoder.description import description, size
from mashjax.tasks.autoencoder.examples import described, songs
from mashjax.tasks.autoencoder.model import decode, encode
from mashjax.training.config import TrainConfig, as_dict

SR, FRAMES = 8000, 48


@pytest.fixture(scope="module")
def small():
    return autoencoder.Config(
        sample_rate=SR, n_fft=512, hop_length=128, top_hz=3500.0, bands=12, groups=3, rates=4,
        slowest_hz=2.0, block=8, code=6, hidden=32, augment=Augment(pitch_semitones=1.0),
    )  # fmt: skip


def song(rng: np.random.Generator, *, samples: int, root: float = 220.0) -> np.ndarray:
    """A chord and pulsing noise, [lead and backing, samples]; what it is like depends on `rng`."""
    t = np.arange(samples) / SR
    chord = sum(np.sin(2 * np.pi * root * 2 ** (k / 12) * t) for k in rng.choice(12, 3, False))
    beat = np.exp(-rng.uniform(3, 20) * (t * rng.uniform(1.5, 6) % 1))
    noise = np.cumsum(rng.normal(size=samples)) if rng.random() < 0.5 else rng.normal(size=samples)
    lead, backing = chord * rng.uniform(0.1, 1), noise / noise.std() * beat
    return 0.1 * np.stack([lead, backing])


@pytest.fixture(scope="module")
def sources(small):
    """Pairs of songs [64, 4, samples], enough for augmentation."""
    rng, samples = np.random.default_rng(0), autoencoder.read_samples(small, FRAMES)
    pairs = [[*song(rng, samples=samples), *song(rng, samples=samples)] for _ in range(64)]
    return np.asarray(pairs, np.float32)


@pytest.fixture(scope="module")
def fresh(small, sources):
    statistics = autoencoder.statistics(small, [sources[:32], sources[32:]])
    config = TrainConfig(task="autoencoder", model=small, frames=FRAMES)
    metadata = {"task": "autoencoder", "config": as_dict(config)}
    params = jax.device_get(autoencoder.init_model(small, jax.random.key(0)))
    return autoencoder.from_weights(Weights(params, statistics, metadata), name="fresh")


def test_a_description_forgets_level_and_key_and_knows_the_rest(small):
    """Scaled, it is the same; a tone's transposition moves the bands, not the harmony's numbers."""
    rng, samples = np.random.default_rng(1), autoencoder.example_samples(small, FRAMES)
    y = song(rng, samples=samples).sum(0)
    describe = jax.jit(lambda y: description(small, y))
    x = np.asarray(describe(np.stack([y, 0.1 * y]).astype(np.float32)))
    assert x.shape == (2, size(small))
    np.testing.assert_allclose(x[0], x[1], atol=2e-3)

    t = np.arange(samples) / SR
    triad = lambda root: sum(np.sin(2 * np.pi * root * 2 ** (k / 12) * t) for k in (0, 4, 7))  # noqa: E731
    whole_tones = sum(np.sin(2 * np.pi * 440 * 2 ** (k / 12) * t) for k in (0, 2, 4))
    chords = [triad(440.0), triad(440.0 * 2 ** (3 / 12)), whole_tones]
    low, high, other = np.asarray(describe(np.stack(chords).astype(np.float32)))[:, -12:]
    assert np.abs(high - low).max() < 0.25 * np.abs(other - low).max()

    # Pulses of 2.5 Hz and of 10 Hz: only the first have something at 2 Hz.
    pulsed = [np.sin(2 * np.pi * 500 * t) * np.exp(-20 * (t * hz % 1) / hz) for hz in (2.5, 10)]
    rhythm = slice(3 * small.bands, 3 * small.bands + small.groups * small.rates)
    rates = np.asarray(describe(np.stack(pulsed).astype(np.float32)))[:, rhythm]
    slow, fast = rates.reshape(2, small.groups, small.rates)
    assert (slow[:, 0] - slow[:, 3] > fast[:, 0] - fast[:, 3] + 0.3).all()


def test_silence_is_described_by_numbers(small):
    zeros = np.zeros((1, autoencoder.example_samples(small, FRAMES)), np.float32)
    x = np.asarray(jax.jit(lambda y: description(small, y))(zeros))
    assert np.isfinite(x).all() and np.abs(x).max() < 10


def test_before_training_it_is_the_principal_components(small, sources, fresh):
    """What comes back and what it is worth, beside NumPy's own decomposition."""
    wanted = autoencoder.example_samples(small, FRAMES)
    start = (sources.shape[-1] - wanted) // 2
    cropped = sources[..., start : start + wanted]
    scores = autoencoder.evaluate(small, fresh.params, fresh.statistics, [cropped])
    np.testing.assert_allclose(scores["explained_model"], scores["explained_pca"], atol=1e-5)
    x = np.asarray(described(small, fresh.statistics, np.asarray(songs(sources)))).reshape(
        -1, size(small)
    )
    variances = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    basis = fresh.statistics["basis"]
    left = np.square(x - x @ basis @ basis.T).mean() / np.square(x).mean()
    assert 1 - left == pytest.approx(variances[:6].sum() / variances.sum(), abs=1e-3)
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-5)


def test_training_explains_more_than_principal_components(small, sources, fresh):
    import optax

    tx = optax.adam(3e-3)
    loss = lambda params, key: autoencoder.loss_fn(  # noqa: E731
        small, params, fresh.statistics, sources, jax.random.split(key, len(sources)), frames=FRAMES
    )

    @jax.jit
    def step(params, state, key):
        (value, parts), grads = jax.value_and_grad(loss, has_aux=True)(params, key)
        updates, state = tx.update(grads, state)
        return optax.apply_updates(params, updates), state, value, parts

    params, state = fresh.params, tx.init(fresh.params)
    losses = []
    for k in range(60):
        params, state, value, parts = step(params, state, jax.random.key(k))
        losses.append(float(value))
    assert losses[-1] < 0.9 * losses[0]
    assert parts["explained"] > parts["explained_varied"]
    wanted = autoencoder.example_samples(small, FRAMES)
    start = (sources.shape[-1] - wanted) // 2
    batches = [sources[:32, :, start : start + wanted], sources[32:, :, start : start + wanted]]
    scores = autoencoder.evaluate(small, params, fresh.statistics, batches)
    means = {name: float(x.mean()) for name, x in scores.items()}
    assert autoencoder.derived(means)["gain"] > 0.01
    assert scores["worse_than_pca"].sum() < 32
    # The mean over the examples is the explained variance of them all.
    x = described(small, fresh.statistics, songs(np.concatenate(batches))[:, 0])
    back = decode(small, params, fresh.statistics, encode(small, params, fresh.statistics, x))
    explained = 1 - np.square(back - x).sum() / np.square(x).sum()
    assert means["explained_model"] == pytest.approx(float(explained), abs=1e-4)


def test_a_mashup_store_has_songs_too(small, sources):
    label, one, two = sources[:, 0] + sources[:, 3], sources[:, 0], sources[:, 3]
    found = songs(np.stack([label, one, two], axis=1))
    np.testing.assert_array_equal(found, np.stack([one, two], axis=1))
    np.testing.assert_allclose(songs(sources)[:, 1], sources[:, 2] + sources[:, 3])


def test_an_embedding_is_of_unit_length_whatever_the_sound(small, fresh):
    rng, window = np.random.default_rng(3), autoencoder.example_samples(small, FRAMES)
    y = song(rng, samples=5 * window + 777).sum(0).astype(np.float32)
    whole = autoencoder.embed(fresh, y, sr=SR)
    assert whole.shape == (6,)
    sounds = [y[: window // 3], y[:window], y[:1], np.zeros(2 * window, np.float32), y[:0]]
    for sound in [*sounds, y]:
        assert np.linalg.norm(autoencoder.embed(fresh, sound, sr=SR)) == pytest.approx(1, abs=1e-5)
    # Its level does not matter, its rate hardly, and halves are nearer to it than other songs.
    np.testing.assert_allclose(autoencoder.embed(fresh, 0.2 * y, sr=SR), whole, atol=1e-3)
    twice = np.repeat(y, 2).astype(np.float32)
    assert autoencoder.embed(fresh, twice, sr=2 * SR) @ whole > 0.9
    half = autoencoder.embed(fresh, y[: len(y) // 2], sr=SR)
    others = [song(rng, samples=len(y)).sum(0).astype(np.float32) for _ in range(8)]
    assert half @ whole > max(autoencoder.embed(fresh, o, sr=SR) @ whole for o in others)


def test_weights_that_do_not_fit_are_refused(fresh):
    weights = Weights(fresh.params, fresh.statistics, fresh.metadata)
    other = dataclasses.replace(weights, metadata={**weights.metadata, "task": "mashup"})
    with pytest.raises(UserError, match="of the task 'mashup', not of 'autoencoder'"):
        autoencoder.from_weights(other, name="x")
    short = dataclasses.replace(
        weights, statistics={**weights.statistics, "spread": np.ones(5, np.float32)}
    )
    with pytest.raises(UserError, match=r"spread should be \(6,\) and is \(5,\)"):
        autoencoder.from_weights(short, name="x")
    config = {**weights.metadata["config"], "model": {}}
    odd = dataclasses.replace(weights, metadata={**weights.metadata, "config": config})
    with pytest.raises(UserError, match="settings cannot be read"):
        autoencoder.from_weights(odd, name="x")


def test_scores_become_a_picture_and_a_line(tmp_path):
    from matplotlib.image import imread

    rng = np.random.default_rng(0)
    pca = 0.8 + 0.05 * rng.normal(size=40)
    scores = {"explained_pca": pca, "explained_model": pca + 0.05}
    means = {name: {"mean": float(x.mean())} for name, x in scores.items()}
    scores["worse_than_pca"] = np.zeros(40, bool)
    autoencoder.draw_scores(scores, means, tmp_path / "scores.png", title="one\nof $two$")
    assert imread(tmp_path / "scores.png").std() > 0.05
    assert autoencoder.headline(means) == (
        f"{means['explained_model']['mean']:.1%} of the variance explained, "
        f"{means['explained_pca']['mean']:.1%} by principal components"
    )
