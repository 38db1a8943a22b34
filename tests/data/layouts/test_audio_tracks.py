import numpy as np
import pytest

from mashjax.audio import files
from mashjax.data.layouts.tracks import find_tracks, read_track
from mashjax.errors import UserError

SR = 22050


@pytest.fixture
def folder(tmp_path):
    """Five files of a tenth of a second in folders of genres, one of them with words."""
    for name in ["rock/A Band - One", "rock/a band - Two", "jazz/deep/Three", "jazz/Four", "Five"]:
        path = tmp_path / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, np.zeros((1, SR // 10), np.float32), sr=SR)
    (tmp_path / "jazz" / "Four.txt").write_text("la la la")
    return tmp_path


def test_folders_are_genres(folder):
    found = find_tracks(folder)
    told = [(s.id, s.genre, s.group, s.words) for s in found.sources]
    assert told == [
        ("jazz/Four", "jazz", "jazz/Four", {"la": 3}),
        ("jazz/deep/Three", "jazz", "jazz/deep/Three", None),
        ("rock/A Band - One", "rock", "a band", None),
        ("rock/a band - Two", "rock", "a band", None),
    ]
    assert found.counts == {"tracks": 5, "tracks without a genre": 1, "tracks without lyrics": 3}
    assert len(find_tracks(folder, labelled=False).sources) == 5


def test_a_table_says_genres_artists_and_splits(folder):
    (folder / "genres.csv").write_text(
        "file,genre,artist,title,split,popularity\n"
        "rock/A Band - One.wav,Metal,Someone,One,TRAIN,12\n"
        "Five.wav,Folk,Another,,test,\n"
        "jazz/Four.wav,,,,,\n"
    )
    found = find_tracks(folder)
    told = [(s.id, s.genre, s.group, s.split, s.popularity) for s in found.sources]
    assert told == [
        ("Five", "Folk", "another", "test", None),
        ("rock/A Band - One", "Metal", "someone", "train", 12.0),
    ]
    assert found.counts["tracks without a genre"] == 3


def test_splits_are_given_by_id(folder):
    lines = ["rock/A Band - One\ttrain\n", "jazz/Four\ttest\n", "jazz/deep/Three\tdev\n"]
    (folder / "splits.txt").write_text("".join(lines))
    found = find_tracks(folder, splits=(str(folder / "splits.txt"),))
    told = {s.id: s.split for s in found.sources}
    assert told == {"rock/A Band - One": "train", "jazz/Four": "test", "jazz/deep/Three": "valid"}
    assert found.counts["tracks in no split"] == 1


def test_what_cannot_be_used_is_named(folder):
    (folder / "rock" / "Six.wma").write_text("no sound that is read")
    files.write(folder / "jazz" / "Four.flac", np.zeros((1, 100), np.float32), sr=SR)
    found = find_tracks(folder)
    told = {one.id: one.why for one in found.left_out}
    assert set(told) == {"rock/Six.wma", "jazz/Four.wav"}
    assert ".wma cannot be read" in told["rock/Six.wma"]
    assert "Four.flac is called so, too" in told["jazz/Four.wav"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,genre\n", "must name the columns file and genre"),
        ("file,genre\nabsent.wav,a\n", "names absent.wav, which is not in"),
        ("file,genre\nFive.wav,a\nFive.wav,b\n", "csv:3: Five.wav was named before"),
        ("file,genre,split\nFive.wav,a,some\n", "csv:2: its split is 'some'"),
        ("file,genre,popularity\nFive.wav,a,nan\n", "csv:2: its popularity is 'nan'"),
        ("file,genre\n,a\n", "csv:2: names no file"),
    ],
)
def test_a_damaged_table_says_why(folder, text, said):
    (folder / "genres.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        find_tracks(folder)


def test_a_folder_without_songs_says_so(tmp_path):
    with pytest.raises(UserError, match=r"found no songs .* or tracks \(h5\)"):
        find_tracks(tmp_path)


def test_a_sound_is_described(tmp_path, demo_songs):
    """The demo's first song is at 104 BPM; half a beat is 0.288 s."""
    files.write(tmp_path / "song.wav", demo_songs[0], sr=44100)
    track = read_track(tmp_path / "song.wav")
    assert track.tempo_bpm == pytest.approx(104, rel=0.01)
    assert np.median(np.diff(track.starts)) == pytest.approx(30 / 104, rel=0.01)
    assert track.chroma.shape == track.timbre.shape == (len(track.starts), 12)
    assert len(track.starts) >= 36 and track.seconds == pytest.approx(12.0)
    assert track.chroma.dtype == track.timbre.dtype == np.float32
    np.testing.assert_allclose(track.chroma.max(axis=1), 1, atol=1e-6)
    assert track.timbre[:, 0].min() > 0 and track.timbre[:, 0].max() < 60
    assert track.key in range(12) and track.mode in (0, 1) and track.words is None


def test_too_short_a_sound_says_so(tmp_path):
    files.write(tmp_path / "song.wav", np.zeros((1, 2000), np.float32), sr=SR)
    with pytest.raises(UserError, match=r"lasts 0\.09 s, at least"):
        read_track(tmp_path / "song.wav")
