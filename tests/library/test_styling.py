"""Styles: kept once for each song and network, and how they weigh in a search."""

import concurrent.futures
import contextlib
import pathlib

import numpy as np
import pytest
import sqlalchemy as sa

from mashjax.data.layouts import tracks
from mashjax.data.tracks import Track
from mashjax.errors import UserError
from mashjax.library import styling
from mashjax.library.comparing import STYLE
from mashjax.library.database import open_library
from mashjax.library.finding import Finder, Part, read_parts
from mashjax.library.rating import rate_pair
from mashjax.library.tables import SEGMENTS, SONGS


@pytest.fixture
def heard(tmp_path, monkeypatch):
    """Sounds without files: "low" ones and others; what has been listened to."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = []

    def read_track(path, **_):
        names.append(pathlib.Path(path).name)
        if "bad" in names[-1]:
            raise UserError(f"{path}: cannot be read")
        rng = np.random.default_rng(len(names))
        timbre = rng.normal(-3 if "low" in names[-1] else 3, 0.1, (8, 12)).astype(np.float32)
        return Track("", "", "", 2.0, np.zeros((8, 12), np.float32), timbre, np.arange(8) / 4)

    monkeypatch.setattr(tracks, "read_track", read_track)
    return names


@pytest.fixture
def library(where, fill, segment):
    """Four songs that sound the same to all but a genre network."""
    with contextlib.closing(open_library(where, create=True)) as library:
        fill(library, {name: [segment(1)] for name in ("bad", "high", "low1", "low2")})
        yield library


def styled(library, network):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return [one.id for one in styling.style_songs(library, network, pool=pool, ahead=2)]


def parts_in(library) -> dict[str, Part]:
    with library.reading() as connection:
        return {part.song: part for part in read_parts(connection, sa.true())}


def test_songs_of_one_style_come_first(library, heard, tmp_path, write_genre_network):
    found = Finder(library).partners(parts_in(library)["low1"])
    before = {p.part.song: p.match for p in found}
    write_genre_network(tmp_path / "network", seed=0)
    network = styling.network_at(str(tmp_path / "network"))
    assert styling.remembered(library) == (None, True)
    assert [pathlib.Path(id).name for id in styled(library, network)] == ["bad"]
    parts = parts_in(library)
    assert parts["bad"].style is None and parts["low1"].style.shape == (4,)
    partners = Finder(library).partners(parts["low1"])
    found = {p.part.song: p.match for p in partners}
    cosine = {
        name: float(parts["low1"].style @ parts[name].style)
        / float(np.linalg.norm(parts["low1"].style) * np.linalg.norm(parts[name].style))
        for name in ("low2", "high")
    }
    assert cosine["low2"] > 0.99 > max(0, cosine["high"]) + 0.1
    for name in ("low2", "high"):
        assert found[name].parts["style"] == pytest.approx(max(0, cosine[name]), abs=1e-5)
        expected = (1 - STYLE) * before[name].total + STYLE * found[name].parts["style"]
        assert found[name].total == pytest.approx(expected)
    assert found["bad"] == before["bad"] and "style" not in found["bad"].parts
    assert partners[0].part.song == "low2"
    pair = f"{parts['low1'].id}-{parts['low2'].id}-{found['low2'].role}"
    rated = rate_pair(library, pair, 5)  # as it was found
    assert rated.parts == pytest.approx(found["low2"].parts, abs=1e-6)
    assert rated.total == pytest.approx(found["low2"].total, abs=1e-6)
    assert sorted(heard) == ["bad", "high", "low1", "low2"]


def test_a_library_remembers_its_network(
    library, heard, tmp_path, fill, segment, write_genre_network
):
    place = tmp_path / "network"
    write_genre_network(place, seed=0)
    styled(library, styling.network_at(str(place)))
    network, same = styling.remembered(library)
    assert (network.place, same) == (str(place), True)
    (tmp_path / "low3").write_bytes(b"a song that is not in the library")
    low = parts_in(library)["low1"].style
    other = styling.style_of_file(library, tmp_path / "low3")
    np.testing.assert_allclose(other, low, atol=0.1)
    fill(library, {"low4": [segment(4)]})
    styled(library, network)  # of the new one, and once more of the one that cannot be read
    assert heard[4:] == ["low3", "bad", "low4"]
    write_genre_network(place, seed=1)
    with pytest.raises(UserError, match=r"was trained since it gave .* styles; run match index"):
        styling.style_of_file(library, tmp_path / "low3")
    network, same = styling.remembered(library)
    assert not same
    styled(library, network)
    assert np.abs(parts_in(library)["low1"].style - low).max() > 0.1
    assert set(heard[7:]) == {"bad"}  # nothing else was listened to again
    place.rename(tmp_path / "elsewhere")
    with pytest.raises(
        UserError, match=r"no such checkpoint; .* styles of it: run match index with --genres="
    ):
        styling.remembered(library)
    styled(library, None)
    assert styling.remembered(library) == (None, True)
    assert all(part.style is None for part in parts_in(library).values())
    assert styling.style_of_file(library, tmp_path / "low3") is None


def test_a_network_that_does_not_hear_is_refused(tmp_path, write_genre_network):
    write_genre_network(tmp_path, seed=0, inputs="lyrics")
    with pytest.raises(UserError, match="reads words alone"):
        styling.network_at(str(tmp_path))


def test_a_style_goes_with_its_song(library, heard, tmp_path, write_genre_network):
    write_genre_network(tmp_path / "network", seed=0)
    styled(library, styling.network_at(str(tmp_path / "network")))
    with library.writing() as connection:
        connection.execute(sa.delete(SONGS).where(SONGS.c.path == "low2"))
    assert parts_in(library).keys() == {"bad", "high", "low1"}
    with library.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(SEGMENTS)) == 3
