import pathlib
import subprocess
import sys

import numpy as np
import pytest

from mashjax.data.batches import GAIN_DB, batches
from mashjax.data.store import Settings, Store, open_store
from mashjax.data.writing import StoreWriter
from mashjax.errors import UserError

SHORT = Settings(sample_rate=8000, seconds=0.05)
COUNT = 7


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Sample s of source k of example i is a code of (i, k, s); 16 bits keep it exactly."""
    path = tmp_path_factory.mktemp("batches") / "coded.store"
    with StoreWriter(path, settings=SHORT) as writer:
        for split in ("train", "valid"):
            for i in range(COUNT):
                writer.add(split, code(i))
        writer.finish()
    return open_store(path)


def code(i: int) -> np.ndarray:
    sources, samples = np.mgrid[0:4, 0 : SHORT.samples]
    return (1000 * (i + 1) + 100 * sources + samples % 97) / 32767


def make(store: Store, *, split: str = "train", seed: int = 1, batch_size: int = 3):
    return batches(store, split=split, seed=seed, batch_size=batch_size, samples=100)


def test_a_batch_depends_on_seed_and_step_only(store):
    forwards, other = make(store), make(store)
    wanted = [forwards(step) for step in range(20)]
    for step in (13, 2, 19, 2, 0):
        np.testing.assert_array_equal(other(step), wanted[step])
    assert not np.array_equal(make(store, seed=2)(0), wanted[0])
    assert wanted[0].shape == (3, 4, 100)
    assert wanted[0].dtype == np.float32


def test_every_epoch_visits_every_example_once_in_a_new_order(store):
    batch = make(store, batch_size=1)
    orders = [[example_of(batch(step)[0]) for step in range(e * 7, e * 7 + 7)] for e in range(4)]
    assert all(sorted(order) == list(range(COUNT)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_batch_size_does_not_change_the_order_of_examples(store):
    single, triple = make(store, batch_size=1), make(store, batch_size=3)
    np.testing.assert_array_equal(
        np.concatenate([single(step) for step in range(21)]),
        np.concatenate([triple(step) for step in range(7)]),
    )


def test_augmentation_is_a_crop_an_order_a_gain_and_a_polarity_per_song(store):
    batch = make(store, batch_size=1)
    gains, swaps = [], []
    for step in range(200):
        x = batch(step)[0]
        i = example_of(x)
        stored = store.read("train", np.array([i]))[0]
        found = []
        for order in ([0, 1, 2, 3], [2, 3, 0, 1]):
            for start in range(SHORT.samples - 100 + 1):
                crop = stored[order, start : start + 100]
                gain = x[:, 0] / crop[:, 0]
                if np.allclose(gain[0], gain[1], rtol=1e-6) and np.allclose(
                    gain[2], gain[3], rtol=1e-6
                ):
                    error = np.abs(x - crop * gain[:, None]).max()
                    found.append((error, order[0] == 2, gain[0], gain[2]))
        error, swapped, *gain = min(found)
        assert error < 1e-7
        gains += gain
        swaps.append(swapped)
    assert 20 * np.log10(np.abs(gains)).max() <= GAIN_DB + 1e-3
    assert 20 * np.log10(np.abs(gains)).min() >= -GAIN_DB - 1e-3
    # 200 fair coins: outside of 70..130 once in 10^5.
    assert 70 <= sum(swaps) <= 130
    assert 140 <= np.sum(np.array(gains) < 0) <= 260


def test_validation_reads_the_middle_in_order_and_wraps_around(store):
    batch = make(store, split="valid")
    start = (SHORT.samples - 100) // 2
    wanted = store.read("valid", np.array([6, 0, 1]))[..., start : start + 100]
    np.testing.assert_array_equal(batch(2), wanted)
    np.testing.assert_array_equal(make(store, split="valid", seed=9)(2), wanted)


def test_what_cannot_be_read_is_refused_in_one_line(store):
    with pytest.raises(UserError, match="no examples in test"):
        make(store, split="test")
    with pytest.raises(UserError, match="400 samples, asked for 401"):
        batches(store, split="train", seed=0, batch_size=1, samples=401)


def test_training_needs_no_audio_or_music_library():
    """Training machines have neither; a fresh process shows what importing the loader brings."""
    program = (
        "import sys, mashjax.data.batches, mashjax.data.store\n"
        "print(*sorted({m.partition('.')[0] for m in sys.modules}"
        " & {'soundfile', 'librosa', 'soxr', 'scipy', 'mido', 'python_stretch'}),"
        " *[m for m in sys.modules if m.startswith(('mashjax.music', 'mashjax.audio'))])"
    )
    root = pathlib.Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root
    )
    assert run.stdout.strip() == ""


def example_of(x: np.ndarray) -> int:
    """Which example a crop is of: the ratio of its sources tells, whatever the gain."""
    ratios = np.abs(x[0, 0] / x[1, 0]), np.abs(x[2, 0] / x[3, 0])
    first = min(ratios)
    errors = [
        abs(first - min(c[0, 0] / c[1, 0], c[2, 0] / c[3, 0])) for c in map(code, range(COUNT))
    ]
    return int(np.argmin(errors))
