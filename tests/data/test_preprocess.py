import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from mashjax.data.store import MANIFEST, Settings, file_sha256, open_store, verify
from mashjax.errors import UserError
from mashjax.preprocess import preprocess, report

SETTINGS = Settings(seconds=5.0, pairs_per_song=2, examples_per_pair=2)


@pytest.fixture(scope="module")
def made(stems_folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("made") / "stems.store"
    stages = []
    summary = preprocess(
        stems_folder,
        output,
        settings=SETTINGS,
        progress=lambda stage, done, total: stages.append((stage, done, total)),
    )
    return output, summary, stages


def test_folders_of_stems_become_a_store_and_a_summary(made, stems_folder):
    output, summary, stages = made
    store = open_store(output)
    assert verify(output) == []
    assert summary.songs == 4
    assert [(r.id, "no lead" in r.why) for r in summary.rejected_songs] == [("song3", True)]
    assert store.count("train") == summary.examples["train"] >= 4
    assert summary.seconds == 5.0 * store.count("train")
    assert summary.size == sum(p.stat().st_size for p in output.rglob("*") if p.is_file())
    assert stages[:4] == [("songs", i, 4) for i in (1, 2, 3, 4)]
    assert stages[-1] == ("pairs", 3, 3)
    assert "songs in: 4, rejected: 1" in report(summary)
    songs = store.manifest["songs"]
    assert set(songs) == {"song0", "song1", "song2"}
    for name, song in songs.items():
        for part, file in (("lead", "vocals.wav"), ("backing", "band.wav")):
            assert song["files"][part] == [
                {"name": file, "sha256": file_sha256(stems_folder / name / file)}
            ]
    # The generated songs are at 108, 112 and 110 BPM.
    for name, tempo in (("song0", 108), ("song1", 112), ("song2", 110)):
        assert songs[name]["tempo_bpm"] == pytest.approx(tempo, rel=0.005)


def test_every_example_pairs_songs_of_its_own_split_at_a_tempo_between_theirs(made):
    store = open_store(made[0])
    songs = store.manifest["songs"]
    for split in ("train", "valid", "test"):
        for example in store.examples(split):
            a, b = example["songs"]
            assert a != b
            assert songs[a]["split"] == songs[b]["split"] == split
            tempi = sorted((songs[a]["tempo_bpm"], songs[b]["tempo_bpm"]))
            assert tempi[0] - 0.1 <= example["tempo_bpm"] <= tempi[1] + 0.1


def test_stored_songs_have_the_settings_loudness(made):
    store = open_store(made[0])
    x = store.read("train", np.arange(store.count("train")))
    gains = np.array([e["gain"] for e in store.examples("train")])
    songs = (x.reshape(len(x), 2, 2, -1).sum(2)) / gains[:, None, None]
    # LUFS of steady music is its RMS within K-weighting's few dB.
    level = 10 * np.log10((songs**2).mean(-1))
    assert np.abs(level - SETTINGS.loudness).max() < 6


def test_workers_change_nothing_in_the_store(made, stems_folder, tmp_path):
    preprocess(stems_folder, tmp_path / "two.store", settings=SETTINGS, workers=2)
    first, second = ((p / MANIFEST).read_text() for p in (made[0], tmp_path / "two.store"))
    assert first == second


def test_other_seeds_cut_other_excerpts(made, stems_folder, tmp_path):
    output = tmp_path / "seed.store"
    preprocess(stems_folder, output, settings=dataclasses.replace(SETTINGS, seed=7))
    starts = [
        [e["start"] for e in open_store(path).examples("train")] for path in (made[0], output)
    ]
    assert starts[0] != starts[1]


def test_a_failing_run_leaves_nothing(stems_folder, tmp_path):
    def stop(stage, done, total):
        if stage == "pairs":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        preprocess(stems_folder, tmp_path / "s.store", settings=SETTINGS, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_songs_without_a_partner_are_refused_with_their_tempi(song, save_song, tmp_path):
    for name, tempo in (("slow", 80.0), ("fast", 120.0)):
        save_song(tmp_path / "in" / name, *song(tempo=tempo, seconds=15.0))
    with pytest.raises(UserError, match=r"near enough in tempo \(fast 120, slow 80 BPM\)"):
        preprocess(tmp_path / "in", tmp_path / "out.store", settings=SETTINGS)
    shutil.rmtree(tmp_path / "in" / "fast")
    with pytest.raises(UserError, match="a pair needs two songs"):
        preprocess(tmp_path / "in", tmp_path / "out.store", settings=SETTINGS)
    (tmp_path / "in" / "slow" / "band.wav").write_text("no audio")
    with pytest.raises(UserError, match=r"band\.wav"):
        preprocess(tmp_path / "in", tmp_path / "out.store", settings=SETTINGS)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("layout", "input", "output", "message"),
    [
        ("stems", "{tmp}/absent", "{tmp}/s", "absent: no such folder"),
        ("stems", "{stems}", "{stems}", "exists already"),
        ("stems", "{stems}", "{tmp}/no/s", "no such folder to write"),
        ("midi", "{stems}", "{tmp}/s", "needs --soundfont"),
    ],
)
def test_folders_that_will_not_do_are_refused(
    layout, input, output, message, stems_folder, tmp_path
):
    paths = [p.format(stems=stems_folder, tmp=tmp_path) for p in (input, output)]
    with pytest.raises(UserError, match=message):
        preprocess(*paths, settings=dataclasses.replace(SETTINGS, layout=layout))
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_no_store_and_no_worker_and_is_started_over(stems_folder, tmp_path):
    flags = [f"--input={stems_folder}", f"--output={tmp_path}/s.store", "--seconds=5"]
    run = subprocess.Popen([sys.executable, "-m", "mashjax.preprocess", *flags, "--workers=2"])
    partial = tmp_path / "s.store.partial"
    wait_until(lambda: any(partial.glob("scratch/*")))
    children = pathlib.Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    assert len(children) >= 2
    run.kill()
    run.wait()
    assert partial.is_dir()
    assert not (tmp_path / "s.store").exists()
    wait_until(lambda: not any(alive(int(pid)) for pid in children))
    preprocess(stems_folder, tmp_path / "s.store", settings=SETTINGS)
    assert verify(tmp_path / "s.store") == []
    assert [p.name for p in tmp_path.iterdir()] == ["s.store"]


def test_an_interrupted_run_removes_what_it_wrote(stems_folder, tmp_path):
    flags = [f"--input={stems_folder}", f"--output={tmp_path}/s.store", "--seconds=5"]
    run = subprocess.Popen(
        [sys.executable, "-m", "mashjax.preprocess", *flags, "--workers=2"],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: any(tmp_path.glob("*.partial/scratch/*")))
    run.terminate()
    assert run.communicate()[1] == "interrupted\n"
    assert run.returncode == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--input={stems}"], "--output= is missing"),
        (["--seconds=0", "--input={stems}", "--output={tmp}/s"], "seconds"),
        (["--layout=vinyl", "--input={stems}", "--output={tmp}/s"], "--layout=vinyl is unknown"),
    ],
)
def test_mistakes_get_one_line_and_exit_2(flags, message, stems_folder, tmp_path):
    flags = [f.format(stems=stems_folder, tmp=tmp_path) for f in flags]
    run = command(*flags)
    assert (run.returncode, run.stdout) == (2, "")
    assert len(run.stderr.strip().splitlines()) == 1
    assert message in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_its_summary_and_no_progress_when_piped(stems_folder, tmp_path):
    run = command(
        f"--input={stems_folder}", f"--output={tmp_path}/s.store", "--seconds=5",
        "--pairs_per_song=1", "--examples_per_pair=1", "--workers=1",
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("songs in: 4, rejected: 1\nexamples out: 1 (1 train, 0 valid")
    manifest = json.loads((tmp_path / "s.store" / MANIFEST).read_text())
    assert manifest["settings"]["layout"] == "stems"
    assert manifest["rejected"]["songs"][0]["id"] == "song3"


def wait_until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return (
            "Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        )
    except (FileNotFoundError, ProcessLookupError):
        return False


def command(*flags: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "mashjax.preprocess", *flags], capture_output=True, text=True
    )
