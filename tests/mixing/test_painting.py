import dataclasses
import json

import jax
import numpy as np
import pytest
import soundfile

from mashjax.audio.files import Clip
from mashjax.audio.loudness import loudness
from mashjax.errors import UserError
from mashjax.melody import melody
from mashjax.mixing import painting
from mashjax.mixing.melody import NO_VOICE, Options
from mashjax.nn.weights import Weights, write_weights
from mashjax.tasks import melody_spectrogram
from mashjax.tasks.melody import Config

SR = 22050


@pytest.fixture
def paints(monkeypatch):
    """Lets the network paint a tone of a given level over the middle third of any voice."""

    def set_level(level):
        def play(_, y, *, sr):
            t = np.arange(len(y))
            inside = (t > len(y) / 3) & (t < 2 * len(y) / 3)
            return (level * np.sin(2 * np.pi * 440 * t / sr) * inside).astype(np.float32)

        monkeypatch.setattr(melody_spectrogram, "play", play)

    return set_level


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An export of a network that has learnt nothing."""
    cfg = melody_spectrogram.Config(Config(notes=24), channels=2, states=1, width=4, dilations=(1,))
    numbers = {"mean": -3.0, "scale": 1.0, "painted_mean": 0.04, "painted_scale": 0.07}
    bands = {"band_mean": np.zeros(40, np.float32), "band_scale": np.ones(40, np.float32)}
    statistics = {name: np.float32(x) for name, x in numbers.items()} | bands
    params = melody_spectrogram.init_model(cfg, jax.random.key(0))
    fields = json.loads(json.dumps(dataclasses.asdict(cfg)))
    metadata = {"task": "melody_spectrogram", "config": {"model": fields}}
    folder = tmp_path_factory.mktemp("painter")
    write_weights(folder, Weights(params, statistics, metadata))
    return folder


@pytest.fixture
def voice(tmp_path):
    y = 0.1 * np.sin(2 * np.pi * 220 * np.arange(3 * SR + 1) / SR)
    soundfile.write(tmp_path / "voice.wav", np.stack([y, y], axis=1), SR)
    return tmp_path / "voice.wav"


def test_what_is_painted_is_heard_where_it_was_painted(paints, checkpoint, voice, tmp_path):
    paints(0.1)
    y, report = melody(
        voice, out=tmp_path / "piano.wav", report=tmp_path / "it.json", checkpoint=checkpoint
    )
    written, rate = soundfile.read(tmp_path / "piano.wav", always_2d=True)
    assert (rate, *written.shape) == (SR, 3 * SR + 1, 2)
    assert loudness(y, sr=SR) == pytest.approx(-14, abs=0.2)
    np.testing.assert_array_equal(y[0], y[1])
    assert (
        np.abs(y[0, : SR // 2]).max() < 1e-3 < 0.1 < np.abs(y[0, SR + 2000 : 2 * SR - 2000]).max()
    )
    told = json.loads((tmp_path / "it.json").read_text())
    assert told["found"] == report["found"] == "a painted piano"
    assert told["output"]["seconds"] == pytest.approx(3, abs=1e-3)


def test_where_next_to_nothing_is_painted_there_was_no_voice(paints, checkpoint, voice):
    paints(0.001)
    y, report = melody(voice, checkpoint=checkpoint)
    assert report["found"] == NO_VOICE and report["output"]["lufs"] is None
    assert y.shape == (2, 3 * SR + 1) and not y.any()
    with pytest.raises(UserError, match=NO_VOICE):
        melody(voice, checkpoint=checkpoint, strict=True)


@pytest.mark.parametrize(
    "asked", [{"midi": "a.mid"}, {"plot": "a.png"}, {"chords": True}, {"key": "auto"}]
)
def test_what_needs_notes_is_refused(paints, checkpoint, voice, tmp_path, monkeypatch, asked):
    paints(0.1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=f"{checkpoint}: .*knows no notes; leave --{next(iter(asked))}"
    ):
        melody(voice, out="piano.wav", checkpoint=checkpoint, **asked)
    assert [path.name for path in tmp_path.iterdir()] == ["voice.wav"]


@pytest.mark.parametrize("samples", [1, 400])
def test_clips_of_a_moment(checkpoint, samples):
    model = painting.painter_of(checkpoint)
    clip = Clip(np.full((1, samples), 0.1, np.float32), 8000)
    made = painting.paint_melody(clip, name="it", options=Options(), model=model)
    assert made.y.shape == (1, samples) and np.isfinite(made.y).all()
