"""Checkpoints: there and back exactly, the right ones kept, and no damage goes unseen."""

import importlib.util
import pathlib
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mashjax.errors import UserError
from mashjax.training import saved_step
from mashjax.training.checkpoints import (
    Checkpoints,
    chosen,
    digest,
    flat_arrays,
    newest,
    restored,
)
from mashjax.training.saved_step import Unsound

ROOT = pathlib.Path(__file__).parents[2]
METADATA = {"task": "mashup", "config": {"model": {"embedding": None, "rates": [1, 2.5]}}}


def tree(step):
    rng = np.random.default_rng(step)
    return {
        "step": jnp.int32(step),
        "params": {"head": {"bias": jnp.asarray(rng.normal(size=300), jnp.float32)}},
        "opt_state": (jnp.asarray(rng.normal(size=(4, 5)), jnp.bfloat16), jnp.uint8(7)),
        "zeros": jnp.asarray([0.0, -0.0]),
    }


def save(folder, scores, *, keep=3):
    checkpoints = Checkpoints(folder, keep=keep)
    for step, score in scores.items():
        checkpoints.save(step, tree(step), METADATA, score=score)
    checkpoints.wait()
    return checkpoints


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "c", dict.fromkeys((10, 20, 30, 40)))
    return tmp_path / "c"


