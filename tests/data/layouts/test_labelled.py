import os
import pathlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mashjax.data.layouts.labelled import Mashup, Name, find_mashups, parse_name
from mashjax.errors import UserError


def touch(folder: pathlib.Path, *names: str) -> None:
    """Empty files: what finds mashups must not open them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def parts(mashup: Mashup) -> tuple[str, str, str]:
    return mashup.label.name, mashup.originals[0].name, mashup.originals[1].name


def left_out(folder: pathlib.Path) -> dict[str, str]:
    """What is left out of a folder that also has a mashup 0 of its own."""
    touch(folder, "0_whole.mp3", "0_0_x of 0.mp3", "0_1_y of 0.mp3")
    mashups, left = find_mashups(folder)
    assert [m.id for m in mashups] == ["0"]
    assert all("\n" not in why for _, why in left)
    return dict(left)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("[12][Some mashup]", Name(12, None, "Some mashup")),
        ("[12][0][One song]", Name(12, 0, "One song")),
        ("[12]Some mashup", Name(12, None, "Some mashup")),
        ("[12] [1] One song", Name(12, 1, "One song")),
        ("[12][3]", Name(12, None, "3")),
        ("[12][1999][x]", Name(12, None, "1999][x")),
        ("12_Some mashup", Name(12, None, "Some mashup")),
        ("12_0_One_song", Name(12, 0, "One_song")),
        ("012_01_One song", Name(12, 1, "One song")),
        ("12_0_99_luftballons", Name(12, 0, "99_luftballons")),
        ("12_3 nights", Name(12, None, "3 nights")),
        ("12_99_luftballons", Name(12, None, "99_luftballons")),
        ("12_007_theme", Name(12, None, "007_theme")),
        ("0_夜に駆ける", Name(0, None, "夜に駆ける")),
        ("Some mashup", None),
        ("12", None),
        ("12 Some mashup", None),
        ("_12_x", None),
        ("[][x]", None),
        ("٣_x", None),
    ],
)
def test_names_are_read(stem, name):
    assert parse_name(stem) == name


SONGS = st.text(min_size=1).filter(lambda s: s == s.strip())
INDICES = st.integers(0, 10**12)


@given(INDICES, st.integers(0, 9), SONGS)
def test_bracketed_names_survive_formatting(index, original, song):
    assert parse_name(f"[{index}][{original}][{song}]") == Name(index, original, song)
    assert parse_name(f"{index}_{original}_{song}") == Name(index, original, song)


@given(INDICES, SONGS.filter(lambda s: not s[0].isdigit()))
def test_labels_survive_formatting(index, song):
    assert parse_name(f"[{index}][{song}]") == Name(index, None, song)
    assert parse_name(f"{index}_{song}") == Name(index, None, song)


@pytest.mark.parametrize("form", ["[{0}][{1}]{2}", "{0}_{1}_{2}"])
def test_mashups_are_put_together_wherever_in_the_tree_their_files_lie(tmp_path, form):
    def name(index: int, original: str, song: str) -> str:
        full = form.format(index, original, song) if original else form.format(index, "", song)
        return full.replace("[]", "").replace("__", "_")

    touch(tmp_path, "labels/" + name(10, "", "mash.mp3"), "labels/" + name(2, "", "other.WAV"))
    touch(tmp_path, *("inputs/" + name(10, str(i), f"song {i}.ogg") for i in (0, 1)))
    touch(
        tmp_path,
        *("inputs/more/" + name(2, str(i), f"歌{i} " + "n" * 100 + ".flac") for i in (1, 2)),
    )
    touch(
        tmp_path, "inputs/._" + name(2, "1", "x.mp3"), "notes.txt", ".old/" + name(2, "", "x.mp3")
    )
    (tmp_path / "inputs" / "loop").symlink_to(tmp_path, target_is_directory=True)
    mashups, left = find_mashups(tmp_path)
    assert left == []
    assert [(m.id, m.group) for m in mashups] == [("2", "2"), ("10", "10")]
    assert mashups[1].label == tmp_path / "labels" / name(10, "", "mash.mp3")
    assert parts(mashups[1])[1:] == (name(10, "0", "song 0.ogg"), name(10, "1", "song 1.ogg"))
    assert mashups[1].files == {
        "label": [mashups[1].label],
        "originals": list(mashups[1].originals),
    }
    assert pickle.loads(pickle.dumps(mashups)) == mashups


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (["5_0_a", "5_1_b", "5_7_nation army"], "5_7_nation army"),
        (["5_1_a", "5_2_b", "5_4_minutes"], "5_4_minutes"),
        (["[5][0][a]", "[5][1][b]", "[5][9][to five]"], "[5][9][to five]"),
        (["5_0_a", "5_1_b", "5_3 nights"], "5_3 nights"),
        (["5_0_a", "5_1_b", "5_50_ways"], "5_50_ways"),
        (["5_0_2_become_1", "5_1_b", "5_x"], "5_x"),
    ],
)
def test_labels_that_begin_with_a_number_are_told_by_the_other_names(tmp_path, names, label):
    touch(tmp_path, *(f"{name}.mp3" for name in names))
    ((mashup,), left) = find_mashups(tmp_path)
    assert (mashup.label.stem, left) == (label, [])


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["x", "0_a"], "the other original is missing, there is only 5_0_a.mp3"),
        (["x"], "both originals of 5_x.mp3 are missing"),
        (["0_a", "1_b"], "no label for 5_0_a.mp3, 5_1_b.mp3"),
        (["0_a"], "no label for 5_0_a.mp3"),
        (["x", "y", "0_a", "1_b"], "2 files claim to be the label: 5_x.mp3, 5_y.mp3"),
        (["x", "0_a", "0_c", "1_b"], "files claim to be the same original: 5_0_a.mp3, 5_0_c.mp3"),
        (["0_a", "1_b", "1_c"], "files claim to be the same original: 5_1_b.mp3, 5_1_c.mp3"),
        (
            ["x", "0_a", "1_b", "2_c"],
            "3 originals, a mashup has two: 5_0_a.mp3, 5_1_b.mp3, 5_2_c.mp3",
        ),
        (
            ["0_a", "1_b", "2_become_1"],
            "3 originals, a mashup has two: 5_0_a.mp3, 5_1_b.mp3, 5_2_become_1.mp3; "
            "a label that begins with a number is better called [12][2_name]",
        ),
    ],
)
def test_incomplete_and_doubled_indices_are_left_out_each_in_one_line(tmp_path, names, why):
    touch(tmp_path, *(f"5_{name}.mp3" for name in names))
    assert left_out(tmp_path) == {"5": why}


def test_one_name_with_two_endings_and_files_of_no_use_are_left_out(tmp_path):
    touch(tmp_path, "5_x.mp3", "sub/05_x.WAV", "5_0_a.mp3", "5_1_b.mp3")
    touch(tmp_path, "6_x.mp3", "6_0_a.m4a", "6_1_b.mp3", "sub/Intro.ogg", "cover.m4a")
    assert left_out(tmp_path) == {
        "5": "2 files claim to be the label: 5_x.mp3, sub/05_x.WAV",
        "6": "6_0_a.m4a: .m4a cannot be read; convert to wav, flac, ogg or mp3",
        "sub/Intro.ogg": (
            "has no song index in its name; call it 12_name or, an original, 12_0_name"
        ),
    }


def test_mashups_that_share_an_original_are_one_group(tmp_path):
    originals = {
        1: ("Song A", "Song B"),
        2: ("Song C", "song_b"),  # with 1
        30: ("SONG C!", "Song D"),  # with 2, and so with 1
        4: ("Song E", "Song F"),
        5: ("नमस्ते", "Song G"),
        6: ("Song H", "नमस्ते"),  # with 5
        7: ("???", "Song I"),
        8: ("untitled", "Song J"),
        9: ("???", "untitled"),  # not with 7 or 8: these names tell no song
    }
    for index, songs in originals.items():
        touch(tmp_path, f"{index}_mash.mp3", *(f"{index}_{i}_{s}.mp3" for i, s in enumerate(songs)))
    (tmp_path / "8_1_Song J.mp3").unlink()
    (tmp_path / "8_1_Song J.mp3").symlink_to(tmp_path / "4_0_Song E.mp3")  # with 4: the same file
    mashups, _ = find_mashups(tmp_path)
    assert {m.id: m.group for m in mashups} == {
        "1": "1", "2": "1", "30": "1", "4": "4", "8": "4", "5": "5", "6": "5", "7": "7", "9": "9",
    }  # fmt: skip


TABLES = {
    "header": "label,original1,original2\nl/m 1.mp3,o/a.mp3,o/b.mp3\nl/m 2.mp3,o/c.mp3,o/d.mp3\n",
    "none": "l/m 1.mp3,o/a.mp3,o/b.mp3\n\nl/m 2.mp3,o/c.mp3,o/d.mp3",
    "other order": (
        "title,Original2,LABEL,original1\r\n1,o/b.mp3,l/m 1.mp3,o/a.mp3\r\n"
        "2,o/d.mp3,l/m 2.mp3,o/c.mp3\r\n"
    ),
    "quoted": '"l/m 1.mp3", "o/a.mp3", "o/b.mp3"\n"l/m 2.mp3",o/c.mp3,"o/d.mp3"\n',
    "semicolons": "label;original1;original2\nl/m 1.mp3;o/a.mp3;o/b.mp3\nl/m 2.mp3;o/c.mp3;o/d.mp3",
    "tabs": "l/m 1.mp3\to/a.mp3\to/b.mp3\nl/m 2.mp3\to/c.mp3\to/d.mp3\n",
    "twice": "l/m 2.mp3,o/c.mp3,o/d.mp3\nl/m 1.mp3,o/a.mp3,o/b.mp3\n./l/m 1.mp3,o/b.mp3,o/a.mp3\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_tables_are_read_in_any_form(tmp_path, table, encoding):
    touch(tmp_path, *(f"l/m {i}.mp3" for i in (1, 2)), *(f"o/{c}.mp3" for c in "abcd"))
    (tmp_path / "Pairs.csv").write_bytes(table.encode(encoding))
    mashups, left = find_mashups(tmp_path)
    assert left == []
    assert [m.id for m in mashups] == ["l/m 1.mp3", "l/m 2.mp3"]
    if "twice" not in table:
        assert [parts(m)[1:] for m in mashups] == [("a.mp3", "b.mp3"), ("c.mp3", "d.mp3")]
    assert mashups[0].label == tmp_path / "l" / "m 1.mp3"


def test_names_with_separators_and_quotes_survive_a_table(tmp_path):
    names = ['a, "b".mp3', "c; d.mp3", "夜, に.mp3"]
    touch(tmp_path, *names)
    (tmp_path / "pairs.csv").write_text(
        ",".join('"' + name.replace('"', '""') + '"' for name in names), encoding="utf-8"
    )
    ((mashup,), _) = find_mashups(tmp_path)
    assert parts(mashup) == tuple(names)


def test_rows_that_cannot_be_used_are_left_out_each_in_one_line(tmp_path):
    touch(tmp_path, *(f"{c}.mp3" for c in "abcdef"), "x.m4a")
    rows = [
        "label,original1,original2",
        "a.mp3,b.mp3,c.mp3",
        "b.mp3,absent.mp3,c.mp3",
        "c.mp3,d.mp3,d.mp3",
        "d.mp3,e.mp3",
        "e.mp3,,f.mp3",
        "f.mp3,a.mp3,b.mp3",
        "f.mp3,a.mp3,c.mp3",
        "x.m4a,a.mp3,b.mp3",
    ]
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    mashups, left = find_mashups(tmp_path)
    assert [m.id for m in mashups] == ["a.mp3"]
    assert sorted(left) == [
        ("b.mp3", "pairs.csv line 3: original1 absent.mp3 is not there"),
        ("c.mp3", "pairs.csv line 4: names one file twice"),
        ("f.mp3", "has different originals in lines 7, 8 of pairs.csv"),
        ("pairs.csv line 5", "needs label, original1, original2"),
        ("pairs.csv line 6", "needs label, original1, original2"),
        ("x.m4a", "pairs.csv line 9: x.m4a: .m4a cannot be read; convert to wav, flac, ogg or mp3"),
    ]


def test_rows_that_share_a_file_are_one_group(tmp_path):
    touch(tmp_path, *(f"{c}.mp3" for c in "abcdefghij"), "sub/k.mp3")
    (tmp_path / "c link.mp3").symlink_to(tmp_path / "c.mp3")
    rows = ["a.mp3,b.mp3,c.mp3", "d.mp3,sub/../c link.mp3,e.mp3", "f.mp3,a.mp3,sub/k.mp3",
            "g.mp3,h.mp3,i.mp3"]  # fmt: skip
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    mashups, _ = find_mashups(tmp_path)
    # f was made of the mashup a, so that they must not be on two sides of a split either.
    assert [m.group for m in mashups] == ["a.mp3", "a.mp3", "a.mp3", "g.mp3"]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (b"", "is empty; write a line label,original1,original2 and one per mashup"),
        (b"label,original1\na,b\n", "has no column original2"),
        ("å,b,c".encode("latin-1"), "is not UTF-8; save it as CSV in UTF-8"),
    ],
)
def test_tables_of_another_form_are_refused(tmp_path, table, why):
    (tmp_path / "pairs.csv").write_bytes(table)
    with pytest.raises(UserError, match=rf"pairs\.csv: {why}"):
        find_mashups(tmp_path)


def test_folders_without_mashups_are_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        find_mashups(tmp_path / "absent")
    touch(tmp_path, "x.txt", "y.m4a")
    with pytest.raises(UserError, match=r"x\.txt: is a file"):
        find_mashups(tmp_path / "x.txt")
    wanted = r"found no pairs\.csv, and no files named 12_mashup\.mp3, 12_0_song\.mp3, 12_1_song\."
    with pytest.raises(
        UserError, match=wanted + "mp3; found 1 .txt, 1 .m4a files instead: convert"
    ):
        find_mashups(tmp_path)
    touch(tmp_path, "3_0_a.mp3", "4_x.mp3")
    with pytest.raises(UserError, match=r"no complete mashup, 2 left out; 3: no label for 3_0_a"):
        find_mashups(tmp_path)


def test_folders_that_may_not_be_listed_are_left_out(tmp_path, monkeypatch):
    touch(tmp_path, "closed/1_x.mp3")
    scandir = os.scandir

    def closed(path):
        if os.fspath(path) == os.fspath(tmp_path / "closed"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    why = f"{tmp_path / 'closed'}: may not be read: Permission denied"
    assert left_out(tmp_path) == {"closed": why}
