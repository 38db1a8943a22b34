import json
import pathlib
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mashjax.data.location import kvstore_spec, no_room_is_an_error
from mashjax.data.sealing import file_sha256, sealed
from mashjax.data.store import (
    FILL,
    MANIFEST,
    Settings,
    decode,
    encode,
    open_store,
    verify,
)
from mashjax.errors import UserError

SHORT = Settings(sample_rate=8000, seconds=0.05, clips_per_song=3, partners=4)
MASHUPS = Settings(layout="labelled", sample_rate=8000, seconds=0.05)


def song(i: int, rows: int = 3, sources: int = 2) -> np.ndarray:
    shape = (rows, sources, SHORT.samples)
    return np.random.default_rng(i).uniform(-0.9, 0.9, shape).astype(np.float32)


@pytest.fixture(scope="module")
def written(make_store, tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("stores") / "written.store"
    # Song 1 has a row less than there is room for.
    songs = {"train": [song(0), song(1, rows=2), song(2)], "valid": [song(3), song(4)]}
    return pathlib.Path(make_store(path, songs, settings=SHORT))


@pytest.fixture
def copy(written, tmp_path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(written, tmp_path / "copy.store"))


def test_examples_are_two_songs_within_half_a_step_of_16_bits(written):
    store = open_store(written)
    assert [store.count(split) for split in ("train", "valid", "test")] == [8, 6, 0]
    rows = np.concatenate([song(0), song(1, rows=2), song(2)])
    idx, partner = np.array([7, 0, 0, 4]), np.array([0, 4, 7, 2])
    x = store.read("train", idx, partner)
    assert x.dtype == np.int16
    wanted = np.concatenate([rows[idx], rows[partner]], axis=1)
    assert np.abs(decode(x) - wanted).max() <= 0.5001 / 32767
    assert store.settings == SHORT
    assert store.sources == ("lead1", "backing1", "lead2", "backing2")
    best = store.partners("train")[idx, 0]
    np.testing.assert_array_equal(store.read("train", idx), store.read("train", idx, best))


def test_partners_are_the_most_alike_of_other_songs(written):
    """The songs' harmony vectors are at angles 0, 1 and 2: song 1 is nearest to both others."""
    store = open_store(written)
    partners = store.partners("train")
    assert partners.shape == (8, SHORT.partners)
    assert partners[0].tolist() == [3, 4, 5, 6]
    assert partners[7].tolist() == [3, 4, 0, 1]
    assert sorted(partners[3].tolist()) == [0, 1, 2, 5]
    assert store.manifest["pairs"] == 2 * 3 + 2 * 3 + 3 * 3 - 1 + 9  # all but one: 4 are kept


def test_rows_of_mashups_come_back_as_they_are(make_store, tmp_path):
    rows = song(5, rows=40, sources=3)
    path = make_store(tmp_path / "m.store", {"train": [rows, rows[:1]]}, settings=MASHUPS)
    store = open_store(path)
    assert store.count("train") == 41
    assert store.sources == ("label", "original1", "original2")
    assert store.partners("train").shape == (41, 0)
    x = store.read("train", np.array([39, 40]))
    assert np.abs(decode(x) - rows[[39, 0]]).max() <= 0.5001 / 32767
    # The second mashup has its rows behind all that the first might have had.
    assert [e["row"] for e in store.examples("train")[-2:]] == [39, 1024]
    assert (pathlib.Path(path) / "train/c/2/0/0").is_file()
    assert verify(path) == []


def test_the_manifest_names_every_file_with_its_true_hash(written):
    manifest = json.loads((written / MANIFEST).read_text())
    on_disk = {p.relative_to(written).as_posix() for p in written.rglob("*") if p.is_file()}
    assert set(manifest["files"]) == on_disk - {MANIFEST}
    for name, file in manifest["files"].items():
        assert file["sha256"] == file_sha256(written / name)
        assert file["bytes"] == (written / name).stat().st_size
    assert manifest["settings_hash"] == SHORT.hash
    assert Settings().hash != SHORT.hash
    assert open_store(written).manifest_hash == file_sha256(written / MANIFEST)
    statistics = manifest["statistics"]
    assert len(statistics["mean"]) == len(statistics["scale"]) == 1025
    assert verify(written) == []


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), which=st.integers(0, 99))
def test_any_flipped_bit_is_found_by_verify_and_never_trained_on(copy, place, bit, which):
    files = sorted(p for p in copy.rglob("*") if p.is_file())
    file = files[which % len(files)]
    before = file.read_bytes()
    raw = bytearray(before)
    raw[int(place * len(raw))] ^= 1 << bit
    file.write_bytes(raw)
    name = file.relative_to(copy).as_posix()
    try:
        if name == MANIFEST:
            with pytest.raises(UserError, match="MANIFEST"):
                verify(copy)
        else:
            assert verify(copy) == [name]
        with pytest.raises(UserError, match="again"):
            read_all(copy)
    finally:
        file.write_bytes(before)


