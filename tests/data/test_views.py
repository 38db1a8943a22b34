"""The students' arrays as views of the stored audio."""

import pathlib
import pickle
import shutil
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mashjax.audio.stft import stft
from mashjax.data.store import Settings, Store, decode, open_store
from mashjax.data.views import inputs, labels
from mashjax.errors import UserError

SR = 8000
SONGS = Settings(sample_rate=SR, seconds=1.0, clips_per_song=4)
MASHUPS = Settings(layout="labelled", sample_rate=SR, seconds=1.0, whole=False)
FRAMES, BINS = 1 + SR // 512, 1025


def rows(seed: int, count: int, sources: int) -> np.ndarray:
    """Noise whose bands and levels differ, [count, sources, samples]."""
    y = np.random.default_rng(seed).normal(size=(count, sources, SR)).cumsum(-1)
    y *= np.linspace(0.2, 0.9, sources)[:, None]
    return (y / np.abs(y).max()).astype(np.float32)


@pytest.fixture(scope="module")
def songs_path(make_store, tmp_path_factory) -> pathlib.Path:
    """Three songs of 3, 4 and 2 clips for training, one pair for validation, none for test."""
    path = tmp_path_factory.mktemp("views") / "songs.store"
    train = [rows(seed, count, 2) for seed, count in enumerate((3, 4, 2))]
    make_store(path, {"train": train, "valid": [rows(8, 1, 2), rows(9, 1, 2)]}, settings=SONGS)
    return path


@pytest.fixture(scope="module")
def songs(songs_path) -> Store:
    return open_store(songs_path)


@pytest.fixture(scope="module")
def mashups(make_store, tmp_path_factory) -> Store:
    path = tmp_path_factory.mktemp("views") / "mashups.store"
    make_store(path, {"train": [rows(seed, 1, 3) for seed in range(3)]}, settings=MASHUPS)
    return open_store(path)


def reference(y: np.ndarray, *, n_fft: int = 2048, hop_length: int = 512) -> np.ndarray:
    return np.asarray(stft(jnp.asarray(y), n_fft=n_fft, hop_length=hop_length))


def complex_of(view: np.ndarray) -> np.ndarray:
    return view[0] * np.exp(1j * view[1])


def test_labels_are_lead_1_over_backing_2_and_inputs_both_songs(songs):
    assert labels(songs, "train").domain.labels == ("part", "song", "frame", "bin")
    assert labels(songs, "train").shape == (2, 9, FRAMES, BINS)
    assert inputs(songs, "train").domain.labels == ("part", "song", "original", "frame", "bin")
    assert inputs(songs, "train").shape == (2, 9, 2, FRAMES, BINS)
    partners = songs.partners("train")[:, 0]
    lead1, backing1 = np.moveaxis(decode(songs.read("train", np.arange(9)))[:, :2], 1, 0)
    label = labels(songs, "train").read().result()
    original = inputs(songs, "train").read().result()
    assert label.dtype == original.dtype == np.float32
    wanted = reference(lead1 + backing1[partners])
    # 1e-5 of a sine of full scale, whose peak is half the window's sum.
    np.testing.assert_allclose(complex_of(label), wanted, atol=1e-5 * 512)
    np.testing.assert_allclose(label[0], np.abs(wanted), atol=1e-5 * 512)
    song = reference(lead1 + backing1)
    wanted = np.stack([song, song[partners]], axis=1)
    np.testing.assert_allclose(complex_of(original), wanted, atol=1e-5 * 512)
    assert -np.pi <= original[1].min() < -3 < 3 < original[1].max() <= np.float32(np.pi)


def test_a_mashup_s_label_is_its_own(mashups):
    label, one, two = np.moveaxis(decode(mashups.read("train", np.arange(3))), 1, 0)
    np.testing.assert_allclose(
        complex_of(labels(mashups, "train").read().result()), reference(label), atol=1e-5 * 512
    )
    np.testing.assert_allclose(
        complex_of(inputs(mashups, "train")[:, :, 1].read().result()),
        reference(two),
        atol=1e-5 * 512,
    )
    np.testing.assert_allclose(
        complex_of(inputs(mashups, "train")[:, 2, 0].read().result()),
        reference(one[2]),
        atol=1e-5 * 512,
    )


