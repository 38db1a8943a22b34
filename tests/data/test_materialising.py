"""The students' arrays as real zarr."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorstore as ts

from mashjax.data.materialising import materialise
from mashjax.data.sealing import file_sha256
from mashjax.data.store import MANIFEST, PLAN, Settings, Store, open_store
from mashjax.data.views import inputs, labels
from mashjax.errors import UserError

SR = 8000
SETTINGS = Settings(sample_rate=SR, seconds=0.5, clips_per_song=2)
STFT = {"n_fft": 256, "hop_length": 128}


def rows(seed: int, count: int) -> np.ndarray:
    y = np.random.default_rng(seed).uniform(-0.4, 0.4, (count, 2, SETTINGS.samples))
    return y.astype(np.float32)


@pytest.fixture(scope="module")
def store_path(make_store, tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("arrays") / "songs.store"
    songs = {"train": [rows(0, 2), rows(1, 1)], "test": [rows(2, 1), rows(3, 1)]}
    make_store(path, songs, settings=SETTINGS)
    return path


@pytest.fixture(scope="module")
def store(store_path) -> Store:
    return open_store(store_path)


@pytest.fixture(scope="module")
def finished(store, tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("arrays") / "copy"
    size = materialise(store, path, **STFT)
    assert size == sum(p.stat().st_size for p in all_files(path) if p.name != MANIFEST)
    return path


@pytest.fixture
def copy(finished, tmp_path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(finished, tmp_path / "copy"))


def all_files(folder: pathlib.Path) -> list[pathlib.Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def open_array(path: pathlib.Path) -> ts.TensorStore:
    """As somebody opens it who has never heard of mashjax."""
    return ts.open({"driver": "zarr3", "kvstore": f"file://{path}/"}).result()


def test_the_arrays_are_the_views(finished, store):
    for split in ("train", "valid", "test"):
        for view in (labels, inputs):
            wanted = view(store, split, **STFT)
            array = open_array(finished / split / view.__name__)
            assert array.shape == wanted.shape and array.dtype == ts.float32
            assert array.domain.labels == wanted.domain.labels
            assert np.isnan(array.fill_value)
            np.testing.assert_array_equal(array.read().result(), wanted.read().result())
    metadata = json.loads((finished / "train/inputs/zarr.json").read_text())
    assert metadata["attributes"]["sample_rate"] == SR
    assert metadata["attributes"]["n_fft"] == 256 and metadata["attributes"]["hop_length"] == 128
    group = json.loads((finished / "train/zarr.json").read_text())
    assert group == {"zarr_format": 3, "node_type": "group", "attributes": {}}


def test_the_manifest_says_what_it_is_and_names_every_file(finished, store):
    manifest = json.loads((finished / MANIFEST).read_text())
    assert manifest["store"] == store.manifest_hash
    assert manifest["stft"]["n_fft"] == 256
    assert manifest["arrays"]["train/inputs"]["shape"] == [2, 3, 2, 32, 129]
    assert [e["song"] for e in manifest["examples"]["test"]] == ["test 0", "test 1"]
    assert manifest["partners"]["test"] == [1, 0]
    names = {p.relative_to(finished).as_posix() for p in all_files(finished)}
    assert set(manifest["files"]) == names - {MANIFEST}
    for name, file in manifest["files"].items():
        assert file["sha256"] == file_sha256(finished / name)
        assert file["bytes"] == (finished / name).stat().st_size


@pytest.mark.parametrize("done_before", [1, 2, 4])
def test_an_interrupted_copy_is_gone_on_with(done_before, finished, store, tmp_path):
    class Killed(Exception):
        pass

    def die(done: int, total: int) -> None:
        assert total == 5
        if done == done_before:
            raise Killed

    path = tmp_path / "copy"
    with pytest.raises(Killed):
        materialise(store, path, **STFT, progress=die)
    assert not (path / MANIFEST).exists()
    arrays = [p for p in all_files(path) if p.parts[-2] == "0"]
    assert len(arrays) == 2 * done_before
    # The first is damaged by the crash; the others are not written again.
    raw = bytearray(arrays[0].read_bytes())
    raw[500] ^= 4
    arrays[0].write_bytes(raw)
    inodes = [p.stat().st_ino for p in arrays[1:]]
    materialise(store, path, **STFT)
    assert [p.stat().st_ino for p in arrays[1:]] == inodes
    assert not (path / PLAN).exists()
    assert (path / MANIFEST).read_bytes() == (finished / MANIFEST).read_bytes()
    manifest = json.loads((path / MANIFEST).read_text())
    assert all(file["sha256"] == file_sha256(path / n) for n, file in manifest["files"].items())


def test_a_finished_copy_that_has_suffered_is_mended(copy, finished, store):
    inode = (copy / "train/labels/c/0/0/0/0").stat().st_ino
    shard = copy / "train/labels/c/0/1/0/0"
    raw = bytearray(shard.read_bytes())
    raw[1000] ^= 1
    shard.write_bytes(raw)
    with pytest.raises(ValueError, match="Digest mismatch"):
        open_array(copy / "train/labels").read().result()
    (copy / "train/inputs/c/0/2/0/0/0").unlink()
    assert np.isnan(open_array(copy / "train/inputs")[:, 2].read().result()).all()
    (copy / "test/labels/zarr.json").write_text("{")
    materialise(store, copy, **STFT)
    assert (copy / "train/labels/c/0/0/0/0").stat().st_ino == inode
    for path in all_files(finished):
        assert (copy / path.relative_to(finished)).read_bytes() == path.read_bytes()


def test_what_is_somebody_else_s_is_refused(copy, store, store_path, make_store, tmp_path):
    make_store(tmp_path / "other.store", {"train": [rows(5, 1), rows(6, 1)]}, settings=SETTINGS)
    before = {p: p.read_bytes() for p in all_files(copy)}
    with pytest.raises(UserError, match="arrays of another store"):
        materialise(open_store(tmp_path / "other.store"), copy, **STFT)
    with pytest.raises(UserError, match="with another STFT"):
        materialise(store, copy)
    with pytest.raises(UserError, match="holds a mashjax-store"):
        materialise(store, store_path)
    (copy / "train/zarr.json").unlink()
    (copy / MANIFEST).write_text("{}")
    with pytest.raises(UserError, match=r"MANIFEST\.json is damaged; remove"):
        materialise(store, copy, **STFT)
    (copy / MANIFEST).unlink()
    with pytest.raises(UserError, match="not empty, and no copy of ours"):
        materialise(store, copy, **STFT)
    left = {p: p.read_bytes() for p in all_files(copy)}
    assert left.items() <= before.items() and len(left) == len(before) - 2
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        materialise(store, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_copy_of_a_damaged_store_is_never_finished(store_path, tmp_path):
    damaged = pathlib.Path(shutil.copytree(store_path, tmp_path / "damaged.store"))
    store = open_store(damaged)
    (damaged / "test/c/1/0/0").unlink()
    with pytest.raises(UserError, match=r"example \d of test .* is missing"):
        materialise(store, tmp_path / "copy", **STFT)
    assert not (tmp_path / "copy" / MANIFEST).exists()


def test_a_disk_without_room_is_one_line_before_the_work(store, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**6))
    with pytest.raises(UserError, match=r"copy: the arrays need 0\.\d GB more, 0\.0 GB are free"):
        materialise(store, tmp_path / "copy", n_fft=2048, hop_length=16)
    assert list(tmp_path.iterdir()) == []
