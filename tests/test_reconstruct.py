import dataclasses
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from mashjax.audio import files
from mashjax.audio.loudness import loudness
from mashjax.data.building import build_store
from mashjax.data.store import Settings, decode, encode, open_store
from mashjax.data.views import spectrum
from mashjax.errors import UserError
from mashjax.nn.weights import Weights, write_weights
from mashjax.reconstruct import describe, reconstruct
from mashjax.tasks import mashup
from mashjax.tasks.mashup.config import Network
from mashjax.tasks.mashup.masks import AJAR

SR = 8000
SETTINGS = Settings(sample_rate=SR, seconds=2.0, clips_per_song=2)
PAIR = ["lead1", "backing1", "lead2", "backing2"]


def song(seed: int, clips: int) -> np.ndarray:
    """Tones over noise that pulses, [clips, 2, samples]."""
    rng = np.random.default_rng(seed)
    t = np.arange(SETTINGS.samples) / SR
    lead = [0.3 * np.sin(2 * np.pi * rng.uniform(200, 900) * t) for _ in range(clips)]
    backing = 0.2 * rng.normal(size=(clips, len(t))).clip(-3, 3) * np.exp(-8 * (t % 0.5))
    return np.stack([np.stack(lead), backing], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def data(make_store, tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("reconstruct") / "songs.store"
    make_store(path, {"train": [song(0, 2), song(1, 1), song(2, 1)]}, settings=SETTINGS)
    return path


@pytest.fixture(scope="module")
def written(data, tmp_path_factory) -> tuple[pathlib.Path, dict]:
    folder = tmp_path_factory.mktemp("out") / "example 2"
    return folder, reconstruct(data, index=2, out=folder)


@dataclasses.dataclass(frozen=True)
class Mashup:
    """As the labelled layout gives them."""

    folder: pathlib.Path
    id: str = "12_晴れ $mash$.wav"
    group: str = "12"

    @property
    def label(self) -> pathlib.Path:
        return self.folder / self.id

    @property
    def originals(self) -> tuple[pathlib.Path, pathlib.Path]:
        return self.folder / "12_0_voice.wav", self.folder / "12_1_band.wav"

    @property
    def files(self) -> dict[str, list[pathlib.Path]]:
        return {"label": [self.label], "originals": list(self.originals)}


@pytest.fixture(scope="module")
def mashups(tmp_path_factory) -> str:
    """A store of one mashup of 4 s: two examples."""
    folder = tmp_path_factory.mktemp("mashups")
    source = Mashup(folder)
    voice, band = np.concatenate(song(5, 2), axis=-1)
    for path, y in zip((source.label, *source.originals), (voice + band, voice, band), strict=True):
        files.write(path, y[None], sr=SR, exact=True)
    settings = dataclasses.replace(SETTINGS, layout="labelled", align="none")
    build_store([source], str(folder / "store"), settings=settings)
    return str(folder / "store")


def checkpoint(folder: pathlib.Path, **changes) -> pathlib.Path:
    """A network whose parameters are all 0: its masks are 0.5 and turn nothing."""
    cfg = mashup.Config(
        sample_rate=SR,
        n_fft=512,
        hop_length=128,
        linear_bins=40,
        log_bands=16,
        top_hz=3500.0,
        magnitude=Network(embedding=12, hidden=8, attention=4, window=8, head=16),
        phase=Network(embedding=8, hidden=6, attention=4, window=8, head=16),
        block_frames=160,
    )
    cfg = dataclasses.replace(cfg, **changes)
    shapes = jax.eval_shape(lambda: mashup.init_model(cfg, jax.random.key(0)))
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    bands = cfg.bands.count
    statistics = {"mean": np.zeros(bands, np.float32), "scale": np.ones(bands, np.float32)}
    metadata = {"task": "mashup", "step": 7, "config": {"model": dataclasses.asdict(cfg)}}
    write_weights(folder, Weights(params, statistics, metadata))
    return folder


def sounds(folder: pathlib.Path) -> dict[str, np.ndarray]:
    return {
        path.stem: files.read(path, stem=True).y[0]
        for path in folder.iterdir()
        if path.suffix in files.ENDINGS
    }


def db(y: np.ndarray, reference: np.ndarray) -> float:
    return 10 * np.log10(np.sum(np.square(y, dtype=float)) / np.sum(np.square(reference)))


def test_the_sounds_are_the_stored_samples(data, written):
    folder, report = written
    store = open_store(data)
    lead1, backing1, lead2, backing2 = decode(store.read("train", np.array([2])))[0]
    heard = sounds(folder)
    assert sorted(heard) == sorted(["song1", "song2", "sum", "label", *PAIR])
    # float32 magnitudes and phases (2e-7 radians of 3) leave -130 dB.
    for name, wanted in (
        ("song1", lead1 + backing1),
        ("song2", lead2 + backing2),
        ("label", lead1 + backing2),
        ("sum", lead1 + backing1 + lead2 + backing2),
    ):
        assert db(heard[name] - wanted, wanted) < -125
    for name in ("song1", "song2", "label"):
        assert -150 < report["sounds"][f"{name}.wav"]["error_db"] < -125
    for name, wanted in zip(PAIR, (lead1, backing1, lead2, backing2), strict=True):
        np.testing.assert_array_equal(heard[name], wanted)
        assert report["sounds"][f"{name}.wav"]["error_db"] is None


def test_the_report_is_true(data, written):
    folder, report = written
    assert json.loads((folder / "example.json").read_text()) == report
    assert {p.name for p in folder.iterdir()} == set(report["files"])
    partner = open_store(data).partners("train")[2, 0]
    songs = ["train 0", "train 0", "train 1", "train 2"]
    assert [about["song"] for about in report["songs"]] == ["train 1", songs[partner]]
    heard = sounds(folder)
    for name, said in report["sounds"].items():
        assert said["lufs"] == pytest.approx(loudness(heard[name[:-4]][None], sr=SR), abs=0.01)
    # Of tones and noise, which are orthogonal, the unwanted is all but lead 1 and backing 2.
    unwanted = heard["backing1"] + heard["lead2"]
    score = report["sounds"]["sum.wav"]["si_sdr_db"]
    assert score == pytest.approx(-db(unwanted, heard["label"]), abs=0.3)
    lines = describe(report, "out").splitlines()
    assert len(lines) == 9 and f"SI-SDR {score:.2f} dB" in lines[2]
    assert lines[-1] == "out: example 2 of train, 2 s of 8000 Hz, 8 sounds and example.png"


def test_the_picture_shows_every_sound_that_is_a_mix(written):
    png = (written[0] / "example.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (1200, 100 + 4 * 220)


def test_a_model_stands_beside_the_sum_until_it_is_not_asked(data, tmp_path, monkeypatch):
    def masks(state, y1, y2):
        shape = state.cfg.stft.frames(len(y1)), state.cfg.bands.count
        full, still = np.full(shape, 1, np.float32), np.zeros(shape, np.float32)
        times = np.arange(shape[0]) / state.cfg.stft.frame_rate
        return mashup.Masks(
            0.8 * full, 0.1 * full, still, still, times, state.cfg.bands.frequencies
        )

    monkeypatch.setattr(mashup, "predict", masks)
    out = tmp_path / "out"
    report = reconstruct(data, index=2, out=out, checkpoint=checkpoint(tmp_path / "network"))
    heard = sounds(out)
    wanted = 0.8 * heard["song1"] + 0.1 * heard["song2"]
    assert db(heard["model"] - wanted, wanted) < -100
    unwanted = wanted - wanted @ heard["label"] / sum(heard["label"] ** 2) * heard["label"]
    score = report["sounds"]["model.wav"]["si_sdr_db"]
    assert score == pytest.approx(db(wanted - unwanted, unwanted), abs=0.01)
    assert list(report["sounds"])[4] == "model.wav"

    (out / "notes.txt").write_text("mine")
    reconstruct(data, index=0, out=out, format="flac")
    left = {path.name for path in out.iterdir()}
    assert not any(name.endswith(".wav") for name in left)
    assert {"label.flac", "example.png", "notes.txt"} < left and "model.flac" not in left


def test_a_painted_mashup_is_as_loud_as_its_songs(data, tmp_path, monkeypatch):
    def paint(state, y1, y2):
        y = sum(y / np.sqrt(np.mean(y**2)) for y in (y1, y2))
        x = spectrum(y, n_fft=512, hop_length=128)
        return mashup.Direct(np.abs(x), np.angle(x), np.zeros(len(x)), np.zeros(257))

    monkeypatch.setattr(mashup, "predict_direct", paint)
    network = checkpoint(tmp_path / "network", head="direct", linear_bins=257, log_bands=0)
    reconstruct(data, index=0, out=tmp_path / "out", checkpoint=network)
    heard = sounds(tmp_path / "out")
    rms = {name: np.sqrt(np.mean(heard[name] ** 2)) for name in ("song1", "song2")}
    level = np.sqrt((rms["song1"] ** 2 + rms["song2"] ** 2) / 2)
    wanted = level * (heard["song1"] / rms["song1"] + heard["song2"] / rms["song2"])
    assert db(heard["model"] - wanted, wanted) < -100


@pytest.mark.slow
def test_a_network_is_asked(data, tmp_path):
    network = checkpoint(tmp_path / "network")
    reconstruct(data, index=2, out=tmp_path / "out", checkpoint=network)
    heard = sounds(tmp_path / "out")
    kept = AJAR + (1 - AJAR) * 0.5  # its masks say half everywhere
    assert db(heard["model"] - kept * heard["sum"], heard["sum"]) < -100


def test_a_mashup_and_its_originals(mashups, tmp_path):
    report = reconstruct(mashups, index=1, out=tmp_path / "out")
    assert [about["name"] for about in report["songs"]] == ["12_0_voice.wav", "12_1_band.wav"]
    heard = sounds(tmp_path / "out")
    assert sorted(heard) == ["label", "original1", "original2", "sum"]
    # This mashup is the sum of its originals.
    assert db(heard["sum"] - heard["label"], heard["label"]) < -75  # 16 bits
    assert report["sounds"]["sum.wav"]["si_sdr_db"] > 75


def test_loud_sounds_are_turned_down_alike_where_a_format_clips(make_store, tmp_path):
    loud = [3 * song(seed, 1).clip(-0.3, 0.3) for seed in (0, 1)]
    assert np.abs(encode(loud[0])).max() > 29000
    make_store(tmp_path / "loud.store", {"train": loud}, settings=SETTINGS)
    reconstruct(tmp_path / "loud.store", index=0, out=tmp_path / "wav")
    report = reconstruct(tmp_path / "loud.store", index=0, out=tmp_path / "flac", format="flac")
    exact, turned = sounds(tmp_path / "wav"), sounds(tmp_path / "flac")
    assert np.abs(exact["sum"]).max() > 1.5
    assert np.abs(turned["sum"]).max() == pytest.approx(0.89, abs=1e-3)
    gain = 10 ** (report["gain_db"] / 20)
    for name, y in exact.items():
        np.testing.assert_allclose(turned[name], gain * y, atol=1e-4)
        level = report["sounds"][f"{name}.flac"]["lufs"]
        assert level == pytest.approx(loudness(turned[name][None], sr=SR), abs=0.01)
    assert f"all turned by {report['gain_db']:.1f} dB" in describe(report, "out")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"index": 4}, r"train has examples 0 to 3, not 4"),
        ({"index": -1}, r"train has examples 0 to 3, not -1"),
        ({"split": "test"}, "its split 'test' is empty"),
        ({"split": "dev"}, "no split 'dev'"),
        ({"data": "absent.store"}, "no such store"),
        ({"data": "."}, "not a store"),
        ({"out": "file"}, "--out needs a folder, this is a file"),
        ({"out": "absent/out"}, "absent does not exist"),
        ({"format": "aiff"}, "say wav, flac, ogg, mp3"),
        ({"checkpoint": "absent"}, "absent: no such checkpoint"),
        ({"checkpoint": "shipped"}, r"hears 22050 Hz, and the store holds 8000 Hz"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(changes, says, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("file").write_text("mine")
    with pytest.raises(UserError, match=says) as error:
        reconstruct(**{"data": data, "index": 0, "out": "out", **changes})
    assert "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert pathlib.Path("file").read_text() == "mine"


def test_files_of_somebody_else_stay(data, tmp_path):
    (tmp_path / "label.wav").write_text("mine")
    with pytest.raises(UserError, match=r"label\.wav: is in the way"):
        reconstruct(data, index=0, out=tmp_path)
    (tmp_path / "example.json").write_text('{"format": "something else"}')
    with pytest.raises(UserError, match="is in the way"):
        reconstruct(data, index=0, out=tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"label.wav", "example.json"}
    assert (tmp_path / "label.wav").read_text() == "mine"


def test_a_damaged_example_is_named(data, tmp_path, make_store):
    make_store(tmp_path / "s", {"train": [song(0, 1), song(1, 1)]}, settings=SETTINGS)
    shard = tmp_path / "s/train/c/1/0/0"
    raw = bytearray(shard.read_bytes())
    raw[50] ^= 1
    shard.write_bytes(raw)
    with pytest.raises(UserError, match=r"example \d of train .* is damaged"):
        reconstruct(tmp_path / "s", index=1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command(data, tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "mashjax.reconstruct", f"--data={data}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run("--index=1", f"--out={tmp_path}/out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith(f"{tmp_path}/out: example 1 of train, 2 s")
    done = run("--index=99", f"--out={tmp_path}/x")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "train has examples 0 to 3, not 99" in done.stderr