@pytest.mark.parametrize(("n_fft", "hop_length"), [(512, 128), (1000, 300), (400, 400)])
def test_any_stft(songs, n_fft, hop_length):
    view = labels(songs, "valid", n_fft=n_fft, hop_length=hop_length)
    x = decode(songs.read("valid", np.array([1])))[0]
    wanted = reference(x[0] + x[3], n_fft=n_fft, hop_length=hop_length)
    assert view.shape == (2, 2, *wanted.shape)
    np.testing.assert_allclose(
        complex_of(view[:, 1].read().result()), wanted, atol=1e-5 * n_fft / 4
    )


@pytest.fixture(scope="module")
def whole(songs) -> np.ndarray:
    return inputs(songs, "valid").read().result()


def indices(size: int) -> st.SearchStrategy:
    """A place, a slice with a stride, or everything backwards."""
    ends = st.tuples(*[st.integers(0, size - 1)] * 2).map(sorted)
    slices = st.builds(
        lambda e, step: slice(e[0], e[1] + 1, step), ends, st.sampled_from([1, 2, 7])
    )
    return st.integers(0, size - 1) | slices | st.just(slice(None, None, -1))


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.tuples(*(indices(size) for size in (2, 2, 2, FRAMES, BINS))))
def test_views_are_indexed_like_any_array(songs, whole, index):
    view = inputs(songs, "valid")
    np.testing.assert_array_equal(view[index].read().result(), whole[index])


def test_an_index_array_and_an_empty_split(songs):
    some = labels(songs, "train")[0, [4, 1, 1, 0], 3].read().result()
    np.testing.assert_array_equal(some, labels(songs, "train").read().result()[0, [4, 1, 1, 0], 3])
    assert labels(songs, "test").read().result().shape == (2, 0, FRAMES, BINS)
    assert inputs(songs, "test").shape == (2, 0, 2, FRAMES, BINS)


def test_both_parts_of_an_example_are_computed_once(songs, monkeypatch):
    read, asked = Store.read, []

    def counted(store, split, idx, partner=None):
        asked.extend(idx.tolist())
        return read(store, split, idx, partner)

    monkeypatch.setattr(Store, "read", counted)
    view = inputs(songs, "train")
    view[:, 5].read().result()
    assert asked == [5]
    view[0, 5, 1, 3:5].read().result()
    view[1, 5].read().result()
    assert asked == [5]
    view[:, 2:5, 0, ::4, 7].read().result()
    assert sorted(asked) == [2, 3, 4, 5]


def test_a_damaged_or_missing_example_is_an_error_that_names_it(songs, songs_path, tmp_path):
    damaged = pathlib.Path(shutil.copytree(songs_path, tmp_path / "damaged.store"))
    shard = damaged / "train/c/1/0/0"  # the second song: examples 3 to 6
    raw = bytearray(shard.read_bytes())
    raw[100] ^= 1
    shard.write_bytes(raw)
    view = labels(open_store(damaged), "train")
    with pytest.raises(UserError, match="example 3 of train"):
        view[0, 3, 5, 5].read().result()
    with pytest.raises(UserError, match=r"damaged\.store: example \d of train .* is damaged"):
        view.read().result()
    store = open_store(damaged)
    shard.unlink()
    with pytest.raises(UserError, match=r"example [3456] of train .* is missing"):
        inputs(store, "train")[:, 3:7].read().result()
    with pytest.raises(UserError, match="no split 'dev'"):
        labels(store, "dev")


def test_a_view_goes_to_another_process(songs):
    view = labels(songs, "valid")
    there = pickle.loads(pickle.dumps(view))
    np.testing.assert_array_equal(there.read().result(), view.read().result())


def test_reading_starts_no_jax(songs_path):
    code = (
        "import sys\n"
        "from mashjax.data.store import open_store\n"
        "from mashjax.data.views import labels\n"
        f"labels(open_store({str(songs_path)!r}), 'valid')[:, 0].read().result()\n"
        "print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
