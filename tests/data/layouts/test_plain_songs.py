"""The songs layout, and the walk that all layouts share."""

import json
import os
import pathlib
import pickle

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mashjax.data.layouts import folders
from mashjax.data.layouts.plain_songs import find_plain_songs, harmonic
from mashjax.errors import UserError

SR = 22050


def touch(*paths: pathlib.Path) -> None:
    """Empty files: what finds songs must not open them."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def ids(folder: pathlib.Path) -> list[str]:
    return [song.id for song in find_plain_songs(folder)]


def hum_and_clicks(seconds: float, *, sr: int) -> tuple[np.ndarray, np.ndarray]:
    """A chord that sounds on, and a click of 5 ms of noise every half second."""
    n = round(seconds * sr)
    t = np.arange(n) / sr
    hum = sum(np.sin(2 * np.pi * f * t) for f in (220.0, 277.2, 329.6)) / 10
    clicks = np.zeros(n)
    noise = np.random.default_rng(0).normal(0, 0.3, round(0.005 * sr))
    for start in range(sr // 4, n - len(noise), sr // 2):
        clicks[start : start + len(noise)] = noise
    return hum.astype(np.float32), clicks.astype(np.float32)


def decibels(signal: np.ndarray, noise: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(signal**2) / np.sum(noise**2)))


def test_songs_are_found_at_any_depth_in_any_script_with_any_case_of_ending(tmp_path):
    long = "n" * 196 + ".mp3"
    names = ["a.wav", "B.FLAC", "sub/c.Mp3", "sub/deeper/夜に駆ける.ogg", f"Ünïcode — ok/{long}"]
    touch(*(tmp_path / name for name in [*names, "a b  c.wav", "cover.jpg", "sub/notes.txt"]))
    touch(tmp_path / "._a.wav", tmp_path / ".trash/x.wav", tmp_path / ".hidden.mp3")
    (tmp_path / "folder.wav").mkdir()
    found = find_plain_songs(tmp_path)
    assert [song.id for song in found] == sorted([*names, "a b  c.wav"])
    assert [song.path for song in found] == [tmp_path / song.id for song in found]
    assert found[0].files == {"song": [found[0].path]}
    assert pickle.loads(pickle.dumps(found)) == found


def test_each_real_folder_is_visited_once_whatever_the_links(tmp_path):
    music = tmp_path / "music"
    touch(music / "album/one.wav", tmp_path / "elsewhere/more/two.wav", tmp_path / "secret.wav")
    (music / "album/loop").symlink_to(music, target_is_directory=True)
    (music / "album/self").symlink_to(".", target_is_directory=True)
    (music / "a link before").symlink_to(music / "album", target_is_directory=True)
    (music / "above").symlink_to(tmp_path, target_is_directory=True)
    (music / "other disk").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere/more/back").symlink_to(music, target_is_directory=True)
    (music / "copy.wav").symlink_to(music / "album/one.wav")
    (music / "circle1.wav").symlink_to(music / "circle2.wav")
    (music / "circle2.wav").symlink_to(music / "circle1.wav")
    assert len(folders.walk(music)) == 4  # music, album, elsewhere, more
    found = ids(music)
    assert [i for i in found if "circle" not in i] == ["album/one.wav", "other disk/more/two.wav"]
    # Links that lead nowhere are songs that cannot be read, and say so.
    assert len(found) == 4
    with pytest.raises(UserError, match=r"circle1\.wav: no such file"):
        find_plain_songs(music)[1].load(sr=SR)


@pytest.mark.parametrize(
    ("name", "artist"),
    [
        ("The Band - A Song", "the band"),
        ("03. The Band - A Song (Live - 1999)", "the band"),
        ("03 - The Band - A Song", "the band"),
        ("[7][The Band - A Song]", "the band"),
        ("THE BAND feat. Somebody - A Song", "the band"),
        ("The_Band_-_A_Song", "the band"),
        ("\uff34\uff48\uff45 Band \u2013 A Song", "the band"),  # full width letters, an en dash
        ("АУКЦЫОН — Дорога", "аукцыон"),
        ("311 - Amber", "311"),
        ("01 - A Song", None),
        ("A Song", None),
        ("Jean-Michel", None),
        (" - A Song", None),
        ("", None),
    ],
)
def test_artists_are_read_from_names(name, artist):
    assert folders.artist(name) == artist


def test_songs_of_one_artist_are_one_group_and_others_are_their_own(tmp_path):
    touch(tmp_path / "x/02 The Band - One.mp3", tmp_path / "y/the band - Two.ogg")
    touch(tmp_path / "y/Three.wav")
    assert [s.group for s in find_plain_songs(tmp_path)] == ["the band", "y/Three.wav", "the band"]


def test_artists_of_a_collected_folder_are_known(tmp_path):
    touch(
        tmp_path / "got/[0][One].mp3",
        tmp_path / "got/[1][Two].mp3",
        tmp_path / "got/[2][A - B].mp3",
    )
    known = [
        {"index": 0, "file": "[0][One].mp3", "artist": "The Band feat. Somebody"},
        {"index": 1, "file": "[1][Two].mp3", "title": "Two"},
        {"index": 3, "failed": "no such video"},
    ]
    path = tmp_path / "got/SOURCES.json"
    path.write_text(json.dumps({"version": 1, "sources": known}))
    groups = [song.group for song in find_plain_songs(tmp_path)]
    assert groups == ["the band", "got/[1][Two].mp3", "a"]
    path.write_text("{")
    with pytest.raises(UserError, match=r"SOURCES\.json: is damaged; collect again"):
        find_plain_songs(tmp_path)


def test_both_parts_sum_to_the_song_and_are_what_they_are_called(tmp_path):
    hum, clicks = hum_and_clicks(4.0, sr=44100)
    stereo = np.stack([hum + clicks, hum + clicks], axis=1)
    soundfile.write(tmp_path / "s.wav", stereo, 44100, subtype="FLOAT")
    (song,) = find_plain_songs(tmp_path)
    lead, backing = song.load(sr=44100)
    assert lead.dtype == backing.dtype == np.float32
    # One rounding of a float32 below 1 in each of two operations.
    np.testing.assert_allclose(lead + backing, hum + clicks, atol=2**-23, rtol=0)
    inner = slice(8192, -8192)  # the ends of the file cut the chord off: a click of its own
    assert decibels(hum[inner], (lead - hum)[inner]) > 20
    assert decibels(clicks[inner], (backing - clicks)[inner]) > 10
    half, _ = song.load(sr=SR)
    assert len(half) == 4 * SR


def test_separation_does_not_depend_on_its_blocks():
    hum, clicks = hum_and_clicks(3.0, sr=SR)
    y = hum + clicks
    whole = harmonic(y, sr=SR, block_frames=10_000)
    for block_frames in (7, 32):
        np.testing.assert_allclose(harmonic(y, sr=SR, block_frames=block_frames), whole, atol=1e-7)


def test_what_is_no_song_says_so_when_loaded(tmp_path, monkeypatch):
    touch(tmp_path / "a.m4a", tmp_path / "closed/in.wav", tmp_path / "empty.wav")
    (tmp_path / "text.mp3").write_text("not audio")
    refuse_to_list(monkeypatch, tmp_path / "closed")
    found = {song.id: song for song in find_plain_songs(tmp_path)}
    assert list(found) == ["a.m4a", "closed", "empty.wav", "text.mp3"]
    for id, why in [
        ("a.m4a", r"a\.m4a: \.m4a cannot be read; convert to wav, flac, ogg or mp3"),
        ("closed", "closed: may not be read: Permission denied"),
        ("empty.wav", r"empty\.wav: is an empty file"),
        ("text.mp3", r"text\.mp3: is not audio that can be read"),
    ]:
        with pytest.raises(UserError, match=why):
            found[id].load(sr=SR)
    assert found["a.m4a"].files == found["closed"].files == {}


def refuse_to_list(monkeypatch, folder: pathlib.Path) -> None:
    """Make a folder one that may not be listed, for root, too."""
    scandir = os.scandir

    def closed(path):
        if os.fspath(path) == os.fspath(folder):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(folders.os, "scandir", closed)


def test_folders_without_songs_are_refused_in_one_line(tmp_path, monkeypatch):
    def message() -> str:
        with pytest.raises(UserError) as caught:
            find_plain_songs(tmp_path)
        assert "\n" not in str(caught.value)
        return str(caught.value).removeprefix(str(tmp_path))

    with pytest.raises(UserError, match="absent: no such folder; check its name"):
        find_plain_songs(tmp_path / "absent")
    assert message() == ": found no songs (wav, flac, mp3, ogg); found no files at all instead"
    touch(*(tmp_path / f"{i}.M4A" for i in range(3)), tmp_path / "sub/README", tmp_path / "x.txt")
    assert message() == (
        ": found no songs (wav, flac, mp3, ogg); found 3 .m4a, 1 .txt, 1 ending-less files "
        "instead: convert to wav, flac, ogg or mp3"
    )
    with pytest.raises(UserError, match=r"x\.txt: is a file; name the folder that it is in"):
        find_plain_songs(tmp_path / "x.txt")
    refuse_to_list(monkeypatch, tmp_path)
    assert message() == ": may not be read: Permission denied"


def test_names_that_are_no_text_have_ids_that_can_be_stored(tmp_path):
    latin = os.fsencode(tmp_path) + b"/caf\xe9\n.wav"
    try:
        pathlib.Path(os.fsdecode(latin)).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert ids(tmp_path) == ["caf\\xe9\\x0a.wav"]
    assert find_plain_songs(tmp_path)[0].path.is_file()


@given(st.lists(st.binary(max_size=12).filter(lambda b: b"\0" not in b), min_size=2, max_size=2))
def test_different_names_have_different_ids_in_one_line(pair):
    names = [os.fsdecode(raw) for raw in pair]
    shown = [folders.shown(name) for name in names]
    assert (names[0] == names[1]) == (shown[0] == shown[1])
    for text, name in zip(shown, names, strict=True):
        text.encode()
        assert folders.original(text) == name
        assert len(text.splitlines()) <= 1


def test_a_deep_tree_is_walked(tmp_path):
    depth = 400
    deep = tmp_path.joinpath(*["d"] * depth)
    os.makedirs(deep)
    touch(deep / "s.wav")
    assert ids(tmp_path) == ["d/" * depth + "s.wav"]
