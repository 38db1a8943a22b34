"""A library's map and its state, on SQLite and on PostgreSQL."""

import contextlib
import dataclasses

import numpy as np
import pytest
import sqlalchemy as sa

from mashjax.data.sources import Rejected
from mashjax.data.store import Settings
from mashjax.errors import UserError
from mashjax.library.database import open_library
from mashjax.library.overview import DAY, draw_map, groups_of, not_in_pool, status
from mashjax.library.tables import SETTINGS, SONGS
from mashjax.preprocess import preprocess


@pytest.fixture
def library(where):
    with contextlib.closing(open_library(where, create=True)) as library:
        yield library


def test_the_map_shows_songs_without_doubts_in_their_groups(library, fill, segment, tmp_path):
    """Two kinds of songs, far apart in tempo, timbre and embedding, and a doubted one."""

    def of_kind(kind: int, seed: int):
        rng = np.random.default_rng(seed)
        made = segment(seed, tempo=(80, 150)[kind] + rng.normal(), key=7 * kind)
        timbre, embedding = 4 * kind + rng.normal(size=(24,)), np.eye(8)[kind] + 0.1 * rng.random(8)
        return dataclasses.replace(
            made, timbre=np.float32(timbre), embedding=np.float32(embedding), brightness_hz=700.0
        )

    songs = {f"song {k}.wav": [of_kind(k % 2, 4 * k + n) for n in range(4)] for k in range(9)}
    fill(library, songs)
    fill(library, {"odd.wav": [of_kind(0, 99)]}, doubts=["the tempo drifts"])
    points, groups = draw_map(library, tmp_path / "map.html", colour="key")
    assert len(points) == 36 and "odd.wav" not in {p.song for p in points}
    assert groups.count == 2
    first, second = groups_of(points)
    assert (first["segments"], first["songs"], first["key"]) == (20, 5, "C major")
    assert (second["segments"], second["songs"], second["key"]) == (16, 4, "G major")
    assert first["tempo_bpm"] == pytest.approx(80, abs=2)
    text = (tmp_path / "map.html").read_text()
    assert text.count("<circle") == 36
    assert "36 segments of 9 songs (1 songs left out, see match status)" in text
    assert [path.name for path in tmp_path.glob("*map*")] == ["map.html"]


def test_a_large_library_is_thinned_and_says_so(library, fill, segment, tmp_path, monkeypatch):
    monkeypatch.setattr("mashjax.library.overview.MOST_POINTS", 7)
    fill(library, {f"{k}.wav": [segment(4 * k + n) for n in range(4)] for k in range(5)})
    points, _ = draw_map(library, tmp_path / "map.html")
    assert len(points) == 7
    assert "20 segments of 5 songs, 7 of them drawn" in (tmp_path / "map.html").read_text()


def test_what_another_version_described_is_left_out(library, fill, segment, tmp_path):
    """It has no embedding, or another one."""
    fill(library, {"old.wav": [segment(0)]})
    with library.writing() as connection:
        connection.execute(sa.update(SONGS).values(version=0))
    embedded = dataclasses.replace(segment(1), embedding=np.ones(8, np.float32))
    fill(library, {"new.wav": [embedded]})
    points, _ = draw_map(library, tmp_path / "map.html")
    assert [point.song for point in points] == ["new.wav"]
    assert "1 segments of 1 songs (1 songs left out" in (tmp_path / "map.html").read_text()


def test_a_map_that_cannot_be_drawn_is_refused(library, fill, segment, tmp_path):
    with pytest.raises(UserError, match="has no songs that this mashjax described; run match"):
        draw_map(library, tmp_path / "map.png")
    fill(library, {"odd.wav": [segment(1)]}, doubts=["the tempo drifts"])
    with pytest.raises(UserError, match="no song is without doubts; see match status"):
        draw_map(library, tmp_path / "map.png")
    fill(library, {"a.wav": [segment(0)]})
    with pytest.raises(UserError, match=r"map\.jpg"):
        draw_map(library, tmp_path / "map.jpg")
    with pytest.raises(UserError, match="nowhere"):
        draw_map(library, tmp_path / "nowhere" / "map.png")
    assert list(tmp_path.glob("map*")) == []


