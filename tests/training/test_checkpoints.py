"""Checkpoints: there and back exactly, and no damage goes unseen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mashjax.errors import UserError
from mashjax.training.checkpoints import (
    Checkpoints,
    Unsound,
    digest,
    flat_arrays,
    newest,
    restored,
)

METADATA = {"task": "mashup", "config": {"model": {"embedding": None, "rates": [1, 2.5]}}}


def tree(step):
    rng = np.random.default_rng(step)
    return {
        "step": jnp.int32(step),
        "params": {"head": {"bias": jnp.asarray(rng.normal(size=300), jnp.float32)}},
        "opt_state": (jnp.asarray(rng.normal(size=(4, 5)), jnp.bfloat16), jnp.uint8(7)),
    }


@pytest.fixture
def folder(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", keep=3)
    for step in (10, 20, 30, 40):
        checkpoints.save(step, tree(step), METADATA)
    checkpoints.wait()
    return tmp_path / "c"


def test_there_and_back_exactly(folder):
    checkpoints = Checkpoints(folder)
    assert checkpoints.steps() == [20, 30, 40]
    saved = checkpoints.read(40)
    assert saved.metadata == {**METADATA, "step": 40}
    back = restored(tree(0), saved.arrays, where="here")
    for ours, theirs in zip(jax.tree.leaves(back), jax.tree.leaves(tree(40)), strict=True):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
    assert len({digest(checkpoints.read(step)) for step in (20, 30, 40)}) == 3


def test_a_step_can_be_saved_again(folder):
    checkpoints = Checkpoints(folder, keep=3)
    checkpoints.save(40, tree(41), METADATA)
    checkpoints.wait()
    assert np.array_equal(newest(folder).arrays["step"], 41)


def damaged_files(folder, step):
    """The files that hold the step's arrays and metadata."""
    files = [file for file in (folder / str(step)).rglob("*") if file.is_file()]
    return sorted(file for file in files if file.stat().st_size)


# What Orbax leaves behind when a load fails: coroutines and tasks of a loop that is closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_kind_of_damage_is_noticed(folder, caplog):
    """Flipped bits, truncation and deletion: never other numbers than those that were saved."""
    rng = np.random.default_rng(0)
    whole = flat_arrays(tree(40))
    noticed = 0
    damages = [(file, kind) for file in damaged_files(folder, 40) for kind in ("flip", "cut", "no")]
    for file, kind in damages:
        content = file.read_bytes()
        if kind == "flip":
            flipped = bytearray(content)
            flipped[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
            file.write_bytes(flipped)
        elif kind == "cut":
            file.write_bytes(content[: len(content) // 2])
        else:
            file.unlink()
        saved = next(Checkpoints(folder).sound())
        if saved.step == 40:  # the damage hit what does not matter
            for path, array in whole.items():
                assert np.array_equal(saved.arrays[path], array)
            assert saved.metadata == {**METADATA, "step": 40}
        else:
            noticed += 1
            assert saved.step == 30
        file.write_bytes(content)
    assert newest(folder).step == 40
    assert noticed > len(damages) / 3
    assert "step 40 is passed over" in caplog.text


def test_changed_numbers_in_a_readable_step_are_noticed(folder, monkeypatch):
    """The control: Orbax reads them without a word, the hashes speak."""
    checkpoints = Checkpoints(folder)
    read = checkpoints._checkpointer.load_checkpointables

    class Changed:
        def load_checkpointables(self, step):
            loaded = read(step)
            loaded["state"]["params/head/bias"] = loaded["state"]["params/head/bias"] * 1.0001
            return loaded

    monkeypatch.setattr(type(checkpoints), "_checkpointer", Changed())
    with pytest.raises(Unsound, match="params/head/bias is not what was saved"):
        checkpoints.read(40)


def test_nothing_to_restore(tmp_path):
    with pytest.raises(UserError, match="no sound checkpoint"):
        newest(tmp_path / "nothing")
    assert list(Checkpoints(tmp_path / "nothing").sound()) == []


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