def test_there_and_back_exactly(folder):
    checkpoints = Checkpoints(folder)
    assert checkpoints.steps() == [20, 30, 40]
    saved = checkpoints.read(40)
    assert saved.metadata == {**METADATA, "step": 40}
    back = restored(tree(0), saved.arrays, where="here")
    for ours, theirs in zip(jax.tree.leaves(back), jax.tree.leaves(tree(40)), strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == np.asarray(theirs).tobytes()
    assert len({digest(checkpoints.read(step)) for step in (20, 30, 40)}) == 3


def test_arrays_are_copied_before_save_returns(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    array = np.arange(1_000_000)
    checkpoints.save(1, {"a": array}, {})
    array[:] = 0
    checkpoints.wait()
    np.testing.assert_array_equal(checkpoints.read(1).arrays["a"], np.arange(1_000_000))


def test_training_goes_on_while_a_step_is_written(tmp_path, monkeypatch):
    """`save` has returned though the disk has not yet; `wait` and the next `save` wait for it."""
    disk, write = threading.Event(), saved_step.write

    def slow(where, saved):
        assert disk.wait(60)
        write(where, saved)

    monkeypatch.setattr(saved_step, "write", slow)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, tree(1), METADATA)
    assert checkpoints.steps() == []
    disk.set()
    checkpoints.save(2, tree(2), METADATA)
    assert 1 in checkpoints.steps()
    checkpoints.wait()
    assert checkpoints.steps() == [1, 2]


def test_a_step_can_be_saved_again(folder):
    checkpoints = Checkpoints(folder, keep=3)
    checkpoints.save(40, tree(41), METADATA)
    checkpoints.wait()
    assert np.array_equal(newest(folder).arrays["step"], 41)
    assert checkpoints.steps() == [20, 30, 40]


@pytest.mark.parametrize(
    ("scores", "kept", "best_first"),
    [
        ({1: 5.0, 2: 7.5, 3: 7.5, 4: 6.0, 5: None, 6: None}, [2, 5, 6], [2]),
        ({1: 5.0, 2: float("nan"), 3: 4.0, 4: -1.0}, [1, 3, 4], [1, 3, 4]),
        ({1: None, 2: 1.0, 3: 2.0}, [2, 3], [3, 2]),
        ({1: None, 2: None, 3: None}, [2, 3], []),
    ],
)
def test_the_newest_and_the_best_are_kept(tmp_path, scores, kept, best_first):
    checkpoints = save(tmp_path, scores, keep=2)
    assert checkpoints.steps() == kept
    # A later process finds the scores again.
    checkpoints = Checkpoints(tmp_path)
    assert [saved.step for saved in checkpoints.sound(best_first=True)] == best_first
    assert checkpoints.best() == (best_first[0] if best_first else None)
    assert [saved.step for saved in checkpoints.sound()] == kept[::-1]
    for step in kept:
        assert repr(checkpoints.read(step).score) == repr(scores[step])


def test_one_step_may_be_chosen(tmp_path):
    save(tmp_path, {10: 3.0, 20: 1.0, 30: None})
    assert [chosen(tmp_path, which).step for which in ("newest", "best", 20, "20")] == [
        30,
        10,
        20,
        20,
    ]
    with pytest.raises(UserError, match="has 10, 20, 30, not 40"):
        chosen(tmp_path, 40)
    with pytest.raises(UserError, match="not last; say newest, best or one of these"):
        chosen(tmp_path, "last")
    damage(tmp_path / "10" / "COMMIT.json")
    assert chosen(tmp_path, "best").step == 20  # of the sound ones
    with pytest.raises(UserError, match=r"step 10 is damaged: COMMIT\.json is not what was saved"):
        chosen(tmp_path, 10)
    save(tmp_path / "without", {1: None})
    with pytest.raises(UserError, match="no sound checkpoint has a score"):
        chosen(tmp_path / "without", "best")


def damage(file, kind="flip", at=None):
    content = file.read_bytes()
    if kind == "flip":
        at = len(content) // 2 if at is None else at
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    elif kind == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.unlink()


def files_of(step):
    return sorted(file for file in step.rglob("*") if file.is_file())


@pytest.mark.parametrize("kind", ["flip", "cut", "gone"])
def test_damage_to_any_file_is_noticed(folder, caplog, kind):
    """Also where it would do no harm: the step before is as good, and a disk that errs, errs on."""
    for file in files_of(folder / "40"):
        content = file.read_bytes()
        damage(file, kind)
        assert next(Checkpoints(folder).sound()).step == 30
        file.write_bytes(content)
    assert newest(folder).step == 40
    assert f"{folder}: step 40 is passed over: " in caplog.text


class Changing:
    """Orbax, but one array comes back a little larger than it was."""

    def __init__(self):
        self._orbax = ORBAX()

    def save(self, *args, **kwargs):
        self._orbax.save(*args, **kwargs)

    def restore(self, *args, **kwargs):
        arrays = self._orbax.restore(*args, **kwargs)
        return arrays | {"params/head/bias": arrays["params/head/bias"] * np.float32(1.0001)}


ORBAX = saved_step._orbax


def test_changed_numbers_in_sound_files_are_noticed(folder, monkeypatch):
    monkeypatch.setattr(saved_step, "_orbax", Changing)
    with pytest.raises(Unsound, match="params/head/bias is not what was saved"):
        Checkpoints(folder).read(40)
    # The control: without hashes of arrays, they come back without a word.
    monkeypatch.setattr(saved_step, "sha256", lambda array: "")
    save(folder, {50: None})
    assert not np.array_equal(
        newest(folder).arrays["params/head/bias"], tree(50)["params"]["head"]["bias"]
    )


@pytest.mark.filterwarnings("ignore")  # of what loads that fail leave behind
def test_without_hashes_of_files_some_damage_goes_unseen(tmp_path, monkeypatch):
    """The control: but the numbers are never other ones, for that is what theirs are for."""
    monkeypatch.setattr(saved_step, "file_sha256", lambda path: "")
    save(tmp_path, {40: None})
    unseen = 0
    for file in files_of(tmp_path / "40" / "state"):
        content = file.read_bytes()
        damage(file)
        try:
            saved = Checkpoints(tmp_path).read(40)
        except Exception:
            pass
        else:
            unseen += 1
            for path, array in flat_arrays(tree(40)).items():
                assert saved.arrays[path].tobytes() == array.tobytes()
        file.write_bytes(content)
    assert 0 < unseen < len(files_of(tmp_path / "40" / "state"))


def test_an_interrupted_save_is_no_step(folder, caplog):
    (folder / "40" / "COMMIT.json").unlink()
    checkpoints = Checkpoints(folder, keep=3)
    assert (checkpoints.steps(), checkpoints.unfinished()) == ([20, 30], [40])
    assert checkpoints.newest().step == 30
    assert "step 40 is passed over: it has no COMMIT.json" in caplog.text
    checkpoints.save(45, tree(45), METADATA)
    checkpoints.wait()
    assert checkpoints.steps() == [20, 30, 45]
    assert not (folder / "40").exists()


def test_what_writes_on_does_not_hinder_removal(folder):
    """When a save fails, its other writes go on for a while."""
    begun = threading.Event()

    def write_on():
        for number in range(2000):
            try:
                (folder / "40" / f"late{number}").touch()
            except FileNotFoundError:
                return
            begun.set()

    thread = threading.Thread(target=write_on)
    thread.start()
    assert begun.wait(60)
    saved_step.remove(f"{folder}/40")
    thread.join()
    assert Checkpoints(folder).steps() == [20, 30]
    assert not (folder / "40").exists()


def test_damaged_steps_take_no_ones_place(folder):
    """The newest three sound ones are kept, not two of them and a damaged one."""
    damage(folder / "40" / "COMMIT.json")
    checkpoints = Checkpoints(folder, keep=3)
    assert checkpoints.newest().step == 30
    checkpoints.save(45, tree(45), METADATA)
    checkpoints.wait()
    assert checkpoints.steps() == [20, 30, 45]
    damage(folder / "45" / "COMMIT.json")
    assert checkpoints.newest().step == 30
    checkpoints.save(45, tree(45), METADATA)  # the same, now sound
    checkpoints.wait()
    assert checkpoints.steps() == [20, 30, 45]
    assert checkpoints.newest().step == 45


def test_where_every_step_is_damaged_nothing_begins_again(folder):
    for step in (20, 30, 40):
        damage(folder / str(step) / "COMMIT.json")
    with pytest.raises(UserError, match="every step is damaged; use another folder, or remove"):
        Checkpoints(folder, keep=3).newest()


def test_nothing_to_restore(tmp_path):
    with pytest.raises(UserError, match="no sound checkpoint"):
        newest(tmp_path / "nothing")
    assert list(Checkpoints(tmp_path / "nothing").sound()) == []
    assert Checkpoints(tmp_path / "nothing").newest() is None
    assert not (tmp_path / "nothing").exists()


def test_shapes_types_and_names_must_agree():
    arrays = flat_arrays(tree(1))
    wider = {**tree(1), "params": {"head": {"bias": jnp.zeros(301)}}}
    with pytest.raises(UserError, match=r"params/head/bias is float32\[300\].*float32\[301\]"):
        restored(wider, arrays, where="here")
    coarser = {**tree(1), "step": jnp.float32(1)}
    with pytest.raises(UserError, match=r"step is int32\[\] in the checkpoint and float32\[\]"):
        restored(coarser, arrays, where="here")
    with pytest.raises(UserError, match="is in only one of the checkpoint and the model"):
        restored({**tree(1), "params": {"tail": jnp.zeros(3)}}, {**arrays}, where="here")


TWO = """
import sys, jax, numpy as np, jax.numpy as jnp
from mashjax.training.distributed import initialise
initialise()
from mashjax.training.checkpoints import Checkpoints, digest, restored
from mashjax.training.mesh import data_mesh, replicated
tree = {"a": jnp.asarray([0.0, -0.0, 1.5], jnp.bfloat16), "b": [np.arange(7, dtype=np.uint8)]}
tree = jax.device_put(tree, replicated(data_mesh(4)))
checkpoints = Checkpoints(f"{sys.argv[1]}/{jax.process_index()}", keep=2)
assert checkpoints.newest() is None
for step in (1, 2, 3, 4):
    checkpoints.save(step, tree, {"who": str(jax.process_index())}, score=-step)
checkpoints.wait()
saved = checkpoints.newest()
back = jax.device_put(restored(tree, saved.arrays, where=""), replicated(data_mesh(4)))
for ours, theirs in zip(jax.tree.leaves(tree), jax.tree.leaves(back), strict=True):
    assert ours.dtype == theirs.dtype
    assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()
print(checkpoints.steps(), saved.step, saved.metadata["who"], saved.score, digest(saved))
"""


@pytest.mark.slow
def test_two_processes_without_a_disk_in_common(tmp_path, start_python, meeting_place):
    """The first one writes; both go on from what it has read, and so does a single process."""
    processes = [start_python("-c", TWO, tmp_path, devices=2, **env) for env in meeting_place(2)]
    said = [process.communicate(timeout=120)[0].splitlines()[-1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    here = newest(tmp_path / "0")
    assert said[0] == f"[1, 3, 4] 4 0 -4.0 {digest(here)}"
    assert said[1] == f"[] 4 0 -4.0 {digest(here)}"
    assert np.signbit(here.arrays["a"].astype(np.float32)).tolist() == [False, True, False]


IN_A_BUCKET = """
import numpy as np
from mashjax.training.checkpoints import Checkpoints, digest
checkpoints = Checkpoints("gs://bucket/my run/checkpoints", keep=2)
for step, score in ((1, 2.0), (2, 1.0), (3, 0.5), (4, None)):
    checkpoints.save(step, {"a": np.full(1000, step, np.float32)}, {}, score=score)
checkpoints.wait()
print(checkpoints.steps(), checkpoints.best(), [saved.step for saved in checkpoints.sound()])
"""


@pytest.mark.slow
def test_checkpoints_in_a_bucket():
    spec = importlib.util.spec_from_file_location("r", ROOT / "tests" / "data" / "test_remote.py")
    remote = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(remote)
    with remote.Bucket() as bucket:
        run = bucket.python(IN_A_BUCKET)
        assert run.stdout == "[1, 3, 4] 1 [4, 3, 1]\n", run.stderr
        names = {name.removeprefix("my run/checkpoints/")[:2] for name in bucket.objects}
        assert names == {"1/", "3/", "4/"}
        damaged = next(name for name in bucket.objects if name.startswith("my run/checkpoints/4/s"))
        generation, raw = bucket.objects[damaged]
        bucket.objects[damaged] = generation, raw[:-1] + bytes([raw[-1] ^ 1])
        verified = bucket.command("checkpoint", "verify", "gs://bucket/my run")
        assert verified.returncode == 1
        assert "\n4\tdamaged: state/" in verified.stdout
        assert "go on from step 3\nthe best is step 1, score 2\n" in verified.stdout
        bucket.refuse_after = 2
        run = bucket.python(IN_A_BUCKET)
        assert "gs://bucket/my run/checkpoints/1: cannot be written" in run.stderr
        assert "; steps 3, 4 are kept" in run.stderr
