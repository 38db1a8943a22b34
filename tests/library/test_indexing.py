import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import sqlalchemy as sa

from mashjax.audio import files
from mashjax.data.executors import executor
from mashjax.errors import UserError
from mashjax.library import indexing
from mashjax.library.database import open_library
from mashjax.library.exporting import export, trackid
from mashjax.library.indexing import index
from mashjax.library.segments import VERSION, Song
from mashjax.library.tables import SEGMENTS, SONGS

SR = 22050


def write_song(path: pathlib.Path, seed: int, *, seconds: float = 4.0) -> None:
    y = np.random.default_rng(seed).normal(0, 0.1, (1, round(seconds * SR)))
    path.parent.mkdir(exist_ok=True, parents=True)
    files.write(path, y.astype(np.float32), sr=SR)


@pytest.fixture
def folder(tmp_path):
    """Three songs, which differ in length."""
    for number in range(3):
        write_song(tmp_path / "music" / f"{number}.wav", number, seconds=4 + number / 100)
    return tmp_path / "music"


@pytest.fixture
def heard(monkeypatch, segment) -> list[float]:
    """`song_of` is replaced by one that knows every song at once; the seconds of what it heard."""
    heard = []

    def song_of(path):
        clip = files.read(path)
        heard.append(round(clip.seconds, 2))
        segments = tuple(
            dataclasses.replace(segment(n), number=n, start=n + 0.5, end=n + 1.5) for n in range(2)
        )
        return Song(
            clip.seconds, clip.sr, 1, 120.0, 4, 0, "major", 0.5, ("no clear key",), segments
        )

    monkeypatch.setattr(indexing, "song_of", song_of)
    return heard


@pytest.fixture
def library(where):
    with contextlib.closing(open_library(where, create=True)) as library:
        yield library


def rows(library) -> dict[str, tuple[str, int]]:
    """path -> (sha256, number of segments)"""
    count = sa.func.count(SEGMENTS.c.id)
    query = sa.select(SONGS.c.path, SONGS.c.sha256, count).join(SEGMENTS).group_by(SONGS.c.id)
    with library.reading() as connection:
        return {path: (sha256, n) for path, sha256, n in connection.execute(query)}


def counts(summary) -> dict[str, int]:
    about = dataclasses.asdict(summary)
    return {name: n for name, n in about.items() if n and isinstance(n, int)}


def test_an_unchanged_folder_is_not_read_again(folder, library, heard):
    done = []
    first = index(folder, library, progress=lambda *told: done.append(told))
    assert counts(first) == {"songs": 3, "segments": 6, "described": 3}
    assert done == [(1, 3), (2, 3), (3, 3)]
    before = rows(library)
    assert {path: n for path, (_, n) in before.items()} == {"0.wav": 2, "1.wav": 2, "2.wav": 2}
    (folder / "2.wav").chmod(0)  # unreadable even to its hash, were it read
    again = index(folder, library)
    assert counts(again) == {"songs": 3, "segments": 6, "unchanged": 3}
    assert heard == [4.0, 4.01, 4.02] and rows(library) == before


def test_moves_losses_changes_and_newcomers(folder, library, heard):
    index(folder, library)
    before = rows(library)
    heard.clear()
    (folder / "sub").mkdir()
    (folder / "0.wav").rename(folder / "sub" / "moved.wav")
    (folder / "1.wav").unlink()
    write_song(folder / "2.wav", 7, seconds=5.0)
    write_song(folder / "new.wav", 8, seconds=6.0)
    summary = index(folder, library)
    assert counts(summary) == {
        "songs": 3, "segments": 6, "described": 2, "moved": 1, "dropped": 2,
    }  # fmt: skip
    after = rows(library)
    assert heard == [5.0, 6.0] and set(after) == {"sub/moved.wav", "2.wav", "new.wav"}
    assert after["sub/moved.wav"] == before["0.wav"]


def test_names_may_be_exchanged_and_files_touched(folder, library, heard):
    index(folder, library)
    before = rows(library)
    (folder / "0.wav").rename(folder / "x")
    (folder / "1.wav").rename(folder / "0.wav")
    (folder / "x").rename(folder / "1.wav")
    os.utime(folder / "2.wav", (1, 1))
    heard.clear()
    assert counts(index(folder, library)) == {"songs": 3, "segments": 6, "moved": 3}
    after = rows(library)
    assert heard == []
    assert after == {"0.wav": before["1.wav"], "1.wav": before["0.wav"], "2.wav": before["2.wav"]}


def test_what_cannot_be_used_is_listed_and_left_out(folder, library, heard):
    (folder / "notes.mp3").write_text("no music")
    (folder / "old.wma").write_bytes(b"x")
    shutil.copy(folder / "0.wav", folder / "copy.wav")
    summary = index(folder, library)
    assert counts(summary) == {"songs": 3, "segments": 6, "described": 3}
    left_out = {r.id: r.why for r in summary.left_out}
    assert set(left_out) == {"notes.mp3", "old.wma", "copy.wav"}
    assert "is not audio" in left_out["notes.mp3"] and "cannot be read" in left_out["old.wma"]
    assert left_out["copy.wav"] == "the same recording as 0.wav"
    (folder / "0.wav").unlink()  # the copy takes its place
    assert counts(index(folder, library)) == {"songs": 3, "segments": 6, "unchanged": 2, "moved": 1}
    assert len(heard) == 3