def read_all(path) -> None:
    store = open_store(path)
    for split in ("train", "valid", "test"):
        n = store.count(split)
        partners = store.partners(split)
        if n:
            store.read(split, np.arange(n), partners[:, 0])


def test_a_damaged_example_is_named_and_the_others_are_not(copy):
    shard = copy / "train/c/1/0/0"
    raw = bytearray(shard.read_bytes())
    raw[10] ^= 1
    shard.write_bytes(raw)
    store = open_store(copy)
    with pytest.raises(UserError, match=r"example 3 of train \(row 3, train 1\) is damaged"):
        store.read("train", np.array([0, 3]), np.array([7, 6]))
    assert store.read("train", np.array([0, 4]), np.array([7, 7])).shape == (2, 4, SHORT.samples)


def test_a_shard_deleted_before_or_after_opening_is_noticed(copy):
    store = open_store(copy)
    (copy / "train/c/0/0/0").unlink()
    with pytest.raises(UserError, match=r"example 2 of train .* is missing"):
        store.read("train", np.array([2]), np.array([5]))
    with pytest.raises(UserError, match="train/c/0/0/0 is missing"):
        open_store(copy)
    assert verify(copy) == ["train/c/0/0/0"]


def test_a_truncated_shard_is_found(copy):
    shard = copy / "train/c/0/0/0"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"example 0 of train .* is damaged"):
        read_all(copy)
    assert verify(copy) == ["train/c/0/0/0"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / MANIFEST).unlink(), "no MANIFEST.json"),
        (lambda p: shutil.rmtree(p), "no such store"),
        (lambda p: (p / MANIFEST).write_text("{"), "damaged"),
        (lambda p: (p / MANIFEST).write_text("[]"), "damaged"),
        (lambda p: edit(p, format="cake"), "not a mashjax-store"),
        (lambda p: edit(p, version=99), "version 99"),
        (lambda p: (p / MANIFEST).write_text('{"format": "mashjax-store", "version": 1}'), "on 1"),
        (lambda p: edit(p, settings={"colour": "red"}), "settings of another"),
    ],
)
def test_what_is_not_a_whole_store_is_refused_in_one_line(copy, damage, message):
    damage(copy)
    with pytest.raises(UserError, match=message) as error:
        open_store(copy)
    assert "\n" not in str(error.value)


def test_reading_outside_of_a_split_is_refused(written):
    store = open_store(written)
    for idx in ([8], [-1]):
        with pytest.raises(UserError, match="0 to 7"):
            store.read("train", np.array(idx))
    with pytest.raises(UserError, match="no split 'dev'"):
        store.count("dev")


def test_no_sample_is_written_as_the_fill_value():
    assert encode(np.array([-1.0, 1.0])).tolist() == [-32767, 32767]
    assert FILL == -32768
    for bad in (np.nan, 1.01, -np.inf):
        with pytest.raises(ValueError, match="finite and within"):
            encode(np.array([bad]))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("RESOURCE_EXHAUSTED: No space left on device [os_error_code='28']"),
        OSError("Not enough free space to write 80000000 bytes after offset 128"),
        OSError(28, "No space left on device"),
    ],
)
def test_a_full_disk_is_one_line(error, tmp_path):
    where = f"{tmp_path}/s.store"
    with (
        pytest.raises(UserError, match=r"s\.store: cannot be written: the disk is full"),
        no_room_is_an_error(where),
    ):
        raise error


def test_a_location_is_a_folder_or_an_address():
    assert kvstore_spec("gs://bucket/some songs", "train") == {
        "driver": "gcs", "bucket": "bucket", "path": "some songs/train/",
    }  # fmt: skip
    assert kvstore_spec("/data/歌 50%", "a", "b")["path"] == "/data/歌 50%/a/b/"
    with pytest.raises(UserError, match="ftp://x: no address that can be opened"):
        kvstore_spec("ftp://x")


def edit(path: pathlib.Path, **changes) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    if "settings" in changes:
        changes["settings"] = {**manifest["settings"], **changes["settings"]}
    manifest.pop("sha256")
    (path / MANIFEST).write_bytes(sealed({**manifest, **changes}))
