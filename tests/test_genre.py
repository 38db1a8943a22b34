import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mashjax.audio import files
from mashjax.mixing.demo import SR


def genre(*arguments: str, cwd) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "mashjax.genre", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, demo_songs):
    """A song at 104 BPM, and its words."""
    folder = tmp_path_factory.mktemp("genre")
    files.write(folder / "song.flac", demo_songs[0], sr=SR)
    (folder / "song.txt").write_text("La la land")
    return folder


def test_features_are_told_as_json_and_as_lines(folder):
    done = genre("features", "song.flac", "--json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    about = json.loads(done.stdout)
    assert about["track_id"] == "song" and about["seconds"] == pytest.approx(12)
    assert about["tempo_bpm"] == pytest.approx(104, rel=0.01) and about["time_signature"] == 4
    assert about["key"] in range(12) and about["mode"] in (0, 1)
    segments = about["segments"]
    assert segments >= 36 and about["counts"] == {
        "chroma": [segments, 12], "timbre": [segments, 12], "words": 2, "words_sung": 3,
    }  # fmt: skip
    lines = genre("features", "song.flac", cwd=folder).stdout.splitlines()
    assert f"segments        {segments}" in lines and "artist          not known" in lines


def test_a_song_is_drawn(folder):
    done = genre("plot", "song.flac", "--out=picture.png", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("picture.png: ") and (folder / "picture.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say one of features, plot"),
        (("features",), "needs one song, and got 0 names"),
        (("features", "absent.h5"), "absent.h5: no such file"),
        (("features", "damaged.h5"), "damaged.h5: cannot be read as HDF5"),
        (("features", "short.wav"), "short.wav: lasts 0.10 s"),
        (("features", "song.flac", "--lyrics=song.txt"), "song.txt: is no musiXmatch file"),
        (("plot", "song.flac", "--out=picture.gif"), "picture.gif: unknown ending"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(tmp_path, folder, arguments, said):
    for path in folder.glob("song.*"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "damaged.h5").write_text("no HDF5")
    files.write(tmp_path / "short.wav", np.zeros((1, SR // 10), np.float32), sr=SR)
    before = sorted(tmp_path.iterdir())
    done = genre(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and said in done.stderr
    assert sorted(tmp_path.iterdir()) == before
