import os
import pathlib

import h5py
import numpy as np
import pytest

from mashjax.data.layouts.msd import read_msd
from mashjax.data.layouts.tracks import find_tracks
from mashjax.errors import UserError

REAL = pathlib.Path(os.environ.get("MASHJAX_MUSIC", ""), "msd")
IDS = ["TRAAAAA128F0000001", "TRAAAAB128F0000002", "TRAAAAC128F0000003", "TRAAAAD128F0000004"]
GENRES = "# tagtraum\n" + "".join(f"{id}\t{genre}\n" for id, genre in zip(IDS, "abab", strict=True))
LYRICS = f"""# a comment
%i,the,you,world
{IDS[0]},4711,1:3,4:1
{IDS[1]},4712,2:2
TRZZZZZ128F0000009,4713,3:1
"""


def write_song(path, track_id, *, artist="A Band", segments=5, without="", **columns):
    """A file as the Million Song Dataset has them, of made numbers."""
    rng = np.random.default_rng(segments)
    path.parent.mkdir(parents=True, exist_ok=True)
    analysis = {
        "track_id": track_id, "duration": 60.5, "tempo": 113.359, "key": 1, "mode": 1,
        "time_signature": 4,
    }  # fmt: skip
    about = {
        "artist_name": artist, "title": f"Song {track_id}", "song_id": "SO" + track_id[2:],
        "song_hotttnesss": 0.5,
    }  # fmt: skip
    arrays = {
        "analysis/segments_pitches": rng.random((segments, 12)),
        "analysis/segments_timbre": 100 * rng.normal(size=(segments, 12)),
        "analysis/segments_start": np.arange(segments) / 4,
        "analysis/songs": _table(analysis | {k: v for k, v in columns.items() if k in analysis}),
        "metadata/songs": _table(about | {k: v for k, v in columns.items() if k in about}),
    }
    with h5py.File(path, "w") as file:
        for name, x in arrays.items():
            if name != without:
                file.create_dataset(name, data=x, chunks=True, compression="gzip")
    return arrays


def _table(row):
    kinds = {str: "S64", float: "f8", int: "i4"}
    columns = [(name, kinds[type(value)]) for name, value in row.items()]
    values = [v.encode() if isinstance(v, str) else v for v in row.values()]
    return np.array([tuple(values)], columns)


@pytest.fixture
def folder(tmp_path):
    """Four songs of three artists in the dataset's tree, and what other files say of them."""
    artists = ["A Band", "A Band feat. B", "Another", "A Third"]
    for id, artist in zip(IDS, artists, strict=True):
        write_song(tmp_path / "data" / id[2] / id[3] / f"{id}.h5", id, artist=artist)
    (tmp_path / "genres.cls").write_text(GENRES)
    (tmp_path / "lyrics.txt").write_text(LYRICS)
    return tmp_path


def test_a_song_is_read_exactly(tmp_path):
    written = write_song(tmp_path / "song.h5", IDS[0], segments=7, artist="Motörhead")
    track = read_msd(tmp_path / "song.h5")
    assert (track.track_id, track.artist, track.seconds) == (IDS[0], "Motörhead", 60.5)
    assert (track.tempo_bpm, track.key, track.mode, track.time_signature) == (113.359, 1, 1, 4)
    assert track.popularity == 0.5
    pitches = written["analysis/segments_pitches"].astype(np.float32)
    np.testing.assert_array_equal(track.chroma, pitches)
    np.testing.assert_array_equal(track.timbre, np.float32(written["analysis/segments_timbre"]))
    np.testing.assert_array_equal(track.starts, written["analysis/segments_start"])


def test_what_the_analyser_did_not_find_is_not_known(tmp_path):
    unknown = {"tempo": 0.0, "key": -1, "mode": -1, "time_signature": 0, "song_hotttnesss": np.nan}
    write_song(tmp_path / "song.h5", IDS[0], **unknown)
    track = read_msd(tmp_path / "song.h5")
    assert (track.tempo_bpm, track.key, track.mode, track.time_signature) == (None,) * 4
    assert track.popularity is None


