"""Training runs: they learn, they stop and go on bit by bit, and they refuse what does not fit."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest

from mashjax.data.augment import Augment
from mashjax.data.store import decode, open_store
from mashjax.errors import UserError
from mashjax.tasks import mashup
from mashjax.training import loop
from mashjax.training.checkpoints import Checkpoints, digest, flat_arrays, newest
from mashjax.training.config import Optim, as_dict, check_resumable
from mashjax.training.feed import training_batches
from mashjax.training.loop import train
from mashjax.training.mesh import data_mesh, put_batch
from mashjax.training.start import take_over, take_over_partly
from mashjax.training.step import init_state, make_step

ROOT = pathlib.Path(__file__).parents[2]
TRAIN = """
import runpy, sys
from mashjax.training.feed import training_batches
from mashjax.training.loop import train
cfg = runpy.run_path("configs/tiny.py")["get_config"]()
cfg.checkpoint_every, cfg.batch_size, cfg.steps = map(int, sys.argv[3:])
outcome = train(cfg, data=sys.argv[1], workdir=sys.argv[2])
print(outcome.step, outcome.stopped)
"""


def start(store, workdir, *, checkpoint_every=20, devices=1, batch_size=4, steps=150):
    values = (store, workdir, checkpoint_every, batch_size, steps)
    command = [sys.executable, "-c", TRAIN, *map(str, values)]
    flags = f"--xla_force_host_platform_device_count={devices}"
    env = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env)


def wait_for(path, seconds=180):
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.01)


def hash_of(workdir):
    return digest(newest(workdir / "checkpoints"))


def lines_of(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_an_uninterrupted_run(finished):
    assert Checkpoints(finished / "checkpoints").steps() == [120, 140, 150]  # the newest three
    lines = lines_of(finished)
    trained = [line for line in lines if "loss" in line]
    assert [line["step"] for line in trained] == list(range(5, 151, 5))
    for line in trained:
        assert {"complex", "phase", "examples_per_second", "wait_seconds"} <= line.keys()
    valid = [line for line in lines if "valid" in line]
    assert [line["step"] for line in valid] == [75, 150]
    assert valid[-1]["valid"]["examples"] == 4
    # Warm-up over 5 steps to 5e-3, then down a cosine to a fiftieth.
    rates = {line["step"]: line["learning_rate"] for line in trained}
    assert rates[5] == pytest.approx(4e-3)
    assert max(rates.values()) == rates[10] > 4.9e-3
    assert rates[150] == pytest.approx(1e-4, rel=0.02)


def test_killed_and_resumed_is_bit_identical(finished, store, tmp_path):
    """kill -9 between two checkpoints: the run finishes with the same hash of everything."""
    process = start(store, tmp_path)
    wait_for(tmp_path / "checkpoints" / "40" / "COMMIT.json")
    process.kill()
    process.wait()
    process.stdout.close()
    reached = newest(tmp_path / "checkpoints").step
    assert reached < 150, "the kill came too late to test anything"
    process = start(store, tmp_path)
    assert process.communicate()[0] == "150 False\n"
    assert hash_of(tmp_path) == hash_of(finished)
    steps = [line["step"] for line in lines_of(tmp_path) if "loss" in line]
    assert steps == list(range(5, 151, 5))


@pytest.mark.slow
def test_two_devices_learn_what_one_learns(finished, store, tmp_path):
    """Half a batch each: the same losses, up to the order in which floats are summed."""
    process = start(store, tmp_path, devices=2)
    assert process.communicate()[0] == "150 False\n"
    losses = [
        {line["step"]: line["loss"] for line in lines_of(workdir) if "loss" in line}
        for workdir in (finished, tmp_path)
    ]
    for step in (5, 10, 20):
        assert losses[1][step] == pytest.approx(losses[0][step], rel=1e-5)
    assert losses[1][150] == pytest.approx(losses[0][150], rel=1e-2)


@pytest.mark.slow
def test_eight_devices_learn_what_one_learns(store, tmp_path):
    """While another thread puts batches on them: an example each, augmented as it is on one."""
    losses = []
    for devices in (1, 8):
        workdir = tmp_path / str(devices)
        process = start(store, workdir, devices=devices, batch_size=8, steps=20)
        assert process.communicate()[0] == "20 False\n"
        losses.append([line["loss"] for line in lines_of(workdir) if "loss" in line])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_another_seed_is_another_run(finished, store, tiny, tmp_path):
    """The control of the test above: the hash sees what a run was made of."""
    tiny.seed = 1
    train(tiny, data=store, workdir=tmp_path)
    assert hash_of(tmp_path) != hash_of(finished)


def test_sigterm_saves_and_ends_well(store, tmp_path):
    process = start(store, tmp_path, checkpoint_every=1000)
    wait_for(tmp_path / "metrics.jsonl")
    process.send_signal(signal.SIGTERM)
    step, stopped = process.communicate(timeout=60)[0].split()
    assert process.returncode == 0
    assert stopped == "True"
    # The only step there is: without the signal, none would have been saved before the last.
    assert Checkpoints(tmp_path / "checkpoints").steps() == [int(step)]
    assert newest(tmp_path / "checkpoints").step < 150


def test_a_store_that_holds_nothing_back_trains_without_scores(small_store, tiny, tmp_path):
    cfg = dataclasses.replace(tiny, steps=2)
    assert train(cfg, data=small_store, workdir=tmp_path / "run").step == 2
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [2]
    assert "valid" not in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_mashups_without_sources_train_and_are_scored(mashups_store, tiny, tmp_path):
    cfg = dataclasses.replace(tiny, steps=12)
    assert train(cfg, data=mashups_store, workdir=tmp_path).step == 12
    lines = lines_of(tmp_path)
    assert lines[1]["complex"] < lines[0]["complex"]
    assert "si_sdr_oracle" not in lines[-1]["valid"]


def test_damage_in_the_store_ends_the_run_at_its_step(store, tiny, tmp_path):
    """Prefetched before, raised when its turn comes: what the step before learned is saved."""
    shutil.copytree(store, tmp_path / "store")
    cfg = dataclasses.replace(tiny, checkpoint_every=1, statistics_batches=1)
    batch = training_batches(cfg, open_store(tmp_path / "store"))

    def is_damaged(step):
        try:
            batch(step)
        except UserError:
            return True
        return False

    for shard in sorted((tmp_path / "store" / "train" / "c").rglob("0")):
        if shard.is_file():
            content = shard.read_bytes()
            shard.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
            if not is_damaged(0) and is_damaged(1):
                break
            shard.write_bytes(content)
    with pytest.raises(UserError, match=r"example \d of train .* is damaged"):
        train(cfg, data=tmp_path / "store", workdir=tmp_path / "run")
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [1]


def test_a_damaged_newest_step_is_passed_over(finished, store, tiny, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    largest = max(
        (tmp_path / "run" / "checkpoints" / "150" / "state").rglob("*"),
        key=lambda file: file.stat().st_size if file.is_file() else 0,
    )
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    assert newest(tmp_path / "run" / "checkpoints").step == 140
    train(tiny, data=store, workdir=tmp_path / "run")
    assert hash_of(tmp_path / "run") == hash_of(finished)


def test_what_a_resumed_run_refuses(finished, store, other_store, tiny):
    def refused(match, data=store):
        with pytest.raises(UserError, match=match) as refusal:
            train(tiny, data=data, workdir=finished)
        assert "\n" not in str(refusal.value)

    before = hash_of(finished)
    refused("was trained on the store .* and .*other is", data=other_store)
    tiny.model.n_fft = 1024
    refused("was trained with model.n_fft=512, and the config now says model.n_fft=1024")
    tiny.model.n_fft, tiny.batch_size = 512, 8
    refused("batch_size=4.*batch_size=8")
    tiny.batch_size, tiny.steps = 4, 80
    refused("is at step 150, beyond steps=80")
    tiny.steps, tiny.model.sample_rate = 150, 22050
    refused("holds audio at 8000 Hz, and the config says model.sample_rate=22050")
    assert hash_of(finished) == before


def test_a_run_may_be_older_than_a_setting(tiny):
    """Its configuration has no word of it: it was what is now the default."""
    saved = as_dict(tiny)
    del saved["patience"], saved["model"]["phase"]["encoder"]
    check_resumable(saved, tiny, where="here")
    tiny.model.phase.encoder = "transformer"
    with pytest.raises(UserError, match=r"model.phase.encoder=lstm, .*=transformer"):
        check_resumable(saved, tiny, where="here")


def test_a_run_that_starts_from_another(finished, other_store, tiny, tmp_path):
    """It begins where the other one was, learns on another store, and refuses another model."""
    saved = newest(finished / "checkpoints")
    fresh = init_state(tiny, data_mesh(tiny.batch_size))
    state, statistics = take_over(tiny, saved, fresh, store=open_store(other_store), where="here")
    assert int(state.step) == 0
    bias = saved.arrays["ema/magnitude/head/bias"]
    for tree in (state.params, state.ema):
        assert np.array_equal(tree["magnitude"]["head"]["bias"], bias)
    assert np.array_equal(statistics["mean"], saved.arrays["statistics/mean"])

    train(tiny, data=other_store, workdir=tmp_path / "tuned", init_from=finished)
    assert lines_of(tmp_path / "tuned")[0]["loss"] < 0.9 * lines_of(finished)[0]["loss"]
    tuned = newest(tmp_path / "tuned" / "checkpoints")
    assert tuned.metadata["init_from"] == finished.name
    assert np.array_equal(tuned.arrays["statistics/mean"], saved.arrays["statistics/mean"])

    tiny.model.magnitude.hidden = 17
    with pytest.raises(UserError, match=r"model.magnitude.hidden=16.*=17"):
        train(tiny, data=other_store, workdir=tmp_path / "new", init_from=finished)


def test_a_run_that_takes_over_a_part_of_another(finished, other_store, tiny, tmp_path, caplog):
    """Another head over the same features: what fits is taken, what does not is named."""
    caplog.set_level("INFO")
    saved = newest(finished / "checkpoints")
    tiny.model.magnitude.head = 40
    fresh = init_state(tiny, data_mesh(tiny.batch_size))
    state, statistics = take_over_partly(
        tiny, saved, fresh, store=open_store(other_store), where="here"
    )
    flat = flat_arrays(state.params)
    recurrent = "magnitude/encoder/forward/recurrent"
    assert np.array_equal(flat[recurrent], saved.arrays[f"ema/{recurrent}"])
    assert np.array_equal(statistics["mean"], saved.arrays["statistics/mean"])
    named = {message.split()[1] for message in caplog.messages if "begins fresh" in message}
    changed = {f"magnitude/{name}" for name in ("hidden/kernel", "hidden/bias", "head/kernel")}
    assert named == changed
    for path in changed:
        assert np.array_equal(flat[path], flat_arrays(fresh.params)[path])

    tiny.model.linear_bins, tiny.model.log_bands = 32, 8  # other features: their own statistics
    fresh = init_state(tiny, data_mesh(tiny.batch_size))
    _, statistics = take_over_partly(
        tiny, saved, fresh, store=open_store(other_store), where="here"
    )
    assert statistics["mean"].shape == (40,)
    outcome = train(
        dataclasses.replace(tiny, steps=2),
        data=other_store,
        workdir=tmp_path,
        init_from=finished,
        init_partial=True,
    )
    assert outcome.step == 2


def poisoned(monkeypatch, *steps):
    """The loss of some steps is no number."""
    real = loop.make_step

    def make_step(cfg, mesh):
        train_step = real(cfg, mesh)

        def step(state, statistics, sources):
            state, metrics = train_step(state, statistics, sources)
            poison = jnp.where(jnp.isin(state.step, jnp.array(steps)), jnp.nan, 1.0)
            return state, metrics | {"loss": metrics["loss"] * poison}

        return step

    monkeypatch.setattr(loop, "make_step", make_step)


def test_a_loss_that_is_not_a_number_stops_the_run(store, tiny, tmp_path, monkeypatch):
    poisoned(monkeypatch, 31)
    songs = ", ".join(training_batches(tiny, open_store(store)).songs(30))
    with pytest.raises(FloatingPointError, match=rf"step 31 .*: loss is nan; songs: {songs}"):
        train(tiny, data=store, workdir=tmp_path)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [20]


def test_a_loss_that_is_not_a_number_is_skipped(store, tiny, tmp_path, monkeypatch, caplog):
    poisoned(monkeypatch, 3, 7)
    cfg = dataclasses.replace(tiny, steps=10, on_nan="skip")
    assert train(cfg, data=store, workdir=tmp_path).step == 10
    skipped = [r.message for r in caplog.records if "is left out" in r.message]
    assert [message.split()[1] for message in skipped] == ["3", "7"]
    assert [line.get("skipped") for line in lines_of(tmp_path) if "loss" in line] == [1, 2]


def test_skipping_has_an_end(store, tiny, tmp_path, monkeypatch):
    poisoned(monkeypatch, *range(5, 60))
    cfg = dataclasses.replace(tiny, steps=60, on_nan="skip")
    with pytest.raises(FloatingPointError, match=r"step 24 .* 20 steps in a row"):
        train(cfg, data=store, workdir=tmp_path)


def test_ending_early(store, tiny, tmp_path, monkeypatch):
    """Two evaluations without a better score end the run; the best step is kept; it stays ended."""
    scores = iter([1.0, 3.0, 2.0, 2.5, 9.0])
    monkeypatch.setattr(loop, "evaluate", lambda *_, **__: {"si_sdr_model": next(scores)})
    cfg = dataclasses.replace(tiny, eval_every=2, patience=2, keep=1, checkpoint_every=1000)
    for _ in range(2):
        assert train(cfg, data=store, workdir=tmp_path) == loop.Outcome(8, stopped=False)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert (checkpoints.steps(), checkpoints.best()) == ([4, 8], 4)


def test_checkpoints_by_the_clock(store, tiny, tmp_path):
    """None is due by its step, but each step takes longer than no time."""
    cfg = dataclasses.replace(tiny, steps=6, checkpoint_every=1000, checkpoint_minutes=1e-9)
    train(cfg, data=store, workdir=tmp_path)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [4, 5, 6]


def test_settings_that_can_mean_nothing(store, tiny, tmp_path):
    for change, said in (
        ({"on_nan": "ignore"}, "on_nan='ignore': say stop or skip"),
        ({"optim": Optim(method="adam")}, "optim.method='adam': say adamw, rmsprop, sgd"),
        ({"log_every": 0}, "log_every=0: must be 1 or more"),
        ({"batch_size": 6, "accumulate": 4}, "batch_size=6 cannot be shared evenly by 1 devices"),
    ):
        with pytest.raises(UserError, match=said):
            train(dataclasses.replace(tiny, **change), data=store, workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_it_learns(tiny, store):
    """One batch over and over: the loss falls by 40 %, and the mashup beats the plain sum."""
    tiny.model.augment = Augment(gain_db=0, inverted=0, tilt_db=0, pitch_semitones=0)
    mesh = data_mesh(tiny.batch_size)
    batch = training_batches(tiny, open_store(store))(0)
    statistics = mashup.statistics(tiny.model, [decode(batch)])
    state, train_step = init_state(tiny, mesh), make_step(tiny, mesh)
    losses = []
    for _ in range(tiny.steps):
        state, metrics = train_step(state, statistics, put_batch(mesh, batch))
        losses.append(float(metrics["loss"]))
    scores = mashup.evaluate(tiny.model, state.ema, statistics, [decode(batch)])
    assert np.mean(losses[-5:]) < 0.6 * losses[0]
    means = {name: values.mean() for name, values in scores.items()}
    assert means["si_sdr_model"] > means["si_sdr_sum"] + 4
    assert means["phi_model"] < means["phi_sum"]
    # The average of the parameters is not the last of them.
    assert not np.array_equal(
        state.ema["magnitude"]["head"]["bias"], state.params["magnitude"]["head"]["bias"]
    )


@pytest.mark.slow
def test_a_run_in_a_bucket(store, tmp_path):
    """As on a Cloud TPU VM: checkpoints and metrics are in the bucket, and it goes on from them."""
    spec = importlib.util.spec_from_file_location("r", ROOT / "tests" / "data" / "test_remote.py")
    remote = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(remote)
    flags = ["--config=configs/tiny.py", f"--data={store}", "--workdir=gs://bucket/runs/one"]
    with remote.Bucket() as bucket:
        for steps in (10, 15):
            run = bucket.command("train", *flags, f"--config.steps={steps}")
            assert run.stdout == f"done: step {steps}\n", run.stderr
        assert "resuming from step 10 of gs://bucket/runs/one/checkpoints" in run.stderr
        lines = bucket.objects["runs/one/metrics.jsonl"][1].decode().splitlines()
        trained = [json.loads(line)["step"] for line in lines if "loss" in line]
        assert trained == [5, 10, 15]
        assert "runs/one/checkpoints/15/COMMIT.json" in bucket.objects