def test_what_another_version_described_is_described_again(folder, library, heard):
    index(folder, library)
    with library.writing() as connection:
        connection.execute(sa.update(SONGS).where(SONGS.c.path == "1.wav").values(version=0))
    heard.clear()
    summary = index(folder, library)
    assert counts(summary) == {"songs": 3, "segments": 6, "described": 1, "unchanged": 2}
    assert heard == [4.01]
    with library.reading() as connection:
        assert set(connection.scalars(sa.select(SONGS.c.version))) == {VERSION}


def test_a_library_is_of_one_folder_which_may_move(folder, library, heard, tmp_path):
    index(folder, library)
    write_song(tmp_path / "other" / "x.wav", 9)
    with pytest.raises(UserError, match=r"has the songs of .*music.*choose another --library"):
        index(tmp_path / "other", library)
    folder.rename(tmp_path / "elsewhere")
    assert counts(index(tmp_path / "elsewhere", library))["unchanged"] == 3
    shutil.rmtree(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()  # as a disk that is not there looks: nothing is dropped
    with pytest.raises(UserError, match="found no songs"):
        index(tmp_path / "elsewhere", library)
    assert len(rows(library)) == 3


KILLED = """
import sys, time
from mashjax.library import indexing
from mashjax.library.database import open_library
from mashjax.library.segments import Song

def song_of(path):
    return Song(4.0, 22050, 1, None, 4, 0, "major", 0.5, (), ())

def progress(done, total):
    print(done, flush=True)
    if done == 2:
        time.sleep(60)

indexing.song_of = song_of
indexing.index(sys.argv[1], open_library(sys.argv[2], create=True), progress=progress)
"""


def test_a_killed_indexer_loses_nothing_that_it_had_done(folder, where, heard):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, folder, where], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "1\n" and process.stdout.readline() == "2\n"
        says = pytest.raises(UserError, match=f"being indexed by mashjax, process {process.pid}")
        with contextlib.closing(open_library(where)) as library, says:
            index(folder, library)
        process.send_signal(signal.SIGKILL)
    with contextlib.closing(open_library(where)) as library:
        while True:
            with contextlib.suppress(UserError):  # until a server sees that its client is gone
                assert counts(index(folder, library)) == {
                    "songs": 3, "segments": 2, "described": 1, "unchanged": 2,
                }  # fmt: skip
                break
    assert heard == [4.02]


def test_slices_are_written_once_and_mended(folder, library, heard, tmp_path):
    index(folder, library)
    output = tmp_path / "slices"

    def run():
        with executor(1) as pool:
            done = export(library, output, pool, ahead=1)
        return done.written, done.removed, [song.id for song in done.left_out]

    assert run() == (6, 0, [])
    names = sorted(p.relative_to(output).as_posix() for p in output.rglob("*.wav"))
    track = trackid("0.wav", rows(library)["0.wav"][0])
    assert names[:2] == [f"{track}/{track}_slice0.wav", f"{track}/{track}_slice1.wav"]
    whole = files.read(folder / "0.wav").y
    slice1 = soundfile.read(output / names[1])[0]
    assert np.abs(slice1 - whole[0, round(1.5 * SR) : round(2.5 * SR)]).max() < 1e-6
    assert run() == (0, 0, [])
    (output / names[0]).unlink()
    files.write(output / names[1], whole[:, : SR // 2], sr=SR)  # as an older description had it
    os.utime(output / names[2], (1e9, 1e9))  # of the right length, but before the description
    (folder / "2.wav").unlink()
    assert run() == (3, 0, [])
    shutil.rmtree(output)
    assert run() == (4, 0, ["2.wav"])


def test_slices_that_no_song_has_are_removed(folder, library, heard, tmp_path):
    index(folder, library)
    output = tmp_path / "slices"
    with executor(1) as pool:
        assert export(library, output, pool, ahead=1).written == 6
        gone = trackid("2.wav", rows(library)["2.wav"][0])
        kept = trackid("1.wav", rows(library)["1.wav"][0])
        shutil.copy(output / kept / f"{kept}_slice1.wav", output / kept / f"{kept}_slice7.wav")
        others = [output / "my_slice1.wav", output / "mine" / "my_slice1.wav"]
        others[1].parent.mkdir()
        for path in others:
            path.write_text("not ours")
        (folder / "2.wav").unlink()
        index(folder, library)
        done = export(library, output, pool, ahead=1)
    assert (done.written, done.removed) == (0, 3)
    assert not (output / gone).exists() and all(path.exists() for path in others)
    assert len(list((output / kept).iterdir())) == 2


def test_a_trackid_is_a_safe_and_short_name():
    assert trackid("Band/What? a/b\\c..mp3", "0123456789ab") == "b_c-01234567"
    assert len(trackid("é" * 300 + ".mp3", "0" * 64).encode()) < 140
    assert trackid("...mp3", "0123456789ab").startswith("..") is False
