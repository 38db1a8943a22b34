import os
import pathlib

import pytest

from mashjax.data.lyrics import Lyrics, LyricsFiles, counted, known, stems
from mashjax.errors import UserError

REAL = pathlib.Path(os.environ.get("MASHJAX_MUSIC", ""), "msd", "mxm_head.txt")
HEAD = "# TESTING SET\n#   - comment\n%i,the,you,été\n"


def test_words_are_counted():
    assert counted("Été, l'été!\nI don\u2019t 2 know_I") == {
        "été": 1, "l'été": 1, "i": 2, "don't": 1, "know": 1,
    }  # fmt: skip
    assert counted("") == {}


def test_words_count_for_their_stems():
    """musiXmatch's vocabulary is of stems, a text's words are whole."""
    vocabulary = {"everyth", "babi", "love", "littl", "the"}
    text = counted("The baby loves, everything: little babies, the thesaurus!")
    assert known(text, vocabulary) == {"the": 2, "babi": 2, "love": 1, "everyth": 1, "littl": 1}
    assert known({"babi": 3}, vocabulary) == {"babi": 3}
    assert stems("cat") == [] and stems("loving") == ["lovin", "lovi", "lov"]


def test_lines_are_read_where_they_are(tmp_path):
    path = tmp_path / "mxm.txt"
    path.write_text(HEAD + "TRA,1,1:3,4:1\nTRB,2\r\nTRA,3,2:1\n", encoding="utf-8")
    files = LyricsFiles([str(path)])
    assert (set(files.ids), files.repeated) == ({"TRA", "TRB"}, 1)
    assert files.of("TRA").read() == {"i": 3, "été": 1}
    assert files.of("TRB").read() == {}
    assert files.of("TRC") is None


def test_text_files_are_named_after_tracks(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "TRA.txt").write_text("la la")
    files = LyricsFiles([str(tmp_path)])
    assert files.of("TRA").read() == {"la": 2}
    assert files.of("TRA").own_files == [tmp_path / "sub" / "TRA.txt"]


@pytest.mark.skipif(not REAL.is_file(), reason="MASHJAX_MUSIC names no folder with real lyrics")
def test_real_lines():
    """Counted by awk: 302 songs, 24,374 words of 62,808."""
    files = LyricsFiles([str(REAL)])
    bags = [files.of(id).read() for id in files.ids]
    assert (len(bags), files.repeated) == (302, 0)
    assert sum(map(len, bags)) == 24374
    assert sum(sum(bag.values()) for bag in bags) == 62808
    first = files.of("TRAABRX12903CC4816").read()
    assert list(first.items())[:3] == [("the", 19), ("to", 7), ("and", 6)]


@pytest.mark.parametrize("pair", ["0:1", "5:1", "1", "1:x", "1:-2"])
def test_a_damaged_line_says_so(tmp_path, pair):
    path = tmp_path / "mxm.txt"
    path.write_text(f"{HEAD}TRA,1,1:3,{pair}\n", encoding="utf-8")
    with pytest.raises(UserError, match=f"TRA has '{pair}', which is not word:count, words 1 to 4"):
        LyricsFiles([str(path)]).of("TRA").read()


def test_what_is_no_text_says_so(tmp_path):
    (tmp_path / "TRA.txt").write_bytes(b"\xff\xfe\x00l")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        Lyrics(tmp_path / "TRA.txt").read()
    with pytest.raises(UserError, match="is not UTF-8 text"):
        LyricsFiles([str(tmp_path / "TRA.txt")])
    with pytest.raises(UserError, match="cannot be read"):
        LyricsFiles([str(tmp_path / "absent.txt")])
    (tmp_path / "mxm.txt").write_text(HEAD + "no commas\n", encoding="utf-8")
    with pytest.raises(UserError, match="no track id and counts at "):
        LyricsFiles([str(tmp_path / "mxm.txt")])
