import dataclasses
import json
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mashjax.audio.midi import Note
from mashjax.audio.piano import DAMPED_SECONDS, play
from mashjax.data.augment import Augment
from mashjax.data.control import written
from mashjax.errors import UserError
from mashjax.nn.weights import Weights
from mashjax.tasks import melody, melody_spectrogram
from mashjax.tasks.melody_spectrogram import model, playing
from mashjax.tasks.melody_spectrogram.evaluate import marks
from mashjax.tasks.melody_spectrogram.piano import piano
from mashjax.training.config import as_dict, from_dict

FRAMES = 80
SR = 16000


@pytest.fixture(scope="module")
def cfg():
    """A small network, and nothing drawn but what must be."""
    still = Augment(gain_db=0.0, inverted=0.0, tilt_db=0.0, pitch_semitones=0.0)
    few = {"lowest": 46, "notes": 28, "channels": 8}
    heard = melody.Config(**few, bled=0.0, unsung=0.0, noise_db=(-90.0, -80.0), augment=still)
    small = {"channels": 8, "states": 4, "width": 32, "dilations": (1, 4), "critic_channels": 4}
    return melody_spectrogram.Config(heard, n_fft=1024, **small)


def track_of(spans, *, samples):
    """Spans in seconds, and MIDI numbers."""
    spans = [(round(a * SR), round(b * SR), pitch) for a, b, pitch in spans]
    return written(spans, np.zeros(samples), np.ones(samples, bool))


@pytest.fixture(scope="module")
def batch(cfg):
    """Voices that sing a few notes after a silence, [4, 3, samples]."""
    n, rows = melody_spectrogram.example_samples(cfg, FRAMES), []
    for pitches in ((60, 64, 67), (57, 57), (72,), (48, 52)):
        edges = np.linspace(0.2, n / SR, len(pitches) + 1)
        track = track_of(zip(edges, edges[1:], pitches, strict=False), samples=n)
        pitch = np.zeros(n)
        for a, b, p in zip(edges, edges[1:], pitches, strict=False):
            pitch[round(a * SR) : round(b * SR)] = p
        turn = np.cumsum(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) / SR)
        y = 0.1 * sum(np.sin(k * turn) / k for k in range(1, 9)) * (pitch > 0)
        rows.append([y, np.zeros(n), track])
    return np.array(rows, np.float32)


@pytest.fixture(scope="module")
def learnt(cfg, batch):
    """A model that was shown the batch until it knew it, and one that was not."""
    statistics = melody_spectrogram.statistics(cfg, [batch])
    fresh = melody_spectrogram.init_model(cfg, jax.random.key(0))
    tx = optax.adam(1e-2)

    @jax.jit
    def step(params, opt_state, batch, key):
        def loss_fn(params):
            keys = jax.random.split(key, len(batch))
            return melody_spectrogram.loss_fn(cfg, params, statistics, batch, keys, frames=FRAMES)[
                0
            ]

        updates, opt_state = tx.update(jax.grad(loss_fn)(params), opt_state)
        return optax.apply_updates(params, updates), opt_state

    params, opt_state = fresh, tx.init(fresh)
    for k in range(70):
        params, opt_state = step(params, opt_state, batch, jax.random.key(k))
    return [melody_spectrogram.ModelState(cfg, p, statistics, {}) for p in (params, fresh)]


def test_the_piano_to_paint_is_that_of_the_package(cfg):
    """While its keys are held; then the damper brings it down to 1/e in 0.07 s."""
    n = 2 * SR
    y = np.asarray(piano(cfg, jnp.asarray(track_of([(0.5, 1.25, 60)], samples=n)[None])))[0]
    true = play([Note(0.5, 4.0, 60, 80)], samples=n, sr=SR).mean(0)
    held = slice(0, round(1.25 * SR))
    scale = y[held] @ true[held] / (true[held] @ true[held])
    np.testing.assert_allclose(y[held], scale * true[held], atol=1e-4)
    damper = np.exp(-np.arange(n - held.stop) / SR / DAMPED_SECONDS)
    np.testing.assert_allclose(y[held.stop :], scale * true[held.stop :] * damper, atol=1e-4)


