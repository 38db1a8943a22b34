import numpy as np
import pytest

from mashjax.data.word_vectors import read_word_vectors
from mashjax.errors import UserError

GLOVE = "love 1 0 0\neverything 0 1 0\nbaby 0 0 1\n. . . 4 5 6\neverythings 9 9 9\n"


@pytest.mark.parametrize("head", ["", "5 3\n"])
def test_words_and_stems_are_found(tmp_path, head):
    """GloVe's files have no header, word2vec's say how many words of how many numbers follow."""
    (tmp_path / "vectors.txt").write_text(head + GLOVE)
    words = ["babi", "love", "everyth", "everything", "lov", "zzz"]
    found = read_word_vectors(tmp_path / "vectors.txt", words)
    expected = [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(found.vectors, expected)
    assert found.vectors.dtype == np.float32 and (found.exact, found.by_stem) == (2, 3)


def test_an_exact_word_goes_before_a_stem_that_came_earlier(tmp_path):
    (tmp_path / "vectors.txt").write_text("caring 1 1\ncar 2 2\n")
    assert read_word_vectors(tmp_path / "vectors.txt", ["car"]).vectors.tolist() == [[2, 2]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("love 1 0 0\nbaby 0 1\n", "txt:2: has 2 numbers, and 3 before"),
        ("love 1 0 0\nbaby 0 1 2 3\n", "txt:2: has 4 numbers, and 3 before"),
        ("2 4\nlove 1 0 0\nbaby 0 1 2\n", "txt:2: has 3 numbers, and 4 before"),
        ("9 3\nlove 1 0 0\n", "is cut short: 1 of 9 words are there"),
        ("love 1 x 0\n", "txt:1: holds what is no number"),
        ("love 1 nan 0\n", "txt:1: holds what is no finite number"),
        ("other 1 0 0\n", "has none of the 1 words of the lyrics"),
        ("\n", "txt:1: has 0 numbers"),
        ("", "has none of the 1 words"),
    ],
)
def test_damage_says_so(tmp_path, text, said):
    (tmp_path / "vectors.txt").write_text(text)
    with pytest.raises(UserError, match=said):
        read_word_vectors(tmp_path / "vectors.txt", ["love"])


def test_absent_and_binary_files_say_so(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_word_vectors(tmp_path / "absent.txt", ["love"])
    rng = np.random.default_rng(0)
    (tmp_path / "binary.bin").write_bytes(b"3 2\nlove " + rng.bytes(8) + b"\nbaby " + rng.bytes(8))
    with pytest.raises(UserError, match=r"binary\.bin"):
        read_word_vectors(tmp_path / "binary.bin", ["love"])
