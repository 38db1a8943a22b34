"""A user's own stems: all songs of a few meet, and nothing is left behind."""

import pathlib

import pytest

from mashjax.data import own_stems as module
from mashjax.data.own_stems import SPLIT, left_out, own_stems
from mashjax.errors import UserError

HOW = {"sample_rate": 22050, "seconds": 4.0}


@pytest.fixture(scope="module")
def folder(song, save_song, tmp_path_factory) -> pathlib.Path:
    """Songs that share neither tempo nor key, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("own")
    for name, tempo, tonic in (("slow", 80.0, 60), ("fast", 120.0, 62), ("faster", 122.0, 62)):
        save_song(folder / name, *song(tempo=tempo, tonic=tonic, seconds=15.0))
    (folder / "broken").mkdir()
    for name in ("vocals.wav", "band.wav"):
        (folder / "broken" / name).write_text("no audio")
    return folder


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> pathlib.Path:
    """Where temporary files go."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_few_songs_all_meet(folder, temporary):
    with own_stems(folder, **HOW) as store:
        examples = store.examples(SPLIT)
        assert {e["song"] for e in examples} == {"slow", "fast", "faster"}
        assert store.count(SPLIT) == sum(store.manifest["counts"].values())
        assert store.settings.samples == 4 * 22050
        ratios = [max(e["stretch"], 1 / e["stretch"]) for e in examples]
        # Neighbours on the grid are a third of an octave apart.
        assert 1.12 < max(ratios) < 2 ** (1 / 3) + 0.01
        assert max(abs(e["shift_semitones"]) for e in examples) < 4.5
        assert list(left_out(store)) == ["broken"]
        assert "vocals.wav: is not audio" in left_out(store)["broken"]
    assert list(temporary.iterdir()) == []


def test_many_songs_are_brought_no_further_than_those_of_training(folder, temporary, monkeypatch):
    monkeypatch.setattr(module, "FEW", 0)
    with own_stems(folder, **HOW) as store:
        assert {e["song"] for e in store.examples(SPLIT)} == {"fast", "faster"}
        assert left_out(store)["slow"].startswith("fits no other song: 80 BPM, C ")


def test_what_cannot_be_scored_is_one_line_and_leaves_nothing(
    song, save_song, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(UserError, match="absent: no such folder"), own_stems("absent", **HOW):
        pass
    save_song(tmp_path / "in" / "one", *song(tempo=100.0, seconds=8.0))
    says = r"in: nothing is left to store: a pair needs two songs"
    with pytest.raises(UserError, match=says), own_stems(tmp_path / "in", **HOW):
        pass
    with pytest.raises(ZeroDivisionError):
        save_song(tmp_path / "in" / "two", *song(tempo=100.0, seconds=8.0, seed=1))
        with own_stems(tmp_path / "in", **HOW):
            raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