def test_notes_sound_on_while_the_next_ones_begin(cfg):
    """Also over a rest; a note that sounds from the beginning is struck there."""
    n = SR
    one, two = (0.0, 0.4, 60), (0.45, 1.0, 67)
    both, first, second = (
        np.asarray(piano(cfg, jnp.asarray(track_of(spans, samples=n)[None])))[0]
        for spans in ([one, two], [one], [two])
    )
    np.testing.assert_allclose(both, first + second, atol=1e-6)
    assert np.abs(first[round(0.45 * SR) :]).max() > 0.01
    assert np.abs(both[:800]).max() > 0.05
    twice = track_of([(0.0, 0.5, 60), (0.5, 1.0, 60)], samples=n)
    again = np.asarray(piano(cfg, jnp.asarray(twice[None])))[0]
    np.testing.assert_allclose(
        again[SR // 2 :] - again[: SR // 2],
        np.asarray(piano(cfg, jnp.asarray(track_of([(0.0, 0.5, 60)], samples=n)[None])))[0][
            SR // 2 :
        ],
        atol=1e-4,
    )


def test_it_learns_a_batch_by_heart(cfg, batch, learnt):
    after, before = (
        melody_spectrogram.evaluate(cfg, model.params, model.statistics, [batch])
        for model in learnt
    )
    assert after["closeness"].min() > 0.7 > 0.2 > before["closeness"].max()
    assert after["note"].min() > 0.9 > before["note"].mean()
    sounds = melody_spectrogram.samples(cfg, learnt[0].params, learnt[0].statistics, batch[2:])
    heard = sounds["painted"][round(0.3 * SR) :]
    size = np.abs(np.fft.rfft(heard * np.hanning(len(heard)), 65536))[: 65536 * 800 // SR]
    assert 1200 * np.log2(size.argmax() * SR / 65536 / 523.25) == pytest.approx(0, abs=40)


def test_the_wanted_piano_gets_full_marks_and_silence_none(cfg, batch, learnt):
    statistics = learnt[0].statistics
    wanted = model.looks(cfg, statistics, piano(cfg, jnp.asarray(batch[:, 2])))
    silent = jnp.full_like(wanted, -statistics["painted_mean"] / statistics["painted_scale"])
    marked = jax.jit(lambda track, look: marks(cfg, statistics, track, look))
    for look, closeness, note in ((wanted, 1.0, 0.95), (silent, 0.0, 0.0)):
        scores = marked(batch[:, 2], look)
        np.testing.assert_allclose(scores["closeness"], closeness, atol=1e-3)
        assert note <= scores["note"].mean() <= note + 0.1


def test_a_critic_pulls_both_ways(cfg, batch, learnt):
    """What it adds to the painter's gradient makes the critic's task harder, its own easier."""
    asked = dataclasses.replace(cfg, critic=0.5)
    params = melody_spectrogram.init_model(asked, jax.random.key(1))
    keys = jax.random.split(jax.random.key(0), len(batch))

    def loss(cfg, params, batch):
        statistics = learnt[0].statistics
        return melody_spectrogram.loss_fn(cfg, params, statistics, batch, keys, frames=FRAMES)

    def added(params, batch):
        whole, parts = loss(asked, params, batch)
        return (whole - parts["distance"]) / asked.critic

    judge = jax.jit(jax.value_and_grad(added))
    before, gradient = judge(params, batch)
    for part, direction in (("painter", 1), ("critic", -1)):
        size = optax.tree.norm(gradient[part])
        assert size > 1e-4
        moved = jax.tree.map(lambda p, g: p - 0.01 * g / size, params[part], gradient[part])  # noqa: B023
        assert direction * float(judge(params | {part: moved}, batch)[0] - before) > 0
    without = melody_spectrogram.init_model(cfg, jax.random.key(1))
    assert set(without) == {"painter"}
    assert set(jax.eval_shape(lambda: loss(cfg, without, batch))[1]) == {"distance"}


@pytest.mark.parametrize("sr", [8000, 44100])
def test_the_piano_is_as_long_as_the_voice(learnt, sr, monkeypatch):
    monkeypatch.setattr(playing, "BLOCK", 150)
    monkeypatch.setattr(playing, "AROUND", 50)
    t = np.arange(sr + 7) / sr
    y = (0.1 * sum(np.sin(2 * np.pi * 523.25 * k * t) / k for k in range(1, 7))).astype(np.float32)
    found = melody_spectrogram.play(learnt[0], y, sr=sr)
    assert found.shape == y.shape and np.isfinite(found).all()
    assert np.abs(found).max() > 0.05
    assert len(melody_spectrogram.play(learnt[0], y[:5], sr=sr)) == 5
    loud = melody_spectrogram.play(learnt[0], 5 * y, sr=sr)
    np.testing.assert_allclose(loud, found, atol=1e-3)


def test_blocks_are_heard_as_one(learnt, batch, monkeypatch):
    """Phases differ, magnitudes hardly: -12 dB, where another piano is above -3."""
    state = learnt[0]
    y = batch[:, 0].reshape(-1)
    monkeypatch.setattr(playing, "AROUND", 50)
    monkeypatch.setattr(playing, "BLOCK", 500)
    whole = melody_spectrogram.play(state, y, sr=SR)
    monkeypatch.setattr(playing, "BLOCK", 150)
    monkeypatch.setattr(playing, "CHOICE", 100)
    parts = melody_spectrogram.play(dataclasses.replace(state), y, sr=SR)
    sizes = {"n_fft": 1024, "hop_length": 160}
    a, b, other = (np.abs(model.stft(x, **sizes)) for x in (parts, whole, whole[::-1]))
    error = 20 * np.log10(np.linalg.norm(a - b) / np.linalg.norm(b))
    assert error < -12 < -3 < 20 * np.log10(np.linalg.norm(other - b) / np.linalg.norm(b))


def test_the_config_comes_back_from_its_file():
    cfg = runpy.run_path("configs/melody_spectrogram.py")["get_config"]()
    assert from_dict(json.loads(json.dumps(as_dict(cfg)))) == cfg


def test_weights_of_another_task_or_size_are_refused(cfg, learnt):
    fields = json.loads(json.dumps(dataclasses.asdict(cfg)))
    metadata = {"task": "melody_spectrogram", "config": {"model": fields}}
    good = Weights(learnt[0].params, learnt[0].statistics, metadata)
    assert melody_spectrogram.from_weights(good, name="run").cfg == cfg
    with pytest.raises(UserError, match="run: a checkpoint of the task 'melody'"):
        melody_spectrogram.from_weights(
            dataclasses.replace(good, metadata=metadata | {"task": "melody"}), name="run"
        )
    wider = metadata | {"config": {"model": fields | {"width": 40}}}
    with pytest.raises(UserError, match="run: its arrays do not fit"):
        melody_spectrogram.from_weights(dataclasses.replace(good, metadata=wider), name="run")
