import json
import os
import subprocess
import sys

import pytest

from mashjax.audio import files
from mashjax.mixing.demo import SR


def match(*arguments: str, cwd) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "mashjax.match", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, demo_songs, write_genre_network):
    """Two songs, a file that is none, and their library with styles, made by two processes."""
    folder = tmp_path_factory.mktemp("match")
    (folder / "music").mkdir()
    for number, y in enumerate(demo_songs):
        files.write(folder / "music" / f"song{number}.flac", y, sr=SR)
    (folder / "music" / "notes.mp3").write_text("no music")
    write_genre_network(folder / "network", seed=0)
    flags = "--workers=2", "--json", "--export=slices", "--genres=network"
    done = match("index", "music", *flags, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    about = json.loads(done.stdout)
    assert (about["songs"], about["described"]) == (2, 2)
    assert [song["id"] for song in about["left_out"]] == ["notes.mp3"]
    assert about["slices"] == about["segments"] == len(list(folder.glob("slices/*/*_slice*.wav")))
    return folder


def test_an_unchanged_folder_is_told_in_lines(folder):
    done = match("index", "music", cwd=folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("mashjax.library: 2 songs, ")
    assert lines[1] == "2 unchanged, 1 left out"
    assert lines[2] == f"styles by {folder / 'network'}"
    assert lines[3].startswith("left out notes.mp3: ")


def test_partners_are_found_and_told(folder):
    """The demo's songs are at 104 and 110 BPM."""
    done = match("find", "music/song0.flac", "--json", "--max-stretch=0.1", cwd=folder)
    assert done.returncode == 0, done.stderr
    parts = json.loads(done.stdout)["parts"]
    partner = parts[0]["partners"][0]
    assert partner["segment"]["song"] == "song1.flac"
    assert partner["stretch_percent"] == pytest.approx(100 * (110 / 104 - 1), abs=0.3)
    assert partner["pair"] == f"{parts[0]['id']}-{partner['segment']['id']}-{partner['role']}"
    assert sum(partner["parts"].values()) > 0 and 0 < partner["total"] <= 1
    assert 0 <= partner["parts"]["style"] <= 1
    text = match("find", "music/song0.flac", "--role=lead", "--max-stretch=0.1", cwd=folder).stdout
    assert text.startswith(f"part 0: 0:{parts[0]['start']:04.1f}-")
    assert "  1. song1.flac " in text and "under yours from bar" in text and "harmony 0." in text
    assert ", style " in text
    none = match("find", "music/song0.flac", "--max-stretch=0.01", cwd=folder)
    assert "nothing within the limits" in none.stdout and none.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "say one of index, find, mix, rate, learn, map, status"),
        (("fnd", "x"), "say one of index, find, mix, rate, learn, map, status"),
        (("find",), "needs the song"),
        (("index", "a", "b"), "needs the folder of songs, and got 2 names"),
        (("index", "absent"), "absent: no such folder"),
        (("index", "empty"), "empty: found no songs"),
        (("index", "songs", "--genres=absent"), "absent: no such checkpoint"),
        (("find", "x.wav"), "mashjax.library: there is no library yet; make one with"),
        (("find", "x.wav", "--library=mongodb://x"), "mongodb:// is not supported"),
        (("find", "x.wav", "--role=both"), "role"),
        (("rate", "1-2-lead"), "rate needs a pair, as find names it, and a number from 1 to 5"),
        (("rate", "1-2-lead", "good"), "rate needs a pair, as find names it, and a number"),
        (("rate", "1-2-lead", "4"), "mashjax.library: there is no library yet; make one with"),
        (("learn", "more"), "what is 'more'?"),
        (("learn",), "mashjax.library: there is no library yet"),
        (("map", "--colour=mood"), "colour"),
        (("map",), "mashjax.library: there is no library yet"),
        (("status",), "mashjax.library: there is no library yet"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(arguments, says, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "a.wav").touch()
    done = match(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and says in done.stderr
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.wav", "empty", "songs"]


def test_a_song_that_is_not_there(folder):
    done = match("find", "music/absent.wav", cwd=folder)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "music/absent.wav: no such file" in done.stderr


def test_the_best_pair_is_mixed(folder, tmp_path):
    out = tmp_path / "best.flac"
    done = match(
        *("mix", "music/song0.flac", "--max-stretch=0.1", f"--out={out}", "--role=lead"), cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert "over 0:0" in done.stdout.splitlines()[0]
    report = json.loads((tmp_path / "best.json").read_text())
    (one,) = report["set"]
    assert one["partner"]["path"].endswith("music/song1.flac")
    assert report["output"]["lufs"] == pytest.approx(-14, abs=0.1)
    names = {"best.flac", "best.cue", "best.json", "best_stems"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--pick=99", "so there is no pick 99: try a greater --max-stretch"),
        ("--set=9", "parts have a partner of their own: ask for --set="),
        ("--out=x.txt", "x.txt"),
    ],
)
def test_what_cannot_be_mixed_is_refused(folder, flag, said):
    done = match("mix", "music/song0.flac", "--max-stretch=0.1", flag, cwd=folder)
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(folder.glob("mashup*")) and not list(folder.glob("x*"))


def test_a_pair_is_rated_and_little_is_not_learned_from(folder):
    found = match("find", "music/song0.flac", "--json", "--max-stretch=0.1", cwd=folder)
    partner = json.loads(found.stdout)["parts"][0]["partners"][0]
    done = match("rate", partner["pair"], "4", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    rated = json.loads(done.stdout)
    assert (rated["pair"], rated["rating"]) == (partner["pair"], 4)
    assert set(rated["parts"]) == set(partner["parts"])
    assert match("rate", partner["pair"], "5", cwd=folder).stdout.endswith(": rated 5\n")
    for arguments, says in {
        ("rate", partner["pair"], "6"): "a rating of 6: say 1 (bad) to 5 (good)",
        ("rate", "77-1-lead", "3"): "there is no segment 77 any more",
        ("rate", "song0.flac", "3"): "song0.flac: not a pair; match find names them",
        ("learn",): "has ratings of 1 pairs, and to learn from them takes 10",
    }.items():
        done = match(*arguments, cwd=folder)
        assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
        assert says in done.stderr


def test_the_library_is_drawn_and_its_state_told(folder):
    done = match("map", "--out=map.html", "--colour=key", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    about = json.loads(done.stdout)
    assert (folder / "map.html").read_text().count("<circle") == about["segments"] > 1
    assert sum(group["segments"] for group in about["groups"]) == about["segments"]
    done = match("map", "--colour=tempo", cwd=folder)
    assert done.stdout.startswith(f"map.png: {about['segments']} segments, "), done.stderr
    assert (folder / "map.png").read_bytes().startswith(b"\x89PNG")
    refused = match("map", "--out=map.pdf", cwd=folder)
    assert refused.returncode == 2 and "map.pdf" in refused.stderr

    state = json.loads(match("status", "--json", cwd=folder).stdout)
    assert (state["songs"], state["new"], state["drift"]) == (2, 0, [])
    assert sorted([*state["pool"], *state["doubted"]]) == ["song0.flac", "song1.flac"]
    assert sum(state["weights"].values()) == pytest.approx(1)
    told = match("status", cwd=folder).stdout
    assert told.startswith("mashjax.library: 2 songs, ")
