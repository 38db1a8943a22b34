import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mashjax.data.augment import Augment
from mashjax.data.control import written
from mashjax.tasks import melody
from mashjax.tasks.melody.evaluate import f_measure, peaks
from mashjax.tasks.melody.examples import sung, varied

FRAMES = 100
SR = 16000


@pytest.fixture(scope="module")
def cfg():
    """A small network, and nothing drawn but what must be."""
    still = Augment(gain_db=0.0, inverted=0.0, tilt_db=0.0, pitch_semitones=0.0)
    small = {"channels": 8, "width": 32, "encoder": 32, "attention": 16, "decoder": 24}
    return melody.Config(**small, bled=0.0, unsung=0.0, noise_db=(-70.0, -60.0), augment=still)


def example(pitches, seconds=1.0, silent=0.2):
    """Sources [3, samples]: notes one after another, after a silence, a quarter tone too low."""
    n = round(seconds * SR)
    first = round(silent * SR)
    edges = np.linspace(first, n, len(pitches) + 1).astype(int)
    spans = [(a, b, p) for a, b, p in zip(edges, edges[1:], pitches, strict=False)]
    pitch = np.zeros(n)
    for a, b, p in spans:
        pitch[a:b] = p - 0.25
    hz = np.where(pitch > 0, 440 * 2 ** ((pitch - 69) / 12), 0)
    turn = np.cumsum(2 * np.pi * hz / SR)
    y = 0.1 * sum(np.sin(k * turn) / k for k in range(1, 9)) * (pitch > 0)
    track = written(spans, pitch, pitch > 0)
    return np.stack([y, np.random.default_rng(0).normal(0, 0.1, n), track]).astype(np.float32)


@pytest.fixture(scope="module")
def batch(cfg):
    songs = [(60, 64, 67), (57, 57), (72,), (48, 50, 52, 53)]
    n = melody.example_samples(cfg, FRAMES)
    return np.stack([example(pitches) for pitches in songs])[..., :n]


def test_what_is_sung_is_told_by_frame(cfg, batch):
    wanted = sung(cfg, jnp.asarray(batch[:, 2]), frames=FRAMES)
    begins = [np.flatnonzero(row == 1).tolist() for row in np.asarray(wanted.onset)]
    assert begins == [[20, 47, 74], [20, 60], [20], [20, 40, 60, 80]]
    assert set(np.asarray(wanted.note[0, 20:47])) == {60}
    np.testing.assert_allclose(wanted.pitch[0, 21:47], 59.75, atol=0.02)
    np.testing.assert_array_equal(wanted.voiced[2], np.arange(FRAMES) >= 20)
    np.testing.assert_allclose(wanted.onset[2, 18:23], [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3])


def test_a_note_that_sounds_before_the_example_does_not_begin_in_it(cfg, batch):
    later = jnp.asarray(batch[2:3, 2, round(0.5 * SR) :])
    assert not np.asarray(sung(cfg, later, frames=40).onset).any()


def test_the_backing_is_heard_alone_where_nothing_is_sung(cfg, batch):
    changed = melody.Config(unsung=1.0, noise_db=(-90.0, -80.0), augment=cfg.augment)
    keys = jax.random.split(jax.random.key(0), len(batch))
    y, track = varied(changed, jnp.asarray(batch), keys, frames=FRAMES)
    assert not np.asarray(track).any()
    for one, backing in zip(np.asarray(y), batch[:, 1], strict=True):
        assert np.corrcoef(one, backing)[0, 1] > 0.9  # in a room, through a microphone


def test_it_learns_a_batch_by_heart_and_says_so(cfg, batch):
    """100 steps are enough for notes, voicing and the pitch, which lies a quarter tone away."""
    statistics = melody.statistics(cfg, [batch])
    params = melody.init_model(cfg, jax.random.key(0))
    before = melody.evaluate(cfg, params, statistics, [batch])
    tx = optax.adam(1e-2)

    @jax.jit
    def step(params, opt_state, key):
        def loss_fn(params):
            keys = jax.random.split(key, len(batch))
            return melody.loss_fn(cfg, params, statistics, batch, keys, frames=FRAMES)[0]

        updates, opt_state = tx.update(jax.grad(loss_fn)(params), opt_state)
        return optax.apply_updates(params, updates), opt_state

    opt_state = tx.init(params)
    for k in range(100):
        params, opt_state = step(params, opt_state, jax.random.key(k))
    scores = melody.evaluate(cfg, params, statistics, [batch])
    assert scores["overall"].mean() > 0.9 > 0.5 > before["overall"].mean()
    assert scores["note"].mean() > 0.9
    assert scores["pitch"].mean() > 0.9
    assert scores["false_alarm"].mean() < 0.1
    assert scores["onset"].mean() > 0.8
    model = melody.ModelState(cfg, params, statistics, {})
    said = melody.predict(model, batch[2, 0], sr=SR)
    assert np.median(said.note[30:].argmax(1)) + said.lowest == 72
    assert np.median(said.cents[30:]) == pytest.approx(-25, abs=10)


def test_onsets_are_matched_once_and_within_the_window():
    assert f_measure(np.array([10, 20]), np.array([12, 40]), within=5) == 0.5
    assert f_measure(np.array([10, 11]), np.array([10]), within=5) == pytest.approx(2 / 3)
    assert f_measure(np.array([], int), np.array([], int), within=5) == 1
    assert f_measure(np.array([], int), np.array([3]), within=5) == 0
    onset = np.zeros(30)
    onset[[4, 5, 6, 20]] = [0.6, 0.9, 0.7, 0.4]
    assert peaks(onset, apart=5).tolist() == [5]
