"""The exported format: there and back, and every damage is noticed."""

import json

import numpy as np
import pytest

from mashjax.errors import UserError
from mashjax.nn.weights import Weights, read_weights, write_weights


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    params = {"magnitude": {"head": {"bias": rng.normal(size=9).astype(np.float32)}}}
    statistics = {"mean": rng.normal(size=200).astype(np.float32)}
    write_weights(tmp_path / "w", Weights(params, statistics, {"task": "mashup", "step": 7}))
    return tmp_path / "w"


def test_there_and_back(folder):
    weights = read_weights(folder)
    assert weights.metadata == {"task": "mashup", "step": 7}
    rng = np.random.default_rng(0)
    bias = rng.normal(size=9).astype(np.float32)
    assert np.array_equal(weights.params["magnitude"]["head"]["bias"], bias)
    assert weights.statistics["mean"].dtype == np.float32
    assert sorted(path.name for path in folder.iterdir()) == ["metadata.json", "weights.npz"]


def test_every_flipped_bit_of_the_arrays_is_noticed(folder):
    whole = (folder / "weights.npz").read_bytes()
    clean = read_weights(folder)
    for at in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 8)
        (folder / "weights.npz").write_bytes(flipped)
        try:
            same = read_weights(folder)
        except UserError as error:
            assert "damaged" in str(error)
            assert "\n" not in str(error)
            continue
        # A flip in what a zip archive does not use (a time stamp) may go unseen, and harms nothing.
        assert np.array_equal(same.statistics["mean"], clean.statistics["mean"])


def test_a_changed_number_is_noticed_although_the_file_is_whole(folder):
    with np.load(folder / "weights.npz") as file:
        leaves = dict(file)
    leaves["statistics/mean"][3] += 1e-3
    np.savez(folder / "weights.npz", **leaves)
    with pytest.raises(UserError, match="statistics/mean is not what was saved"):
        read_weights(folder)


@pytest.mark.parametrize("name", ["weights.npz", "metadata.json"])
def test_missing_and_truncated_files(folder, name):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged checkpoint"):
        read_weights(folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match=r"not a checkpoint|damaged checkpoint"):
        read_weights(folder)


def test_changed_settings_are_noticed(folder):
    path = folder / "metadata.json"
    path.write_text(path.read_text().replace('"step": 7', '"step": 8'))
    with pytest.raises(UserError, match="its settings are not what was saved"):
        read_weights(folder)


def test_metadata_that_is_something_else(folder):
    for text in ("[]", "{}", "7", json.dumps({"format": "other", "sha256": {}})):
        (folder / "metadata.json").write_text(text)
        with pytest.raises(UserError, match="damaged checkpoint"):
            read_weights(folder)
