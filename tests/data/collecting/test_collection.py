import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashjax.data.collecting.addresses import Wanted
from mashjax.data.collecting.collection import MAX_NAME_BYTES, SOURCES, Collection, file_name
from mashjax.errors import UserError


def rows(*names):
    return [tuple(Wanted(f"http://x/{part}") for part in name.split("+")) for name in names]


def indices(folder, wanted, kind="songs"):
    collection = Collection.read(folder, kind=kind, format="mp3")
    plans = [collection.plan(row) for row in wanted]
    collection.write()
    return [plan[0].index for plan in plans]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Song", "[7][Song].mp3"),
        ("夜に駆ける ñ Ω ﷽", "[7][夜に駆ける ñ Ω ﷽].mp3"),
        ("A [Official] ]x[", "[7][A (Official) )x(].mp3"),
        ('AC/DC: Back\\In? <Black>|*"', "[7][AC_DC_ Back_In_ _Black____].mp3"),
        ("...hidden", "[7][hidden].mp3"),
        ("../../etc/passwd", "[7][_.._etc_passwd].mp3"),
        ("  many \n\t\x00 spaces\u2028 ", "[7][many spaces].mp3"),
        ("", "[7][untitled].mp3"),
        ("...", "[7][untitled].mp3"),
        ("e\u0301", "[7][é].mp3"),
        ("क्\u200dष", "[7][क्\u200dष].mp3"),
        ("bad \udc80 surrogate", "[7][bad surrogate].mp3"),
    ],
)
def test_titles_make_safe_names(title, name):
    assert file_name(7, None, title, format="mp3") == name


def test_names_of_originals_and_their_length():
    assert file_name(12, 1, "Song", format="flac") == "[12][1][Song].flac"
    for letter in "aé夜🎵":
        name = file_name(12, 1, letter * 300, format="flac")
        width = len(letter.encode())
        assert MAX_NAME_BYTES - width < len(name.encode()) <= MAX_NAME_BYTES
        assert set(name.removeprefix("[12][1][").removesuffix("].flac")) == {letter}


@given(st.text(max_size=300), st.integers(0, 10**6), st.sampled_from([None, 0, 1]))
def test_any_title_keeps_the_scheme(title, index, original):
    name = file_name(index, original, title, format="mp3")
    place = "" if original is None else rf"\[{original}\]"
    assert re.fullmatch(rf"\[{index}\]{place}\[[^][/\\\x00]+\]\.mp3", name)
    assert len(name.encode()) <= MAX_NAME_BYTES


def test_indices_stay_when_the_list_changes(tmp_path):
    assert indices(tmp_path, rows("a", "b")) == [0, 1]
    assert indices(tmp_path, rows("c", "b", "a", "d")) == [2, 1, 0, 3]
    assert indices(tmp_path, rows("d")) == [3]
    assert indices(tmp_path, rows("e", "a")) == [4, 0]


def test_indices_begin_after_those_of_files_put_there_by_hand(tmp_path):
    for name in ("[3][mine].mp3", "11_0_name.mp3", "99 luftballons.mp3"):
        (tmp_path / name).touch()
    assert indices(tmp_path, rows("a+b+c"), kind="labelled") == [12]


def test_an_exchanged_original_goes_and_the_rest_stays(tmp_path):
    collection = Collection.read(tmp_path, kind="labelled", format="mp3")
    for source in collection.plan(rows("m+a+b")[0]):
        path = collection.empty_folder() / "x"
        path.write_text(source.address)
        collection.accept(source, path, title=source.address[-1])
    assert {p.name for p in tmp_path.glob("*.mp3")} == {
        "[0][m].mp3",
        "[0][0][a].mp3",
        "[0][1][b].mp3",
    }
    collection = Collection.read(tmp_path, kind="labelled", format="mp3")
    plan = collection.plan(rows("m+a+c")[0])
    assert [s.file for s in plan] == ["[0][m].mp3", "[0][0][a].mp3", ""]
    assert not (tmp_path / "[0][1][b].mp3").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is damaged"),
        ("[]", "is damaged"),
        ('{"version": 1}', "is damaged"),
        ('{"version": 1, "kind": "songs", "format": "mp3", "sources": [{"x": 1}]}', "is damaged"),
        ('{"version": 9, "kind": "songs", "format": "mp3", "sources": []}', "version 9"),
        ('{"version": 1, "kind": "labelled", "format": "mp3", "sources": []}', "kind labelled"),
        ('{"version": 1, "kind": "songs", "format": "ogg", "sources": []}', "format ogg, not mp3"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_and_kept(tmp_path, content, says):
    (tmp_path / SOURCES).write_text(content)
    with pytest.raises(UserError, match=says):
        Collection.read(tmp_path, kind="songs", format="mp3")
    assert (tmp_path / SOURCES).read_text() == content


def test_the_manifest_says_only_what_is_known(tmp_path):
    indices(tmp_path, rows("m+a+b"), kind="labelled")
    assert json.loads((tmp_path / SOURCES).read_text()) == {
        "version": 1,
        "kind": "labelled",
        "format": "mp3",
        "sources": [
            {"index": 0, "address": "http://x/m"},
            {"index": 0, "address": "http://x/a", "original": 0},
            {"index": 0, "address": "http://x/b", "original": 1},
        ],
    }
