"""What happens to a run when things go wrong: nothing is lost, and what was wrong is named.

All of it through the command, as a user has it, but for what is looked at in the files.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import orbax.checkpoint as ocp
import pytest

from mashjax import checkpoint
from mashjax.data.store import open_store
from mashjax.training import saved_step
from mashjax.training.checkpoints import Checkpoints, digest, newest
from mashjax.training.feed import training_batches
from mashjax.training.loop import train

KILLS = 20
DAMAGES = 60  # flipped bits, truncated files, deleted files: a third each
PATIENCE = 600  # seconds, for a process that may be one of many on a small machine


@pytest.fixture
def start(start_python, store):
    """Starts the command on configs/tiny.py."""

    def start(workdir, *flags, data=store, **environment):
        return start_python(
            "-m",
            "mashjax.train",
            "--config=configs/tiny.py",
            f"--data={data}",
            f"--workdir={workdir}",
            *flags,
            **environment,
        )

    return start


def ended(process):
    """(exit code, the last line it printed, its log)."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, (out.splitlines() or [""])[-1], err


def hash_of(workdir):
    return digest(newest(workdir / "checkpoints"))


def steps_of(workdir):
    return Checkpoints(workdir / "checkpoints").steps()


def losses_of(workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def wait_until(condition, process):
    """Until it holds, or the process has ended."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def files_of(step):
    return sorted(file for file in step.rglob("*") if file.is_file())


def run_until(finished, step, workdir):
    """A copy of the finished run as it was when it had saved `step`."""
    shutil.copytree(finished, workdir)
    for later in steps_of(workdir):
        if later > step:
            shutil.rmtree(workdir / "checkpoints" / str(later))
    return workdir


# 1. kill -9


@pytest.mark.slow
def test_killed_twenty_times_it_ends_bit_identical(finished, start, tmp_path):
    """While it starts, compiles, restores, trains, and writes one of its checkpoints.

    The moments are random. A run that is too quick for its kills begins again.
    """
    rng, workdir = np.random.default_rng(0), tmp_path / "run"
    kills, went_on = 0, 0
    while kills < KILLS:
        reached = max(steps_of(workdir), default=0)
        process = start(workdir, "--config.checkpoint_every=1")
        if kills % 4:  # the others may come before the first step
            wait_until(lambda reached=reached: max(steps_of(workdir), default=0) > reached, process)
            time.sleep(rng.uniform(0, 0.3))
        else:
            time.sleep(rng.uniform(0, 4))
        process.kill()
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            kills += 1
            went_on += max(steps_of(workdir), default=0) > reached
        else:
            assert process.returncode == 0
            assert hash_of(workdir) == hash_of(finished)
            shutil.rmtree(workdir)
    assert went_on >= KILLS * 3 // 4
    code, said, _ = ended(start(workdir, "--config.checkpoint_every=1"))
    assert (code, said) == (0, "done: step 150")
    assert hash_of(workdir) == hash_of(finished)
    assert losses_of(workdir) == losses_of(finished)


def test_one_number_of_a_checkpoint_a_bit_off_is_another_run(finished, store, tiny, tmp_path):
    """The control: the hash at the end sees the last bit of one parameter, ten steps before."""
    hashes = []
    for bits in (0, 1):
        workdir = run_until(finished, 140, tmp_path / str(bits))
        saved = newest(workdir / "checkpoints")
        assert saved.step == 140
        bias = saved.arrays["params/magnitude/head/bias"].copy()
        bias.view(np.int32)[0] += bits
        checkpoints = Checkpoints(workdir / "checkpoints")
        arrays = saved.arrays | {"params/magnitude/head/bias": bias}
        checkpoints.save(140, arrays, saved.metadata)
        checkpoints.wait()
        train(tiny, data=store, workdir=workdir)
        hashes.append(hash_of(workdir))
    assert hashes[0] == hash_of(finished)
    assert hashes[1] != hashes[0]


# 2. SIGTERM


@pytest.mark.slow
def test_sigterm_saves_and_the_run_goes_on(finished, start, tmp_path):
    flags = ["--config.checkpoint_every=1000", "--config.eval_every=1000"]
    process = start(tmp_path, *flags)
    metrics = tmp_path / "metrics.jsonl"
    wait_until(lambda: metrics.exists() and "loss" in metrics.read_text(), process)
    process.send_signal(signal.SIGTERM)
    code, said, _ = ended(process)
    stopped = re.fullmatch("stopped at step ([0-9]+)", said)
    assert (code, steps_of(tmp_path)) == (0, [int(stopped[1])])  # there was no other reason to save
    assert ended(start(tmp_path, *flags))[:2] == (0, "done: step 150")
    assert hash_of(tmp_path) == hash_of(finished)


@pytest.mark.slow
def test_sigterm_to_one_process_of_two_stops_both(start, meeting_place, tmp_path):
    flags = ["--distributed", "--config.checkpoint_every=1000", "--config.eval_every=1000"]

    def start_two(workdir):
        return [start(workdir, *flags, **variables) for variables in meeting_place(2)]

    def is_done(process):
        code, said, log = ended(process)
        assert (code, said) == (0, "done: step 150"), log

    for process in start_two(tmp_path / "whole"):
        is_done(process)
    assert steps_of(tmp_path / "whole") == [150]

    processes = start_two(tmp_path / "run")
    # Both have met by then, and have yet to compile.
    wait_until((tmp_path / "run" / "metrics.jsonl").exists, processes[0])
    processes[1].send_signal(signal.SIGTERM)  # the first one is that which writes
    (code, said, log), (also_code, also_said, _) = map(ended, processes)
    assert (code, also_code) == (0, 0), log
    stopped = re.fullmatch("stopped at step ([0-9]+)", said)
    assert said == also_said
    assert steps_of(tmp_path / "run") == [int(stopped[1])]
    assert int(stopped[1]) < 150
    for process in start_two(tmp_path / "run"):
        is_done(process)
    assert hash_of(tmp_path / "run") == hash_of(tmp_path / "whole")


# 3. Damage to a checkpoint


def damage(file, kind, rng):
    content = bytearray(file.read_bytes())
    if kind == "flip":
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        file.write_bytes(content)
    elif kind == "cut":
        file.write_bytes(content[: rng.integers(len(content))])
    else:
        file.unlink()


@pytest.mark.filterwarnings("ignore")  # of what Orbax leaves behind where it fails
def test_damage_anywhere_is_noticed_and_the_step_before_used(finished, tmp_path, caplog):
    """The control: of the same flipped bits, Orbax alone hands some on as numbers."""
    folder = run_until(finished, 150, tmp_path / "run") / "checkpoints"
    before, last = Checkpoints(folder).steps()[-2:]
    rng, noticed, handed_on = np.random.default_rng(0), 0, 0
    sound = Checkpoints(folder).read(last).arrays
    files = files_of(folder / str(last))
    sizes = np.array([file.stat().st_size for file in files])
    for number in range(DAMAGES):
        kind = ("flip", "cut", "gone")[number % 3]
        # Any bit of the step is as likely to be flipped; most are of numbers, which are one file.
        file = rng.choice(files, p=sizes / sizes.sum() if kind == "flip" else None)
        content = file.read_bytes()
        damage(file, kind, rng)
        caplog.clear()
        noticed += Checkpoints(folder).newest().step == before
        assert f"{folder}: step {last} is passed over: " in caplog.text
        if kind == "flip":
            try:
                arrays = saved_step._orbax().restore(
                    folder / str(last) / "state", args=ocp.args.PyTreeRestore()
                )
            except Exception:
                arrays = sound
            handed_on += any(arrays[path].tobytes() != sound[path].tobytes() for path in sound)
        file.write_bytes(content)
    assert noticed == DAMAGES
    assert handed_on > 0
    assert Checkpoints(folder).newest().step == last  # what was mended is sound


def test_verify_names_what_is_sound(finished, tmp_path, capsys):
    rng, folder = np.random.default_rng(1), run_until(finished, 150, tmp_path / "run")
    steps = steps_of(folder)
    for step in steps[-2:]:
        damage(files_of(folder / "checkpoints" / str(step))[0], "flip", rng)
    with pytest.raises(SystemExit):
        checkpoint.main(["verify", str(folder)])
    said = capsys.readouterr().out.splitlines()
    assert said[: len(steps) - 2] == [f"{step}\tsound" for step in steps[:-2]]
    for step, line in zip(steps[-2:], said[len(steps) - 2 :], strict=False):
        assert line.startswith(f"{step}\tdamaged: COMMIT.json is not what was saved")
    assert f"a run would go on from step {steps[-3]}" in said


# 4. A full disk


def test_no_room_for_a_checkpoint(finished, start_python, store, tmp_path):
    """A limit on the size of a file, which any machine has, in the place of a full disk."""
    workdir = run_until(finished, 140, tmp_path / "run")
    kept = {step: Checkpoints(workdir / "checkpoints").read(step) for step in steps_of(workdir)}
    largest = max(file.stat().st_size for file in files_of(workdir / "checkpoints" / "140"))
    limited = (
        "import resource, runpy, sys;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest // 2},) * 2);"
        "sys.argv[:] = sys.argv[1:];"
        "runpy.run_module('mashjax.train', run_name='__main__')"
    )
    flags = ["--config=configs/tiny.py", f"--data={store}", f"--workdir={workdir}"]
    code, _, log = ended(start_python("-c", limited, "train", *flags))
    assert code == 2, log[-3000:]
    said = next(line for line in log.splitlines() if line.startswith("mashjax.train: "))
    assert f" {workdir}/checkpoints/150: cannot be written: " in said
    assert said.endswith(f"; steps {', '.join(map(str, kept))} are kept")
    assert "Traceback" not in log and "exception" not in log
    assert steps_of(workdir) == list(kept)
    for step, saved in kept.items():
        assert digest(Checkpoints(workdir / "checkpoints").read(step)) == digest(saved)
    # The control: with room, the same run ends well.
    assert ended(start_python("-m", "mashjax.train", *flags))[:2] == (0, "done: step 150")
    assert hash_of(workdir) == hash_of(finished)


@pytest.mark.slow
def test_a_full_disk(finished, store, start_python, tmp_path):
    """One of memory, that holds the checkpoints until step 140, and a half."""
    workdir = run_until(finished, 140, tmp_path / "run")
    folders = [workdir / "checkpoints" / str(step) for step in steps_of(workdir)]
    sizes = [sum(file.stat().st_size for file in files_of(folder)) for folder in folders]
    room = sum(sizes) + sizes[-1] // 2
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size={room} none {disk}"
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*inside, mount], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    flags = f"--config=configs/tiny.py --data={store} --workdir={disk}"
    script = (
        f"{mount} && cp -r {workdir}/. {disk}\n"
        f'"$0" -m mashjax.train {flags}\necho "exit $?"\n'
        f'"$0" -m mashjax.checkpoint verify {disk}'
    )
    done = subprocess.run(
        [*inside, script, sys.executable], capture_output=True, text=True, check=False
    )
    said = done.stdout.splitlines()
    assert said[0] == "exit 2", done.stderr
    assert f"{disk}/checkpoints/150: cannot be written: the disk is full; steps" in done.stderr
    assert "140\tsound" in said
    # Threads of the failed save may write a little longer: that step is then an unfinished one.
    damaged = [line for line in said if "damaged" in line]
    assert all(line.startswith("150\tdamaged: it has no COMMIT.json") for line in damaged)
    assert "a run would go on from step 140" in said


# 5. A loss that is no number

# Gains up to +-780 dB: those beyond 770.6 are infinite in float32, in a sixth of the batches.
POISON = [
    "--config.model.augment.gain_db=780",
    "--config.steps=40",
    "--config.checkpoint_every=1",
    "--config.eval_every=1000",
]


@pytest.mark.slow
def test_a_loss_of_no_number_stops_the_run_or_is_skipped(start, store, tiny, tmp_path):
    code, _, log = ended(start(tmp_path, *POISON))
    assert code == 1
    said = re.search(r"mashjax.train: step (\d+) \(after (\d+) .*songs: (.*?)\. Nothing", log)
    step = int(said[1])
    assert int(said[2]) == step - 1
    songs = training_batches(tiny, open_store(store)).songs(step - 1)
    assert said[3] == ", ".join(songs)
    before = newest(tmp_path / "checkpoints")
    assert before.step == step - 1 > 0

    # It goes on from there, past several of them.
    code, said, log = ended(start(tmp_path, *POISON, "--config.on_nan=skip"))
    assert (code, said) == (0, "done: step 40")
    skipped = [int(n) for n in re.findall(r"step (\d+) \(after .*The step is left out", log)]
    assert skipped[0] == step
    assert 1 < len(skipped) < 20
    after = newest(tmp_path / "checkpoints")
    for saved in (before, after):
        assert all(np.isfinite(array).all() for array in saved.arrays.values())
    bias = "params/magnitude/head/bias"
    assert not np.array_equal(before.arrays[bias], after.arrays[bias])


# 6. A damaged shard


def with_damage(cfg, store, to):
    """A copy of the store, one of its examples damaged, and the number of that example.

    It is not in the first batch, but in the half of the second one that is the second process's.
    """
    batches = [training_batches(cfg, open_store(store), part=(n, 2)) for n in range(2)]
    before = {*batches[0].examples(0).flat, *batches[1].examples(0).flat}
    example = min({*batches[1].examples(1).flat} - {*batches[0].examples(1).flat} - before)
    shutil.copytree(store, to)
    damage(to / "train" / "c" / str(example) / "0" / "0", "flip", np.random.default_rng(0))
    return to, example


DAMAGED = ["--config.statistics_batches=1", "--config.checkpoint_every=1"]


@pytest.mark.slow
def test_a_damaged_shard_is_named(start, store, tiny, tmp_path):
    data, example = with_damage(tiny, store, tmp_path / "store")
    code, said, log = ended(start(tmp_path / "run", *DAMAGED, data=data))
    assert (code, said) == (2, "")
    assert log.splitlines()[-1].startswith(f"mashjax.train: {data}: example {example} of train ")
    assert "Traceback" not in log
    assert steps_of(tmp_path / "run") == [1]  # what was learned before is there


@pytest.mark.slow
def test_a_shard_damaged_for_one_process_of_two(start, meeting_place, store, tiny, tmp_path):
    data, example = with_damage(tiny, store, tmp_path / "store")
    first, second = [
        start(tmp_path / "run", "--distributed", *DAMAGED, data=data, **variables)
        for variables in meeting_place(2)
    ]
    code, _, log = ended(second)
    assert code == 2, log[-3000:]
    assert f"mashjax.train: {data}: example {example} of train " in log
    assert ended(first)[0] not in (0, 2)  # the mistake is not in what it reads; it ends, too
    assert steps_of(tmp_path / "run") == [1]


# Another machine than before


@pytest.mark.slow
def test_a_run_goes_on_on_another_number_of_devices(finished, start, tmp_path):
    workdir = run_until(finished, 140, tmp_path / "run")
    assert ended(start(workdir, devices=4))[:2] == (0, "done: step 150")
    ours, before = losses_of(workdir), losses_of(finished)
    assert hash_of(workdir) != hash_of(finished)  # the control: sums in another order
    for step in (145, 150):
        assert ours[step] == pytest.approx(before[step], rel=1e-5)
