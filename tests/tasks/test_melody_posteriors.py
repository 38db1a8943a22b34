import jax
import numpy as np
import pytest

from mashjax.errors import UserError
from mashjax.nn.weights import Weights
from mashjax.tasks import melody
from mashjax.tasks.melody import posteriors

SR = 16000


@pytest.fixture(scope="module")
def model():
    """Of random weights."""
    cfg = melody.Config()
    bands = {"band_mean": np.full(40, -3.0, np.float32), "band_scale": np.ones(40, np.float32)}
    statistics = {"mean": np.float32(-3), "scale": np.float32(1), **bands}
    return melody.ModelState(cfg, melody.init_model(cfg, jax.random.key(0)), statistics, {})


def voice(seconds, sr=SR):
    t = np.arange(round(seconds * sr)) / sr
    hz = 220 * 2 ** (np.floor(4 * t) % 12 / 12)
    turn = np.cumsum(2 * np.pi * hz / sr)
    return sum(np.sin(k * turn) / k for k in range(1, 8)).astype(np.float32)


@pytest.mark.parametrize(("samples", "frames"), [(0, 1), (160, 1), (SR // 2, 50), (17 * SR, 1700)])
def test_there_are_posteriors_of_every_frame(model, samples, frames):
    said = melody.predict(model, voice(samples / SR), sr=SR)
    assert said.note.shape == (frames, model.cfg.notes)
    assert said.onset.shape == said.voicing.shape == said.cents.shape == said.f0.shape == (frames,)
    np.testing.assert_allclose(said.note.sum(1), 1, atol=1e-5)
    assert np.all(np.abs(said.cents) <= 50)
    assert said.frame_seconds == 0.01


def test_neither_level_nor_rate_changes_what_is_said(model):
    """At 44.1 kHz the same sound has the same frames, but for the resampling's edges."""
    plain = melody.predict(model, voice(2.0), sr=SR)
    quiet = melody.predict(model, 1e-3 * voice(2.0), sr=SR)
    np.testing.assert_allclose(quiet.note, plain.note, atol=1e-3)
    y = np.repeat(voice(2.0), 3)  # images far above do not matter
    faster = melody.predict(model, y, sr=3 * SR)
    assert len(faster.note) == len(plain.note)


def test_blocks_of_a_long_sound_meet_without_a_seam(model, monkeypatch):
    """What lies two seconds away hardly matters: .02 of probability at most, measured .002."""
    y = voice(17.0)
    whole = melody.predict(model, y, sr=SR)
    monkeypatch.setattr(posteriors, "BLOCK", 1500)
    other = melody.predict(model, y, sr=SR)
    assert np.abs(whole.note - other.note).max() < 0.02
    assert np.abs(whole.onset - other.onset).max() < 0.02


def test_weights_of_another_task_are_refused():
    weights = Weights({}, {}, {"task": "mashup"})
    with pytest.raises(UserError, match="not of 'melody'"):
        melody.from_weights(weights, name="x")
