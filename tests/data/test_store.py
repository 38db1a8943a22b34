import json
import pathlib
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mashjax.data.store import FILL, MANIFEST, Settings, file_sha256, open_store, verify
from mashjax.data.writing import SHARD_EXAMPLES, StoreWriter, encode, no_room_is_an_error
from mashjax.errors import UserError

SHORT = Settings(sample_rate=8000, seconds=0.05)
COUNT = SHARD_EXAMPLES + 3


def example(i: int) -> np.ndarray:
    return np.random.default_rng(i).uniform(-0.9, 0.9, (4, SHORT.samples)).astype(np.float32)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("stores") / "written.store"
    with StoreWriter(path, settings=SHORT) as writer:
        for i in range(COUNT):
            writer.add("train", example(i), number=i)
        writer.add("valid", example(1000), number=1000)
        writer.finish(songs={"a": {}})
    return path


@pytest.fixture
def copy(written, tmp_path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(written, tmp_path / "copy.store"))


def test_examples_come_back_within_half_a_step_of_16_bits(written):
    store = open_store(written)
    assert (store.count("train"), store.count("valid"), store.count("test")) == (COUNT, 1, 0)
    idx = np.array([COUNT - 1, 0, 0, SHARD_EXAMPLES])
    wanted = np.stack([example(i) for i in idx])
    assert np.abs(store.read("train", idx) - wanted).max() <= 0.5001 / 32767
    assert [store.examples("train")[i]["number"] for i in idx] == idx.tolist()
    assert store.settings == SHORT


def test_the_manifest_names_every_file_with_its_true_hash(written):
    manifest = json.loads((written / MANIFEST).read_text())
    on_disk = {p.relative_to(written).as_posix() for p in written.rglob("*") if p.is_file()}
    assert set(manifest["files"]) == on_disk - {MANIFEST}
    for name, file in manifest["files"].items():
        assert file["sha256"] == file_sha256(written / name)
        assert file["bytes"] == (written / name).stat().st_size
    assert manifest["settings_hash"] == SHORT.hash
    assert Settings().hash != SHORT.hash == Settings(sample_rate=8000, seconds=0.05).hash
    assert open_store(written).manifest_hash == file_sha256(written / MANIFEST)
    assert verify(written) == []


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_of_a_shard_is_found_by_verify_and_by_reading(copy, place, bit):
    shard = copy / "train/c/0/0/0"
    raw = bytearray(shard.read_bytes())
    at = int(place * len(raw))
    raw[at] ^= 1 << bit
    shard.write_bytes(raw)
    try:
        assert verify(copy) == ["train/c/0/0/0"]
        with pytest.raises(UserError, match=r"example \d+ of train"):
            open_store(copy).read("train", np.arange(COUNT))
    finally:
        raw[at] ^= 1 << bit
        shard.write_bytes(raw)


def test_a_damaged_example_is_named_and_the_others_are_not(copy):
    shard = copy / "train/c/1/0/0"
    raw = bytearray(shard.read_bytes())
    raw[10] ^= 1
    shard.write_bytes(raw)
    store = open_store(copy)
    with pytest.raises(UserError, match=f"example {SHARD_EXAMPLES} of train is damaged"):
        store.read("train", np.array([0, SHARD_EXAMPLES, SHARD_EXAMPLES + 1]))
    assert store.read("train", np.array([0, SHARD_EXAMPLES + 1])).shape == (2, 4, SHORT.samples)


def test_a_shard_deleted_before_or_after_opening_is_noticed(copy):
    store = open_store(copy)
    (copy / "train/c/0/0/0").unlink()
    with pytest.raises(UserError, match="example 5 of train is missing"):
        store.read("train", np.array([5]))
    with pytest.raises(UserError, match="train/c/0/0/0 is missing"):
        open_store(copy)


def test_a_truncated_shard_does_not_open(copy):
    shard = copy / "train/c/0/0/0"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(UserError, match="bytes"):
        open_store(copy)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / MANIFEST).unlink(), "no MANIFEST.json"),
        (lambda p: shutil.rmtree(p), "no such store"),
        (lambda p: (p / MANIFEST).write_text("{"), "damaged"),
        (lambda p: (p / MANIFEST).write_text("[]"), "not a mashjax-store"),
        (lambda p: edit(p, version=99), "version 99"),
        (lambda p: edit(p, settings={"colour": "red"}), "settings of another"),
        (lambda p: edit(p, settings={"seconds": 1.0}), "shape"),
    ],
)
def test_what_is_not_a_whole_store_is_refused_in_one_line(copy, damage, message):
    damage(copy)
    with pytest.raises(UserError, match=message) as error:
        open_store(copy)
    assert "\n" not in str(error.value)


def test_reading_outside_of_a_split_is_refused(written):
    store = open_store(written)
    for idx in ([COUNT], [-1]):
        with pytest.raises(UserError, match=f"0 to {COUNT - 1}"):
            store.read("train", np.array(idx))
    with pytest.raises(UserError, match="no split 'dev'"):
        store.count("dev")


def test_no_sample_is_written_as_the_fill_value():
    assert encode(np.array([-1.0, 1.0])).tolist() == [-32767, 32767]
    assert FILL == -32768
    for bad in (np.nan, 1.01, -np.inf):
        with pytest.raises(ValueError, match="finite and within"):
            encode(np.array([bad]))


def test_a_writer_that_fails_leaves_nothing_and_a_killed_one_nothing_that_opens(tmp_path):
    path = tmp_path / "s.store"
    with pytest.raises(RuntimeError), StoreWriter(path, settings=SHORT) as writer:
        writer.add("train", example(0))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    killed = StoreWriter(path, settings=SHORT)
    killed.add("train", example(0))
    with pytest.raises(UserError):
        open_store(path)
    with pytest.raises(UserError, match=r"no MANIFEST\.json"):
        open_store(killed.partial)
    with StoreWriter(path, settings=SHORT) as writer:
        writer.add("train", example(1))
        writer.finish()
    assert open_store(path).count("train") == 1
    with pytest.raises(UserError, match="exists already"):
        StoreWriter(path, settings=SHORT)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("RESOURCE_EXHAUSTED: No space left on device [os_error_code='28']"),
        OSError("Not enough free space to write 80000000 bytes after offset 128"),
        OSError(28, "No space left on device"),
    ],
)
def test_a_full_disk_is_one_line(error, tmp_path):
    with (
        pytest.raises(UserError, match=r"s\.store: cannot be written: the disk is full"),
        no_room_is_an_error(tmp_path / "s.store"),
    ):
        raise error


def test_a_stranger_s_folder_is_never_removed(tmp_path):
    (tmp_path / "s.store.partial").mkdir()
    (tmp_path / "s.store.partial" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not ours"):
        StoreWriter(tmp_path / "s.store", settings=SHORT)
    assert (tmp_path / "s.store.partial" / "thesis.txt").read_text() == "mine"
    with pytest.raises(UserError, match="no such folder"):
        StoreWriter(tmp_path / "absent" / "s.store", settings=SHORT)


def edit(path: pathlib.Path, **changes) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    if "settings" in changes:
        changes["settings"] = {**manifest["settings"], **changes["settings"]}
    (path / MANIFEST).write_text(json.dumps({**manifest, **changes}))
