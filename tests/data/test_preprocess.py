import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from mashjax.data.sealing import file_sha256
from mashjax.data.store import (
    FILL,
    MANIFEST,
    PLAN,
    Settings,
    decode,
    open_store,
    verify,
)
from mashjax.errors import UserError
from mashjax.preprocess import preprocess, report

SETTINGS = Settings(seconds=5.0, clips_per_song=4)


def contents(store: pathlib.Path) -> dict[str, str]:
    """Every file of a store and its hash."""
    return {
        p.relative_to(store).as_posix(): file_sha256(p) for p in store.rglob("*") if p.is_file()
    }


@pytest.fixture(scope="module")
def made(stems_folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("made") / "stems.store"
    done = []
    summary = preprocess(
        stems_folder, output, settings=SETTINGS, progress=lambda *counts: done.append(counts)
    )
    return output, summary, done


def test_folders_of_stems_become_a_store_and_a_summary(made, stems_folder):
    output, summary, done = made
    store = open_store(output)
    assert verify(output) == []
    assert (summary.songs, summary.kept) == (4, 0)
    assert [(r.id, "no lead" in r.why) for r in summary.rejected] == [("song3", True)]
    assert store.count("train") == summary.examples["train"] >= 4
    assert summary.pairs == store.manifest["pairs"] >= store.count("train") / 2
    assert summary.seconds == 3 * 24.0
    on_disk = sum(p.stat().st_size for p in output.rglob("*") if p.is_file())
    assert summary.size == on_disk - (output / MANIFEST).stat().st_size
    assert done == [(i, 4) for i in (1, 2, 3, 4)]
    assert "songs in: 4, rejected: 1\n" in report(summary, "x")
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


def test_partners_are_other_songs_of_the_same_cell_and_split(made):
    store = open_store(made[0])
    songs = store.manifest["songs"]
    examples = store.examples("train")
    for example, partners in zip(examples, store.partners("train"), strict=True):
        assert songs[example["song"]]["split"] == "train"
        for other in (examples[k] for k in partners if k >= 0):
            assert other["song"] != example["song"]
            assert other["cell"] == example["cell"]
            assert other["tempo_bpm"] == example["tempo_bpm"]


def test_statistics_speak_of_the_songs_that_are_read(made):
    """Mean log power per bin, computed here from what the store gives back."""
    store = open_store(made[0])
    rows = store.arrays["train"].read().result()
    songs = decode(rows[rows[:, 0, 0] != FILL]).sum(1)
    assert len(songs) == 12
    window = np.hanning(2049)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(songs, 2048, axis=1)[:, ::512]
    logs = np.log10(np.abs(np.fft.rfft(frames * window)) ** 2 + 1e-10)
    statistics = store.manifest["statistics"]
    # Up to 2.5 kHz, where these songs end and the noise of 16 bits is all that is left.
    assert np.abs(logs.mean((0, 1)) - statistics["mean"])[5:230].mean() < 0.03
    assert np.abs(logs.std((0, 1)) - statistics["scale"])[5:230].mean() < 0.03


def test_workers_change_nothing_in_the_store(made, stems_folder, tmp_path):
    preprocess(stems_folder, tmp_path / "two.store", settings=SETTINGS, workers=2)
    assert contents(tmp_path / "two.store") == contents(made[0])


class Killed(BaseException):
    """As hard as it gets within one process."""


def interrupted(stems_folder, output, *, after: int, settings=SETTINGS) -> None:
    def stop(done, total):
        if done == after:
            raise Killed

    with pytest.raises(Killed):
        preprocess(stems_folder, output, settings=settings, progress=stop)


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(made, stems_folder, tmp_path):
    output = tmp_path / "s.store"
    interrupted(stems_folder, output, after=2)
    with pytest.raises(UserError, match="still being written, or its making was interrupted"):
        open_store(output)
    summary = preprocess(stems_folder, output, settings=SETTINGS)
    assert summary.kept == 2
    assert contents(output) == contents(made[0])
    again = preprocess(stems_folder, output, settings=SETTINGS)
    assert again.kept == 4
    assert contents(output) == contents(made[0])


def test_what_changed_in_between_is_made_again(stems_folder, tmp_path):
    """A source that was replaced, a shard that was damaged, and a record that was."""
    folder = tmp_path / "in"
    shutil.copytree(stems_folder, folder)
    shutil.copyfile(folder / "song1" / "vocals.wav", folder / "song0" / "vocals.wav")
    output = tmp_path / "s.store"
    interrupted(folder, output, after=3)
    shutil.copyfile(stems_folder / "song0" / "vocals.wav", folder / "song0" / "vocals.wav")
    flip(output / "train/c/1/0/0")
    flip(output / "records/train/2.json")
    summary = preprocess(folder, output, settings=SETTINGS)
    assert summary.kept == 0
    preprocess(folder, tmp_path / "at once.store", settings=SETTINGS)
    assert contents(output) == contents(tmp_path / "at once.store")


def flip(path: pathlib.Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)


def test_a_song_that_can_be_used_now_is_used(stems_folder, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(stems_folder, folder)
    (folder / "song1" / "band.wav").write_text("no audio")
    output = tmp_path / "s.store"
    interrupted(folder, output, after=4)
    shutil.copyfile(stems_folder / "song1" / "band.wav", folder / "song1" / "band.wav")
    summary = preprocess(folder, output, settings=SETTINGS)
    assert [r.id for r in summary.rejected] == ["song3"]


def test_another_store_is_never_touched(made, stems_folder, tmp_path):
    output = tmp_path / "s.store"
    interrupted(stems_folder, output, after=1)
    for store in (output, made[0]):
        before = contents(store)
        other = dataclasses.replace(SETTINGS, seed=7)
        with pytest.raises(UserError, match="made with seed=0, and this command says 7"):
            preprocess(stems_folder, store, settings=other)
        folder = tmp_path / f"more than {store.name}"
        shutil.copytree(stems_folder, folder)
        shutil.copytree(folder / "song0", folder / "song9")
        with pytest.raises(UserError, match=r"of 4 songs, and now there are 5 .* song9 is new"):
            preprocess(folder, store, settings=SETTINGS)
        assert contents(store) == before
    foreign = tmp_path / "papers"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        preprocess(stems_folder, foreign, settings=SETTINGS)
    assert [p.name for p in foreign.iterdir()] == ["thesis.txt"]


def test_two_runs_do_not_write_to_one_store(stems_folder, tmp_path):
    output = tmp_path / "s.store"
    refused = []

    def second(done, total):
        if done == 1:
            with pytest.raises(UserError, match="is being written by another run") as error:
                preprocess(stems_folder, output, settings=SETTINGS)
            refused.append(error)

    preprocess(stems_folder, output, settings=SETTINGS, progress=second)
    assert len(refused) == 1
    assert verify(output) == []


def test_strict_ends_at_the_first_song_that_cannot_be_used(stems_folder, tmp_path):
    with pytest.raises(UserError, match=r"song3: .* no lead.*--strict"):
        preprocess(stems_folder, tmp_path / "s.store", settings=SETTINGS, strict=True)


def test_songs_without_a_partner_are_refused_with_their_tempi(song, save_song, tmp_path):
    for name, tempo in (("slow", 80.0), ("fast", 120.0)):
        save_song(tmp_path / "in" / name, *song(tempo=tempo, seconds=15.0))
    with pytest.raises(UserError, match=r"fit in tempo, key and meter \(fast 120 BPM C"):
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
        ("stems", "{stems}", "{stems}", "holds other files"),
        ("stems", "{stems}", "{stems}/song0/band.wav", "is a file"),
        ("stems", "{stems}", "{tmp}/no/s", "no such folder to write"),
        ("stems", "{stems}", "ftp://host/s", "no address that can be opened"),
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


def test_mashups_as_they_are_become_the_students_examples(song, tmp_path):
    """One example of the first seconds each, in the files' own levels to each other."""
    rng = np.random.default_rng(0)
    sounds = [sum(song(tempo=100.0 + 5 * i, seconds=9.0, seed=i)) for i in range(2)]
    (tmp_path / "in").mkdir()
    for index in range(2):
        parts = [y + 0.01 * rng.normal(size=len(y)) for y in sounds]
        for name, y in (("", sum(parts)), ("[0]", parts[0]), ("[1]", parts[1][: 4 * 22050])):
            path = tmp_path / "in" / f"[{index}]{name}[two songs].wav"
            soundfile.write(path, y.astype(np.float32), 22050, subtype="FLOAT")
    settings = Settings(layout="labelled", seconds=6.0, whole=False, align="none")
    summary = preprocess(tmp_path / "in", tmp_path / "m.store", settings=settings)
    assert (summary.songs, summary.examples["train"], summary.pairs) == (2, 2, 0)
    store = open_store(tmp_path / "m.store")
    for row in decode(store.read("train", np.arange(2))):
        label, original1, original2 = row
        assert np.abs(label[: 4 * 22050] - (original1 + original2)[: 4 * 22050]).max() < 1e-3
        assert not original2[4 * 22050 :].any()
    whole = dataclasses.replace(settings, whole=True)
    summary = preprocess(tmp_path / "in", tmp_path / "whole.store", settings=whole)
    assert summary.examples["train"] == 4  # 9 s: two examples of each, the second one padded


@pytest.mark.slow
def test_a_run_killed_ten_times_makes_the_same_store(made, stems_folder, tmp_path):
    output = tmp_path / "s.store"
    flags = [f"--input={stems_folder}", f"--output={output}", "--seconds=5", "--clips_per_song=4"]
    started = time.monotonic()
    assert command(*flags).returncode == 0
    whole = time.monotonic() - started
    rng = np.random.default_rng(0)
    killed = 0
    while killed < 10:
        run = subprocess.Popen(
            [sys.executable, "-m", "mashjax.preprocess", *flags, "--workers=2"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            message = run.communicate(timeout=rng.uniform(0.1, 1) * whole)[1]
            assert run.returncode == 0, message
            assert contents(output) == contents(made[0])
            shutil.rmtree(output)  # done before it could be killed: from the beginning
        except subprocess.TimeoutExpired:
            run.kill()
            run.communicate()
            killed += 1
    run = command(*flags)
    assert (run.returncode, run.stderr) == (0, "")
    assert contents(output) == contents(made[0])


def test_a_killed_run_leaves_no_store_and_no_worker(stems_folder, tmp_path):
    flags = [f"--input={stems_folder}", f"--output={tmp_path}/s.store", "--seconds=5"]
    run = subprocess.Popen([sys.executable, "-m", "mashjax.preprocess", *flags, "--workers=2"])
    wait_until(lambda: any((tmp_path / "s.store").glob("records/*/*.json")))
    children = pathlib.Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    assert len(children) >= 2
    run.kill()
    run.wait()
    wait_until(lambda: not any(alive(int(pid)) for pid in children))
    assert not (tmp_path / "s.store" / MANIFEST).exists()
    assert (tmp_path / "s.store" / PLAN).is_file()


@pytest.mark.slow
def test_a_killed_worker_is_one_line_and_the_run_goes_on(stems_folder, tmp_path):
    flags = [f"--input={stems_folder}", f"--output={tmp_path}/s.store", "--seconds=5"]
    run = subprocess.Popen(
        [sys.executable, "-m", "mashjax.preprocess", *flags, "--workers=2"],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: any((tmp_path / "s.store").glob("records/*/*.json")))
    children = pathlib.Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    subprocess.run(["kill", "-9", children[-1]], check=True)
    message = run.communicate()[1]
    assert run.returncode == 2
    assert len(message.strip().splitlines()) == 1
    assert "a worker process was killed" in message
    assert command(*flags).returncode == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--input={stems}"], "--output= is missing"),
        (["--output={tmp}/s"], "--input= is missing"),
        (["--seconds=0", "--input={stems}", "--output={tmp}/s"], "seconds"),
        (["--layout=vinyl", "--input={stems}", "--output={tmp}/s"], "vinyl"),
        (["--verify", "--output={tmp}/s"], "no such store"),
        (["--materialise={tmp}/m", "--output={tmp}/s"], "no such store"),
        (["--library=x", "--input={stems}", "--output={tmp}/s"], "--library is for --layout=songs"),
        (
            ["--soundfont=x.sf2", "--input={stems}", "--output={tmp}/s"],
            "--soundfont is for --layout=midi or melody, not for stems",
        ),
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
        "--clips_per_song=2", "--workers=1",
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("songs in: 4, rejected: 1\nexamples out: ")
    manifest = json.loads((tmp_path / "s.store" / MANIFEST).read_text())
    assert manifest["settings"]["layout"] == "stems"
    assert manifest["rejected"][0]["id"] == "song3"
    run = command("--verify", f"--output={tmp_path}/s.store")
    assert run.stdout.endswith("files are as they were written\n")
    flip(tmp_path / "s.store/train/c/1/0/0")
    run = command("--verify", f"--output={tmp_path}/s.store")
    assert (run.returncode, run.stdout) == (2, "")
    assert "1 of its files are damaged or missing: train/c/1/0/0" in run.stderr


def wait_until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
