import pytest

from mashjax.data.collecting.addresses import Wanted, is_address, read_addresses
from mashjax.errors import UserError


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_text_file_has_one_address_per_line(tmp_path):
    path = write(
        tmp_path,
        "songs.txt",
        "\ufeff# mine\r\nhttps://a.org/x?v=1&t=2#part\r\n\r\n  http://b.org/é.mp3  # a remark\n",
    )
    assert read_addresses(path) == [
        (Wanted("https://a.org/x?v=1&t=2#part"),),
        (Wanted("http://b.org/é.mp3"),),
    ]


def test_a_table_has_rows_of_three_in_any_order_of_columns(tmp_path):
    path = write(
        tmp_path,
        "pairs.csv",
        "# from my shelf\nOriginal2, Label ,note,original1\n"
        'https://a.org/2,"https://a.org/m,1",fine,https://a.org/1\n\n',
    )
    addresses = "https://a.org/m,1", "https://a.org/1", "https://a.org/2"
    assert read_addresses(path) == [tuple(Wanted(a) for a in addresses)]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("e.txt", "", "has no address"),
        ("e.txt", "# only\n\n#remarks", "has no address"),
        ("e.csv", "", "no column 'label'"),
        ("e.csv", "label,original1,original2\n", "has no address"),
        ("e.csv", "https://a.org,https://b.org,https://c.org\n", "no column 'label'"),
        ("e.csv", "label,original1\n", "no column 'original2'"),
        ("e.csv", "label,original1,original2\nhttps://a,https://b\n", "line 2: has 2 columns"),
        ("e.csv", "label,original1,original2\nhttps://a.org,,https://b.org\n", "line 2: ''"),
        ("e.txt", "https://a.org\nyoutu.be/abc\n", "line 2: 'youtu.be/abc' is no address"),
        ("e.txt", "file:///etc/passwd\n", "line 1: .* is no address"),
        ("e.txt", "/home/me/song.mp3\n", "line 1: .* is no address"),
        ("e.txt", b"\xff\xfe\x00h", "is not a text file in UTF-8"),
    ],
)
def test_a_bad_list_is_refused_with_its_line(tmp_path, name, text, says):
    with pytest.raises(UserError, match=rf"e\.\w+.*{says}"):
        read_addresses(write(tmp_path, name, text))


def test_a_list_that_is_not_there_or_a_folder(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_addresses(tmp_path / "no.txt")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_addresses(tmp_path)


@pytest.mark.parametrize("text", ["", "http://", "http:///x", "ftp://a.org/x", "http://a b", "x"])
def test_what_is_no_address(text):
    assert not is_address(text)
    assert not is_address("http://[::1")
    assert is_address("http://[::1]:80/x")