@pytest.mark.skipif(not REAL.is_dir(), reason="MASHJAX_MUSIC names no folder with a real song")
def test_the_real_song():
    track = read_msd(REAL / "TRAXLZU12903D05F94.h5")
    assert (track.track_id, track.artist) == ("TRAXLZU12903D05F94", "Rick Astley")
    assert track.chroma.shape == track.timbre.shape == (935, 12) and track.starts.shape == (935,)
    assert (track.tempo_bpm, track.key, track.mode, track.time_signature) == (113.359, 1, 1, 4)
    assert track.chroma.max() == 1.0 and track.starts[-1] == pytest.approx(210.01016)


def test_tracks_are_joined_by_id(folder):
    genres = str(folder / "genres.cls")
    write_song(folder / "data" / "more.h5", IDS[3])
    (folder / "genres.cls").write_text(GENRES + "TRZZZZY128F0000008\ta\n")
    found = find_tracks(folder / "data", genres=genres, lyrics=(str(folder / "lyrics.txt"),))
    assert [s.id for s in found.sources] == IDS
    assert [s.genre for s in found.sources] == ["a", "b", "a", "b"]
    assert [s.group for s in found.sources] == ["a band", "a band", "another", "a third"]
    tracks = [s.load() for s in found.sources]
    assert [t.words for t in tracks] == [{"i": 3, "world": 1}, {"the": 2}, None, None]
    assert found.left_out == [] and found.counts == {
        "tracks": 5,
        "tracks without a genre": 1,
        "genres of absent tracks": 1,
        "tracks without lyrics": 2,
        "lyrics of absent tracks": 1,
    }


def test_a_track_that_is_there_twice_is_used_once_and_named(folder):
    write_song(folder / "data" / "Z" / f"{IDS[0]}.h5", IDS[0])
    found = find_tracks(folder / "data", genres=str(folder / "genres.cls"))
    assert [s.id for s in found.sources] == IDS
    assert [one.id for one in found.left_out] == [f"Z/{IDS[0]}.h5"]
    assert f"A/A/{IDS[0]}.h5" in found.left_out[0].why


def test_artists_come_from_the_datasets_list(folder):
    """Then no file is opened: they may all be damaged."""
    lines = [f"{id}<SEP>SO{n}<SEP>One Artist<SEP>Song {n}\n" for n, id in enumerate(IDS)]
    (folder / "data" / "subset_unique_tracks.txt").write_text("".join(lines))
    for path in folder.glob("data/*/*/*.h5"):
        path.write_bytes(b"no HDF5")
    found = find_tracks(folder / "data", genres=str(folder / "genres.cls"))
    assert {s.group for s in found.sources} == {"one artist"} and len(found.sources) == 4


@pytest.mark.parametrize("named", [True, False])
def test_published_splits_are_kept(folder, named):
    if named:
        (folder / "cd2c_train.txt").write_text(f"{IDS[0]}\n{IDS[1]}\n")
        (folder / "cd2c_test.txt").write_text(f"{IDS[2]}\n")
        splits = (str(folder / "cd2c_train.txt"), str(folder / "cd2c_test.txt"))
    else:
        (folder / "cd2c.cls").write_text(f"% x\n{IDS[0]}\tTRAIN\n{IDS[1]}\tTRAIN\n{IDS[2]}\tTEST")
        splits = (str(folder / "cd2c.cls"),)
    found = find_tracks(folder / "data", genres=str(folder / "genres.cls"), splits=splits)
    assert [s.split for s in found.sources] == ["train", "train", "test"]
    assert [s.load().split for s in found.sources] == ["train", "train", "test"]
    assert found.counts["tracks in no split"] == 1


def test_play_counts_are_summed_by_song_or_track(folder):
    lines = [f"user1\tSO{IDS[0][2:]}\t3\n", f"user2\tSO{IDS[0][2:]}\t4\n", f"u\t{IDS[1]}\t1\n"]
    (folder / "plays.txt").write_text("".join(lines))
    found = find_tracks(
        folder / "data", genres=str(folder / "genres.cls"), plays=str(folder / "plays.txt")
    )
    assert [s.load().popularity for s in found.sources] == [7.0, 1.0, 0.5, 0.5]
    assert found.counts["tracks without a play count"] == 2


