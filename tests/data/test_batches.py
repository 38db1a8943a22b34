"""Batches, decoded sample by sample: whose they are, from where, in which order."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from mashjax.data.batches import batches, in_order
from mashjax.data.store import Settings, Store, open_store
from mashjax.errors import UserError

SAMPLES, CROP = 400, 100
SONGS = Settings(sample_rate=8000, seconds=0.05, partners=1)
MASHUPS = Settings(sample_rate=8000, seconds=0.05, layout="labelled")
ROWS_OF = (2, 1, 3, 1)  # of each song: seven examples


def row(i: int, sources: int) -> np.ndarray:
    """What 16 bits keep exactly: sample s of source k of example i is 4000 i + 1000 k + s."""
    return (4000 * i + 1000 * np.arange(sources)[:, None] + np.arange(SAMPLES)) / 32767


def said(x: np.ndarray) -> list[tuple[int, int, int]]:
    """(example, source, start) of each source of a crop, which must be whole and in order."""
    assert (np.diff(x.astype(int)) == 1).all()
    return [(v // 4000, v % 4000 // 1000, v % 1000) for v in x[:, 0].tolist()]


def songs_store(make_store, path, rows_of, settings) -> Store:
    ends = np.cumsum(rows_of)
    songs = [
        np.array([row(i, 2) for i in range(e - n, e)]) for n, e in zip(rows_of, ends, strict=True)
    ]
    return open_store(make_store(path, {"train": songs, "valid": songs}, settings=settings))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("batches")


@pytest.fixture(scope="module")
def store(make_store, folder) -> Store:
    return songs_store(make_store, folder / "songs", ROWS_OF, SONGS)


@pytest.fixture(scope="module")
def three(make_store, folder) -> Store:
    """Three songs of one example; two have the same single partner."""
    return songs_store(make_store, folder / "three", (1, 1, 1), SONGS)


@pytest.fixture(scope="module")
def mashups(make_store, folder) -> Store:
    rows = [np.array([row(i, 3)]) for i in range(7)]
    path = make_store(folder / "mashups", {"train": rows, "valid": rows}, settings=MASHUPS)
    return open_store(path)


def make(store: Store, *, split: str = "train", seed: int = 1, batch_size: int = 3, **more):
    return batches(store, split=split, seed=seed, batch_size=batch_size, samples=CROP, **more)


def pairs(store: Store, count: int, **more) -> list[tuple[int, int]]:
    """(song 1's example, song 2's) of the first `count` training examples."""
    batch = make(store, batch_size=1, **more)
    found = []
    for step in range(count):
        lead1, backing1, lead2, backing2 = said(batch(step)[0])
        assert (lead1[0], lead2[0]) == (backing1[0], backing2[0])
        assert [part[1] for part in (lead1, backing1, lead2, backing2)] == [0, 1, 0, 1]
        assert len({part[2] for part in (lead1, backing1, lead2, backing2)}) == 1
        found.append((lead1[0], lead2[0]))
    return found


def partner_of(store: Store) -> list[int]:
    return store.partners("train")[:, 0].tolist()


@pytest.mark.parametrize("kind", ["store", "mashups"])
def test_a_batch_depends_on_seed_and_step_only(kind, request):
    store = request.getfixturevalue(kind)
    forwards, other = make(store, incoherent=0.3), make(store, incoherent=0.3)
    wanted = [forwards(step) for step in range(20)]
    for step in (13, 2, 19, 2, 0):
        np.testing.assert_array_equal(other(step), wanted[step])
    assert not np.array_equal(make(store, seed=2)(0), wanted[0])
    assert wanted[0].shape == (3, len(store.sources), CROP)
    assert wanted[0].dtype == np.int16


def test_every_epoch_visits_every_example_once_in_a_new_order(mashups):
    batch = make(mashups, batch_size=1)
    orders = [[said(batch(e * 7 + k)[0])[0][0] for k in range(7)] for e in range(4)]
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_every_example_meets_its_partner_once_an_epoch_in_either_order(three):
    partner = partner_of(three)
    wanted = sorted(tuple(sorted((i, partner[i]))) for i in range(3))
    assert len(set(wanted)) == 2
    found = pairs(three, 180)
    for epoch in range(60):
        assert sorted(tuple(sorted(p)) for p in found[3 * epoch : 3 * epoch + 3]) == wanted
    alone = next(i for i in range(3) if i not in partner)
    # 60 fair coins, give or take four deviations.
    assert 15 <= sum(first == alone for first, _ in found) <= 45


@pytest.mark.parametrize("kind", ["store", "mashups"])
def test_crops_start_anywhere_and_are_whole(kind, request):
    batch = make(request.getfixturevalue(kind), batch_size=7)
    starts = {said(x)[0][2] for step in range(60) for x in batch(step)}
    assert min(starts) < 10
    assert SAMPLES - CROP - 10 < max(starts) <= SAMPLES - CROP


def test_originals_come_behind_their_mashup_in_their_maker_s_order(mashups):
    batch = make(mashups, batch_size=1)
    for step in range(20):
        assert [source for _, source, _ in said(batch(step)[0])] == [0, 1, 2]


def test_incoherent_pairs_come_in_their_share_and_never_of_one_song(store):
    song = np.repeat(range(len(ROWS_OF)), ROWS_OF)
    fitting = {frozenset(p) for p in enumerate(partner_of(store))}
    everything = pairs(store, 600, incoherent=1.0)
    assert all(song[a] != song[b] for a, b in everything)
    others = {frozenset((a, b)) for a in range(7) for b in range(7) if song[a] != song[b]}
    assert {frozenset(pair) for pair in everything} == others
    strange = lambda found: np.mean([frozenset(pair) not in fitting for pair in found])  # noqa: E731
    whole, some = strange(everything), strange(pairs(store, 600, incoherent=0.3))
    assert whole > 0.6  # some of those that are drawn from all happen to fit
    assert some == pytest.approx(0.3 * whole, abs=0.08)  # four deviations
    assert strange(pairs(store, 100)) == 0


def test_batch_size_does_not_change_the_order_of_examples(store):
    single, triple = (make(store, batch_size=n, incoherent=0.3) for n in (1, 3))
    np.testing.assert_array_equal(
        np.concatenate([single(step) for step in range(21)]),
        np.concatenate([triple(step) for step in range(7)]),
    )


@pytest.mark.parametrize("kind", ["store", "mashups"])
def test_the_parts_of_processes_are_the_batch(kind, request):
    store = request.getfixturevalue(kind)
    whole = make(store, batch_size=6, incoherent=0.5)
    parts = [make(store, batch_size=6, incoherent=0.5, part=(k, 3)) for k in range(3)]
    for step in (0, 1, 5):
        np.testing.assert_array_equal(np.concatenate([p(step) for p in parts]), whole(step))
    assert parts[0](0).shape[0] == 2


@pytest.mark.parametrize("split", ["train", "valid"])
def test_in_order_is_the_middle_of_each_example_once(split, store, mashups):
    """With the best partner: that is what `Store.read` gives."""
    start = (SAMPLES - CROP) // 2
    for some in (store, mashups):
        wanted = some.read(split, np.arange(7))[..., start : start + CROP]
        read = lambda **how: list(in_order(some, split=split, samples=CROP, **how))  # noqa: E731, B023
        assert [len(batch) for batch in read(batch_size=3)] == [3, 3, 1]
        np.testing.assert_array_equal(np.concatenate(read(batch_size=3)), wanted)
        np.testing.assert_array_equal(np.concatenate(read(batch_size=2, examples=5)), wanted[:5])
        np.testing.assert_array_equal(np.concatenate(read(batch_size=9, examples=99)), wanted)


def test_what_cannot_be_read_is_refused_in_one_line(store):
    with pytest.raises(UserError, match="no examples in test"):
        make(store, split="test")
    with pytest.raises(UserError, match="400 samples, asked for 401"):
        batches(store, split="train", seed=0, batch_size=1, samples=401)
    with pytest.raises(UserError, match="no examples in test"):
        in_order(store, split="test", batch_size=1, samples=CROP)
    with pytest.raises(UserError, match="batch_size=3 cannot be shared evenly by 2 processes"):
        make(store, part=(0, 2))


def test_training_needs_no_audio_or_music_library():
    """Training machines have neither; a fresh process shows what importing the loader brings."""
    program = (
        "import sys, mashjax.data.batches, mashjax.data.prefetch, mashjax.data.augment\n"
        "print(*sorted({m.partition('.')[0] for m in sys.modules}"
        " & {'soundfile', 'librosa', 'soxr', 'scipy', 'mido', 'python_stretch'}),"
        " *[m for m in sys.modules if m.startswith(('mashjax.music', 'mashjax.audio'))])"
    )
    root = pathlib.Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root
    )
    assert run.stdout.strip() == ""
