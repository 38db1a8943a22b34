"""The commands around training, from a store to an exported model, as a user calls them."""

import json
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from mashjax import checkpoint, evaluate, train
from mashjax.data.store import Settings
from mashjax.errors import UserError
from mashjax.mixing.model import load_model
from mashjax.tasks import mashup
from mashjax.training.config import TrainConfig, as_dict, from_dict
from mashjax.training.loading import read_checkpoint

ROOT = pathlib.Path(__file__).parents[1]


def command(module, *arguments, cache):
    done = subprocess.run(
        [sys.executable, "-m", f"mashjax.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(cache), "JAX_PLATFORMS": "cpu"},
        check=False,
    )
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("train")


@pytest.fixture(scope="module")
def store(folder, make_store):
    rng = np.random.default_rng(0)
    t = np.arange(8000) / 8000
    tone = lambda: 0.2 * np.sin(2 * np.pi * rng.uniform(200, 900) * t)  # noqa: E731
    songs = {
        split: [np.clip([[tone(), 0.1 * rng.normal(size=8000)]], -1, 1) for _ in range(number)]
        for split, number in (("train", 6), ("valid", 4), ("test", 5))
    }
    return make_store(folder / "store", songs, settings=Settings(sample_rate=8000, seconds=1.0))


@pytest.fixture(scope="module")
def run(folder, store):
    """A run of eight steps by the command itself."""
    done = command(
        "train",
        "--config=configs/tiny.py",
        "--config.steps=8",
        "--config.checkpoint_every=4",
        "--config.optim.learning_rate=2e-3",
        "--config.model.augment.pitch_semitones=0",
        "--config.incoherent=0.25",
        f"--data={store}",
        f"--workdir={folder / 'run'}",
        cache=folder,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done: step 8\n"
    assert "step 8 valid" in done.stderr
    return folder / "run"


def test_overrides_reach_the_run(run):
    metadata = read_checkpoint(run).metadata
    assert metadata["config"]["optim"]["learning_rate"] == 2e-3
    assert metadata["config"]["model"]["augment"]["pitch_semitones"] == 0
    assert metadata["config"]["incoherent"] == 0.25
    assert metadata["config"]["steps"] == metadata["step"] == 8
    assert len(metadata["store"]) == 64


def test_list_names_each_step_once(run, capsys):
    checkpoint.main(["list", str(run)])
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["4", "8"]
    assert len({row[2] for row in rows}) == 2
    assert all(len(row[2]) == 64 for row in rows)
    assert all(int(row[3]) > 10000 for row in rows)


def test_verify_says_which_step_is_damaged(run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    checkpoint.main(["verify", str(copy)])
    assert "a run would go on from step 8" in capsys.readouterr().out
    files = [file for file in (copy / "checkpoints" / "8" / "state").rglob("*") if file.is_file()]
    largest = max(files, key=lambda file: file.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    with pytest.raises(SystemExit) as ended:
        checkpoint.main(["verify", str(copy)])
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "4\tsound\n8\tdamaged: " in said
    assert "a run would go on from step 4" in said


def test_an_export_says_what_the_run_says(run, tmp_path):
    checkpoint.export(run, tmp_path / "export")
    assert sorted(file.name for file in (tmp_path / "export").iterdir()) == [
        "metadata.json",
        "weights.npz",
    ]
    y = np.random.default_rng(0).normal(size=(2, 9000)).astype(np.float32)
    ours = mashup.predict(load_model(tmp_path / "export"), *y)
    theirs = mashup.predict(load_model(run), *y)
    np.testing.assert_array_equal(ours.mask1, theirs.mask1)
    np.testing.assert_array_equal(ours.rotation2, theirs.rotation2)


def test_evaluate_scores_the_whole_split(run, store):
    result = evaluate.evaluate(run, data=store, split="test")
    assert result["examples"] == 5  # five examples in batches of four: none twice
    assert (result["task"], result["step"], result["split"]) == ("mashup", 8, "test")
    assert result["scores"]["si_sdr_oracle"]["low"] > result["scores"]["si_sdr_sum"]["high"]
    assert evaluate.evaluate(run, data=store, examples=1, step=4)["step"] == 4
    with pytest.raises(UserError, match="has 4, 8, not 5"):
        evaluate.evaluate(run, data=store, step=5)


def test_evaluate_prints_json(run, store, folder):
    done = command("evaluate", f"--checkpoint={run}", f"--data={store}", cache=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["examples"] == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--config is missing"),
        (["--config=configs/none.py"], "configs/none.py gives no config"),
        (["--config=README.md"], "README.md gives no config: SyntaxError"),
        (["--config=configs/tiny.py", "--config.optim.rate=1"], "there is no config.optim.rate"),
        (["--config=configs/tiny.py", "--config.steps=few"], "invalid literal for int"),
        (["--config=configs/tiny.py"], "--data is missing"),
        (["--config=configs/tiny.py", "--data=/nowhere", "--workdir=/tmp"], "no such store"),
        (["--config=configs/tiny.py", "--data=S", "--workdir=W", "what"], "what is 'what'?"),
        (
            ["--config=configs/tiny.py", "--data=S", "--workdir=W", "--init_partial"],
            "--init_partial takes over parts of a run: say which",
        ),
    ],
)
def test_mistakes_are_one_line(arguments, said, folder):
    done = command("train", *arguments, cache=folder)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_export_needs_an_output(run, folder):
    done = command("checkpoint", "export", run, cache=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mashjax.checkpoint: --output is missing: where shall the export go?\n"


def test_mistakes_with_checkpoints(run, tmp_path):
    for call, said in (
        (lambda: checkpoint.main(["list"]), "say one of list, verify, export"),
        (lambda: checkpoint.main(["show", str(run)]), "say one of list, verify, export"),
        (lambda: checkpoint.main(["list", str(tmp_path)]), "not the folder of a run"),
        (lambda: load_model(tmp_path / "none"), "no such checkpoint"),
        (lambda: load_model(tmp_path), "not a checkpoint"),
    ):
        with pytest.raises(UserError, match=said):
            call()


@pytest.mark.parametrize("name", ["tiny", "mashup", "students"])
def test_every_config_survives_being_saved(name):
    cfg = train.read_config(str(ROOT / "configs" / f"{name}.py"))
    assert from_dict(as_dict(cfg)) == cfg
    assert from_dict(json.loads(json.dumps(as_dict(cfg)))) == cfg


def test_the_students_sizes():
    cfg = train.read_config(str(ROOT / "configs" / "students.py"))
    assert cfg.model.bands.count == cfg.model.bands.bins == 1025
    assert cfg.frames == 1 + 60 * 22050 // 512
    params = jax.eval_shape(lambda: mashup.init_model(cfg.model, jax.random.key(0)))
    assert params["magnitude"]["encoder"]["forward"]["recurrent"].shape == (512, 4 * 512)
    assert "backward" not in params["phase"]["decoder"]


def test_unknown_tasks_are_named():
    with pytest.raises(UserError, match="unknown task 'genres'"):
        from_dict(as_dict(TrainConfig()) | {"task": "genres"})
