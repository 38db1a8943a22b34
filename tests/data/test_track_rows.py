"""Tracks in a store: nothing of a song changes on its way, and classes are balanced."""

import collections
import dataclasses
import pathlib

import numpy as np
import pytest

from mashjax.data.batches import batches
from mashjax.data.building import build_store
from mashjax.data.store import SCALE, Settings, decode, open_store, verify
from mashjax.data.track_rows import (
    CHROMA,
    COUNTS,
    EXISTS,
    LABELS_ROW,
    TIMBRE,
    TIMBRE_SCALE,
    WORDS,
    balanced,
    planned,
    row_of,
    squashed,
)
from mashjax.data.tracks import Track
from mashjax.errors import UserError

SETTINGS = Settings(layout="genre", sample_rate=4, seconds=5.0)  # 20 segments


@dataclasses.dataclass(frozen=True)
class Made:
    """A track in memory."""

    id: str
    genre: str | None
    segments: int = 20
    words: dict[str, int] | None = None
    group: str = ""
    split: str | None = None
    popularity: float | None = None
    files: dict[str, list[pathlib.Path]] = dataclasses.field(default_factory=dict)

    def load(self) -> Track:
        rng = np.random.default_rng(len(self.id))
        return Track(
            self.id,
            self.group,
            "title",
            60.0,
            rng.random((self.segments, 12)).astype(np.float32),
            rng.normal(0, 100, (self.segments, 12)).astype(np.float32),
            np.arange(self.segments) / 4,
            words=self.words,
            genre=self.genre,
            popularity=self.popularity,
        )


def test_a_row_holds_all_that_the_track_says():
    track = Made("a", "rock", 20, {"love": 3, "night": 7, "zebra": 1}, popularity=0.6).load()
    row = row_of(track, "day love night", genres="pop\nrock", segments=20)
    assert np.abs(row).max() <= 1
    np.testing.assert_array_equal(row[CHROMA], track.chroma.T)
    np.testing.assert_allclose(row[TIMBRE] * TIMBRE_SCALE, track.timbre.T, rtol=1e-5)
    assert row[EXISTS].all()
    # night is the third of the vocabulary and sung most; zebra is not in it.
    assert np.rint(row[WORDS, :3] * SCALE).tolist() == [3, 2, 0]
    assert np.rint(row[COUNTS, :3] * SCALE).tolist() == [7, 3, 0]
    assert row[LABELS_ROW, :3] * [SCALE, 1, 1] == pytest.approx([2, 1, squashed(0.6)], abs=1e-6)
    unknown = row_of(dataclasses.replace(track, words=None, genre=None, popularity=None),
                     "love", genres="pop", segments=20)  # fmt: skip
    assert unknown[LABELS_ROW, :3].tolist() == [0, 0, -1]
    assert not unknown[[WORDS, COUNTS]].any()


def test_of_a_long_song_the_middle_is_kept_and_a_short_one_has_a_mask():
    track = Made("a", "rock", 50).load()
    np.testing.assert_array_equal(row_of(track, "", segments=20)[CHROMA], track.chroma[15:35].T)
    short = row_of(Made("a", "rock", 7).load(), "", segments=20)
    assert short[EXISTS].tolist() == [1] * 7 + [0] * 13 and not short[:, 7:].any()
    with pytest.raises(UserError, match="a: has no segments"):
        row_of(Made("a", "rock", 0).load(), "", segments=20)


def test_popularity_keeps_its_order_on_any_scale():
    values = [0.0, 1e-3, 0.3, 0.31, 1.0, 2.0, 50.0, 1e6, 1.1e6, 1e9]
    ranks = [round(squashed(v) * SCALE) for v in values]
    assert ranks == sorted(set(ranks)) and ranks[-1] < SCALE
    for odd in (-1.0, float("nan")):
        with pytest.raises(UserError, match="its popularity is"):
            squashed(odd)


