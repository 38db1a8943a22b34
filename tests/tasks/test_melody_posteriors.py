import jax
import numpy as np
import pytest

from mashjax.audio.midi import Note
from mashjax.data.layouts.singer import sing_freely
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


def test_the_shipped_network_follows_a_singer_it_never_heard():
    """Our formant singer, another one than in training: nine frames of ten, and every onset."""
    notes = [Note(0.4 * k + 0.3, 0.4 * k + 0.65, p, 90) for k, p in enumerate([55, 57, 59, 60, 62])]
    y, sung, voiced = sing_freely(notes, seconds=2.6, sr=SR, rng=np.random.default_rng(12345))
    said = melody.predict(melody.shipped(), y, sr=SR)
    times = np.arange(len(said.f0)) * said.frame_seconds
    right, found = [], []
    for note in sung.notes:
        inside = (times > note.start + 0.05) & (times < note.end - 0.05)
        right += (said.note[inside].argmax(1) + said.lowest == note.pitch).tolist()
        found.append(said.onset[np.abs(times - note.start) < 0.05].max() > 0.25)
    assert np.mean(right) > 0.85
    assert sum(found) >= len(found) - 1
    assert said.voicing[np.interp(times, np.arange(len(voiced)) / 200, voiced) > 0.9].mean() > 0.6


@pytest.mark.parametrize("of", ["silence", "noise", "clicks"])
def test_the_shipped_network_hears_no_voice_where_none_is(of):
    y = np.zeros(3 * SR, np.float32)
    if of == "noise":
        y = np.random.default_rng(0).normal(0, 0.1, len(y)).astype(np.float32)
    if of == "clicks":
        y[:: SR // 2] = 0.9
    said = melody.predict(melody.shipped(), y, sr=SR)
    assert (said.voicing > 0.5).mean() < 0.1
