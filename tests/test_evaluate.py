"""The table of a network's scores, of a store and of one's own stems, and its picture."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
import soundfile

from mashjax.data.store import Settings
from mashjax.errors import UserError
from mashjax.evaluate import as_json, evaluate
from mashjax.nn.weights import Weights, write_weights
from mashjax.tasks import mashup
from mashjax.tasks.mashup.config import Network
from mashjax.training.config import TrainConfig, as_dict

SR, FRAMES = 22050, 173  # 2 s


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A network whose parameters are all 0: its masks are 0.5 and turn nothing."""
    size = Network(embedding=8, hidden=4, attention=4, window=4, head=8, bidirectional=False)
    cfg = mashup.Config(
        sample_rate=SR, n_fft=512, hop_length=256, linear_bins=24, log_bands=8, magnitude=size,
        phase=size,
    )  # fmt: skip
    shapes = jax.eval_shape(lambda: mashup.init_model(cfg, jax.random.key(0)))
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    bands = cfg.bands.count
    statistics = {"mean": np.zeros(bands, np.float32), "scale": np.ones(bands, np.float32)}
    config = as_dict(TrainConfig(model=cfg, batch_size=4, frames=FRAMES))
    folder = tmp_path_factory.mktemp("evaluate") / "network"
    write_weights(
        folder, Weights(params, statistics, {"task": "mashup", "step": 7, "config": config})
    )
    return folder


@pytest.fixture(scope="module")
def store(make_store, tmp_path_factory):
    """Four songs of two clips each: tones over noise."""
    rng = np.random.default_rng(0)
    settings = Settings(sample_rate=SR, seconds=2.0, clips_per_song=2)
    t = np.arange(settings.samples) / SR

    def clip():
        lead = 0.2 * np.sin(2 * np.pi * rng.uniform(200, 900) * t)
        return [lead, 0.05 * rng.normal(size=len(t)).clip(-4, 4)]

    songs = [np.array([clip(), clip()]) for _ in range(4)]
    path = tmp_path_factory.mktemp("evaluate") / "songs.store"
    return make_store(path, {"test": songs}, settings=settings)


def test_halves_of_both_songs_are_the_plain_sum(checkpoint, store, tmp_path):
    result = evaluate(checkpoint, data=store, plot=tmp_path / "scores.png")
    about = {name: value for name, value in result.items() if name != "scores"}
    assert about == {
        "task": "mashup",
        "step": 7,
        "data": store,
        "split": "test",
        "examples": 8,
        "songs": 4,
        "worse_than_sum": about["worse_than_sum"],
    }
    scores = result["scores"]
    assert scores["gain"]["mean"] == pytest.approx(0, abs=1e-3)
    assert scores["oracle_share"]["mean"] == pytest.approx(0, abs=1e-3)
    # A tone of 0.02 of power over noise of 0.0025, both songs at one level.
    assert scores["si_sdr_lead_model"]["mean"] == pytest.approx(9, abs=0.3)
    assert scores["si_sdr_backing_model"]["mean"] == pytest.approx(-9, abs=0.3)
    assert scores["si_sdr_oracle"]["mean"] > 15
    for score in scores.values():
        assert score["low"] <= score["mean"] <= score["high"]
    assert [path.name for path in tmp_path.iterdir()] == ["scores.png"]
    png = (tmp_path / "scores.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert [int.from_bytes(png[at : at + 4], "big") for at in (16, 20)] == [1200, 600]
    text = as_json(result)
    assert json.loads(text) == result
    assert sum('"mean"' in line for line in text.splitlines()) == len(scores)


def test_one_example_has_no_interval(checkpoint, store):
    result = evaluate(checkpoint, data=store, examples=1)
    assert (result["examples"], result["songs"]) == (1, 1)
    assert result["scores"]["gain"]["low"] is None


def test_folders_of_stems(checkpoint, tmp_path):
    """Clicks and chords of two songs that differ in tempo, and a third without a lead."""
    for name, tempo in (("a", 100), ("b", 124), ("c", 110)):
        (tmp_path / "in" / name).mkdir(parents=True)
        t = np.arange(14 * SR) / SR
        beat = t * tempo / 60 % 1
        chord = sum(np.sin(2 * np.pi * f * t) for f in (131, 165, 196)) / 20
        kick = np.exp(-beat * 30) * np.sin(2 * np.pi * 60 * t) * (1 + (t * tempo / 240 % 1 < 0.25))
        sung = 0.2 * np.sin(2 * np.pi * 523 * t) * (beat < 0.7)
        soundfile.write(tmp_path / "in" / name / "drums.wav", 0.3 * kick + chord, SR)
        if name != "c":
            soundfile.write(tmp_path / "in" / name / "vocals.wav", sung, SR)
    said = []
    result = evaluate(checkpoint, stems=tmp_path / "in", progress=said.append)
    assert (result["stems"], result["songs"]) == (str(tmp_path / "in"), 2)
    assert result["examples"] >= 4
    assert list(result["left_out"]) == ["c"] and "no lead" in result["left_out"]["c"]
    assert result["scores"]["gain"]["mean"] == pytest.approx(0, abs=1e-2)
    assert said[:3] == ["song 1 of 3", "song 2 of 3", "song 3 of 3"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": None}, "say either --data, a store, or --input, a folder of stems"),
        ({"stems": "in"}, "say either --data, a store, or --input"),
        ({"data": None, "stems": "absent"}, "absent: no such folder"),
        ({"data": "absent"}, "no such store"),
        ({"split": "train"}, "has no examples in train"),
        ({"plot": "scores.jpg"}, r"unknown ending '.jpg'; use .png"),
        ({"plot": "absent/scores.png"}, "the folder absent does not exist"),
        ({"checkpoint": "absent"}, "absent: no such checkpoint"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    changes, says, checkpoint, store, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says) as error:
        evaluate(**{"checkpoint": checkpoint, "data": store, **changes})
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--layout=stems"], "--layout says more of --input=, a folder of stems: name one"),
        (["--data=S", "--stems_map=m.json"], "--stems_map says more of --input="),
        (["--input=F", "--split=test"], "--split is of a store; of --input=, all songs are scored"),
        (["--input=F", "--data=S"], "say either --data, a store, or --input"),
        (["--layout=songs", "--input=F"], "layout"),
        (["what"], "what is 'what'?"),
    ],
)
def test_mistakes_with_flags(arguments, says):
    done = subprocess.run(
        [sys.executable, "-m", "mashjax.evaluate", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert says in done.stderr