def test_a_store_of_tracks(tmp_path):
    sources = [
        Made(f"{genre}{n}", genre, 20 + n, {"love": n, genre: 1}, f"{genre} band {n // 2}",
             popularity=float(n))
        for genre, count in (("rock", 20), ("jazz", 8)) for n in range(1, count + 1)
    ]  # fmt: skip
    sources += [Made("one", "polka"), Made("none", None)]
    sources[0] = dataclasses.replace(sources[0], split="test", words={"held": 9, "love": 1})
    kept, left_out, settings = planned(sources, dataclasses.replace(SETTINGS, balance="over"))
    assert {r.id: r.why for r in left_out} == {
        "one": "it is the only song of the genre 'polka'",
        "none": "its genre is not known",
    }
    assert (
        settings.genres == "jazz\nrock" and settings.words == "jazz love rock"
    )  # not "held": of the training songs none sings it
    summary = build_store(kept, str(tmp_path / "store"), settings=settings, left_out=left_out)
    assert (summary.songs, len(summary.rejected)) == (30, 2)
    store = open_store(tmp_path / "store")
    assert verify(tmp_path / "store") == []
    # An artist is on one side, the published one as well.
    sides = collections.defaultdict(set)
    for song in store.manifest["songs"].values():
        sides[song["artist"]].add(song["split"])
    assert all(len(side) == 1 for side in sides.values())
    assert store.manifest["songs"]["rock1"]["split"] == "test"
    counts = collections.Counter(e["genre"] for e in store.examples("train"))
    assert counts["rock"] == counts["jazz"] > 8
    # What is read is what went in.
    x = decode(store.read("train", np.arange(store.count("train"))))
    for example, row in zip(store.examples("train"), x, strict=True):
        source = next(s for s in sources if s.id == example["song"])
        wanted = row_of(source.load(), settings.words, genres=settings.genres, segments=20)
        np.testing.assert_allclose(row, wanted, atol=0.51 / SCALE)
    batch = batches(store, split="train", seed=0, batch_size=4, samples=20)
    assert batch(0).shape == (4, 28, 20)
    # The same command finds it finished; other words are another store.
    again = build_store(kept, str(tmp_path / "store"), settings=settings, left_out=left_out)
    assert again.kept == 28
    other = dataclasses.replace(settings, words="love " * 100)
    with pytest.raises(UserError, match=r"was made with words=jazz love rock, and .{100,200};"):
        build_store(kept, str(tmp_path / "store"), settings=other)


def test_short_songs_are_dropped_where_that_is_asked_for(tmp_path):
    sources = [Made(f"{g}{n}", g, 18 + n) for g in ("a", "b") for n in range(4)]
    _, _, settings = planned(sources, dataclasses.replace(SETTINGS, short="drop"))
    summary = build_store(sources, str(tmp_path / "store"), settings=settings)
    assert sorted(r.id for r in summary.rejected) == ["a0", "a1", "b0", "b1"]
    assert summary.rejected[0].why.startswith("has 18 segments, fewer than 20")


def test_fewer_than_two_genres_are_refused():
    with pytest.raises(UserError, match=r"of 3 songs there are rock: 2, unknown: 1"):
        planned([Made("a", "rock"), Made("b", "rock"), Made("c", None)], SETTINGS)


def test_balance_repeats_or_draws():
    examples = [{"row": n, "genre": "rare" if n % 5 == 0 else "often"} for n in range(30)]
    count = lambda found: collections.Counter(e["genre"] for e in found)  # noqa: E731
    over = balanced(examples, "over", seed=0)
    assert count(over) == {"often": 24, "rare": 24}
    rows = collections.Counter(e["row"] for e in over)
    assert all(rows[n] == (4 if n % 5 == 0 else 1) for n in range(30))
    under = balanced(examples, "under", seed=0)
    assert count(under) == {"often": 6, "rare": 6} and len({e["row"] for e in under}) == 12
    assert balanced(examples, "none", seed=0) == examples