def test_a_file_that_cannot_be_read_is_named(folder):
    next(folder.glob(f"data/*/*/{IDS[1]}.h5")).write_bytes(b"no HDF5")
    found = find_tracks(folder / "data", genres=str(folder / "genres.cls"))
    assert len(found.sources) == 3
    assert [one.id for one in found.left_out] == [IDS[1]]
    assert "cannot be read as HDF5" in found.left_out[0].why


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("analysis/songs", "has no analysis/songs: it is no song file"),
        ("analysis/segments_timbre", "has no analysis/segments_timbre"),
        ("metadata/songs", "has no metadata/songs"),
    ],
)
def test_a_file_without_analysis_says_so(tmp_path, without, said):
    write_song(tmp_path / "song.h5", IDS[0], without=without)
    with pytest.raises(UserError, match=said):
        read_msd(tmp_path / "song.h5")


def test_a_file_of_several_songs_says_so(tmp_path):
    written = write_song(tmp_path / "song.h5", IDS[0])
    with h5py.File(tmp_path / "song.h5", "a") as file:
        del file["analysis/songs"]
        file["analysis/songs"] = np.repeat(written["analysis/songs"], 3)
    with pytest.raises(UserError, match="analysis/songs is a table of 3 rows"):
        read_msd(tmp_path / "song.h5")


def test_damage_says_so(tmp_path):
    path = tmp_path / "song.h5"
    write_song(path, IDS[0], segments=4000)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is cut short"):
        read_msd(path)
    path.write_bytes(whole[:3000] + bytes(len(whole) - 6000) + whole[-3000:])
    with pytest.raises(UserError, match=r"damaged|has no|cannot be read"):
        read_msd(path)
    write_song(path, IDS[0], segments=0)
    with pytest.raises(UserError, match="has no segments"):
        read_msd(path)
    with pytest.raises(UserError, match="no such file"):
        read_msd(tmp_path / "absent.h5")


def test_a_file_under_another_name_is_refused(folder):
    next(folder.glob(f"data/*/*/{IDS[0]}.h5")).rename(folder / "data" / f"{IDS[2]}.h5")
    found = find_tracks(folder / "data", labelled=False)
    wrong = next(s for s in found.sources if s.id == IDS[2])
    with pytest.raises(UserError, match=f"holds track {IDS[0]}"):
        wrong.load()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("genres", "TRZZZZZ128F0000009\ta\n", "has no genre of any track here"),
        ("genres", f"{IDS[0]} a\n", "genres.cls:1: is not track id TAB genre"),
        ("genres", GENRES + f"{IDS[0]}\tc\n", f"genres.cls:6: {IDS[0]} is c, and a before"),
        ("genres", "# nothing\n", "names no track"),
        ("lyrics", f"{IDS[0]},1,1:1\n", "is no musiXmatch file"),
        ("lyrics", "%i,you\nTRZZZZZ128F0000009,1,1:1\n", "has no lyrics of any track here"),
        ("splits", f"{IDS[0]}\n", "splits.txt:1: says no split"),
        ("splits", f"{IDS[0]}\ttrain\n{IDS[0]}\ttest\n", "is in test, and in train before"),
        ("plays", f"{IDS[0]}\tmany\n", "plays.txt:1: is not id TAB count"),
        ("plays", "SOXXX\t3\n", "has no play count of any track here"),
    ],
)
def test_other_files_that_do_not_fit_say_why(folder, name, text, said):
    paths = {"genres": str(folder / "genres.cls")}
    paths[name] = str(folder / f"{name}.{'cls' if name == 'genres' else 'txt'}")
    pathlib.Path(paths[name]).write_text(text)
    given = {k: (v,) if k in ("lyrics", "splits") else v for k, v in paths.items()}
    with pytest.raises(UserError, match=said):
        find_tracks(folder / "data", **given)


def test_genres_must_be_given(folder):
    with pytest.raises(UserError, match="--genres=FILE"):
        find_tracks(folder / "data")