def test_status_names_doubts_and_what_new_songs_differ_in(library, fill, segment):
    rng = np.random.default_rng(0)

    def made(name: str, count: int, tempo: float) -> dict:
        return {
            f"{name} {k}.wav": [
                segment(100 * k + n, tempo=tempo + 5 * rng.normal()) for n in range(3)
            ]
            for k in range(count)
        }

    fill(library, made("old", 20, 100), added=1e9)
    fill(library, {"waltz.wav": [segment(0)]}, doubts=["bars of 3 beats"], added=1e9)
    alone = status(library)
    assert (alone.songs, alone.segments, len(alone.pool), alone.new) == (21, 61, 20, 0)
    assert alone.doubted == {"waltz.wav": ["bars of 3 beats"]} and alone.drift == []

    fill(library, made("fast", 10, 150), added=1e9 + 3 * DAY)
    found = status(library)
    assert found.new == 10
    assert [d.feature for d in found.drift if d.found] == ["tempo"]
    assert found.drift[0].before == pytest.approx(np.log2(100), abs=0.05)
    assert found.drift[0].now == pytest.approx(np.log2(150), abs=0.05)
    assert status(library, days=4).new == 0

    with library.writing() as connection:
        connection.execute(sa.update(SONGS).where(SONGS.c.path == "old 0.wav").values(version=0))
    outdated = status(library)
    assert outdated.outdated == 1 and "old 0.wav" not in outdated.pool


def test_songs_to_learn_from_are_without_doubts(library, fill, segment, tmp_path):
    fill(library, {"good.wav": [segment(0)], "old.wav": [segment(1)]})
    fill(library, {"odd.wav": [segment(2)]}, doubts=["the tempo drifts", "no clear key"])
    with library.writing() as connection:
        connection.execute(sa.insert(SETTINGS), {"name": "folder", "value": str(tmp_path)})
        connection.execute(sa.update(SONGS).where(SONGS.c.path == "old.wav").values(version=0))
    songs = ["good.wav", "odd.wav", "old.wav", "new.wav"]
    assert not_in_pool(library, tmp_path, songs) == {
        "odd.wav": "the tempo drifts, no clear key",
        "old.wav": "is not in the library; run match index",
        "new.wav": "is not in the library; run match index",
    }
    with pytest.raises(UserError, match="has the songs of"):
        not_in_pool(library, tmp_path / "else", songs)


def test_preprocess_leaves_doubtful_songs_out(where, fill, segment, tmp_path, monkeypatch):
    built = {}
    monkeypatch.setattr("mashjax.preprocess.build_store", lambda songs, out, **rest: built.update(
        songs=[song.id for song in songs], left_out=rest["left_out"]
    ))  # fmt: skip
    for name in ("good.wav", "odd.wav"):
        (tmp_path / name).touch()
    with contextlib.closing(open_library(where, create=True)) as library:
        with library.writing() as connection:
            connection.execute(sa.insert(SETTINGS), {"name": "folder", "value": str(tmp_path)})
        fill(library, {"odd.wav": [segment(2)]}, doubts=["no clear key"])
        settings = Settings(layout="songs")
        with pytest.raises(UserError, match="none of these songs without doubts"):
            preprocess(tmp_path, "x.store", settings=settings, library=where)
        fill(library, {"good.wav": [segment(0)]})
        preprocess(tmp_path, "x.store", settings=settings, library=where)
    assert built == {"songs": ["good.wav"], "left_out": [Rejected("odd.wav", "no clear key")]}


def test_an_empty_library_has_a_status(library):
    found = status(library)
    assert (found.songs, found.segments, found.pool, found.drift) == (0, 0, [], [])
