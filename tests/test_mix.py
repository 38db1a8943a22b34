import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mashjax.audio import files
from mashjax.audio.loudness import loudness, true_peak
from mashjax.audio.resample import resample
from mashjax.errors import UserError
from mashjax.mix import mix
from mashjax.mixing.demo import SR

TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@pytest.fixture(scope="module")
def songs(tmp_path_factory, demo_songs):
    folder = tmp_path_factory.mktemp("songs")
    paths = [folder / "first song.wav", folder / "zweites Lied.flac"]
    for path, y in zip(paths, demo_songs, strict=True):
        files.write(path, y, sr=SR)
    return paths


@pytest.fixture(scope="module")
def overlay(songs, tmp_path_factory):
    """One mix without the network, with every output that can be asked for."""
    folder = tmp_path_factory.mktemp("out")
    y, report = mix(
        *songs,
        masks="none",
        out=folder / "mashup.wav",
        stems=folder / "stems",
        plot=folder / "mashup.png",
        report=folder / "mashup.json",
    )
    return folder, y, report


def test_every_output_is_there_and_nothing_else(overlay):
    folder, _, _ = overlay
    assert sorted(p.name for p in folder.iterdir()) == [
        "mashup.json",
        "mashup.png",
        "mashup.wav",
        "stems",
    ]
    assert sorted(p.name for p in (folder / "stems").iterdir()) == [
        "part1.wav",
        "part2.wav",
        "song1.wav",
        "song2.wav",
    ]
    assert (folder / "mashup.png").read_bytes().startswith(b"\x89PNG")


def test_the_file_is_what_the_function_returns(overlay):
    folder, y, report = overlay
    clip = files.read(folder / "mashup.wav")
    np.testing.assert_allclose(clip.y, y, atol=1.2e-7)  # 24 bits
    assert json.loads((folder / "mashup.json").read_text()) == report


def test_levels_are_as_promised(overlay):
    folder, _, report = overlay
    clip = files.read(folder / "mashup.wav")
    assert loudness(clip.y, sr=clip.sr) == pytest.approx(-14, abs=0.15)
    assert true_peak(clip.y, sr=clip.sr) <= -1
    assert report["output"]["lufs"] == pytest.approx(loudness(clip.y, sr=clip.sr), abs=0.01)


def test_the_parts_sum_to_the_unmastered_mix(overlay):
    folder, y, _ = overlay
    stems = {p.stem: files.read(p).y for p in (folder / "stems").iterdir()}
    np.testing.assert_array_equal(stems["part1"], stems["song1"])  # open masks
    both = stems["part1"] + stems["part2"]
    # Mastering is one slow gain: on a second's scale, the mix is the sum times a number.
    for start in range(SR, both.shape[1] - 2 * SR, 2 * SR):
        piece = slice(start, start + SR)
        gain = np.sum(y[:, piece] * both[:, piece]) / np.sum(both[:, piece] ** 2)
        residual = y[:, piece] - gain * both[:, piece]
        assert np.sum(residual**2) < 0.01 * np.sum(y[:, piece] ** 2)


def test_the_report_says_what_was_decided(overlay):
    _, y, report = overlay
    parts = {"songs", "alignment", "sections", "mask", "levels", "output", "timing_seconds"}
    assert set(report) == parts
    tempos = [song["tempo_bpm"] for song in report["songs"]]
    assert tempos == pytest.approx([104, 110], rel=0.005)
    for song in report["songs"]:
        assert set(song) == {
            "path",
            "seconds",
            "sample_rate",
            "channels",
            "tempo_bpm",
            "beats_per_bar",
            "key",
        }
        assert song["key"]["tonic"] in TONICS and 0 <= song["key"]["confidence"] <= 1
    alignment = report["alignment"]
    assert 104 <= alignment["tempo_bpm"] <= 110
    # Stretched to one tempo: source tempo / stretch is the output's.
    for tempo, stretch in zip(tempos, alignment["stretch"], strict=True):
        assert tempo / stretch == pytest.approx(alignment["tempo_bpm"], rel=1e-3)
    assert set(alignment["mashability"]) == {"harmony", "rhythm", "spectrum", "total"}
    assert alignment["why"] and "\n" not in alignment["why"]
    share = np.array(report["mask"]["song2_share"])
    assert len(share) == len(report["mask"]["times"]) and 0 <= share.min() <= share.max() <= 1
    assert report["output"]["seconds"] == pytest.approx(y.shape[1] / SR, abs=1e-3)
    stages = {"read", "analyse", "align", "model", "write", "total"}
    assert set(report["timing_seconds"]) == stages


def test_songs_may_differ_in_everything(songs, tmp_path, demo_songs):
    low = tmp_path / "low.wav"
    files.write(low, resample(demo_songs[1][:1], sr_in=SR, sr_out=8000), sr=8000)
    y, report = mix(songs[0], low, masks="none", lead=1, out=tmp_path / "a.flac")
    assert (report["output"]["sample_rate"], y.shape[0]) == (SR, 2)
    y, report = mix(songs[0], low, masks="none", lead="2", out=tmp_path / "b.ogg")
    assert (report["output"]["sample_rate"], y.shape[0]) == (8000, 2)
    assert report["alignment"]["lead"] == 2
    assert files.read(tmp_path / "b.ogg").sr == 8000


@pytest.mark.parametrize("ending", ["mp3", "ogg"])
def test_lossy_files_hold_the_ceiling_as_decoded(songs, tmp_path, ending):
    out = tmp_path / f"m.{ending}"
    _, report = mix(*songs, masks="none", out=out)
    clip = files.read(out)
    assert true_peak(clip.y, sr=clip.sr) <= -1
    assert report["output"]["true_peak_dbtp"] == pytest.approx(
        true_peak(clip.y, sr=clip.sr), abs=0.01
    )


def test_taken_as_one_timeline(songs):
    y, report = mix(*songs, align="none", masks="none", start2=3.0, duration=5.0)
    assert y.shape[1] == 5 * SR
    alignment = report["alignment"]
    assert alignment["stretch"] == [1, 1] and alignment["shift_semitones"] == [0, 0]
    assert alignment["start_seconds"] == [0, 3]


def test_starts_and_duration_are_honoured(songs):
    y, report = mix(*songs, masks="none", start1=5.0, duration=4.0)
    assert y.shape[1] == pytest.approx(4 * SR, abs=1)
    assert abs(report["alignment"]["start_seconds"][0] - 5) <= 0.5 * 60 / 104


def test_two_tempos_too_far_apart_may_be_allowed(songs):
    _, report = mix(*songs, masks="none", max_stretch=0.01)
    assert report["alignment"]["stretch"] == [1, 1]
    assert "too far apart" in report["alignment"]["why"]


def refused(tmp_path, *songs, **options) -> str:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as refusal:
        mix(*songs, **{"masks": "none", "out": tmp_path / "m.wav", **options})
    assert sorted(tmp_path.rglob("*")) == before, "something was left behind"
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"out": "m.aac"}, "unknown ending"),
        ({"out": "nowhere/m.wav"}, "does not exist"),
        ({"out": "."}, "unknown ending"),
        ({"plot": "m.jpg"}, "use .png"),
        ({"report": "m.txt"}, "use .json"),
        ({"plot": "nowhere/m.png"}, "does not exist"),
        ({"stems": "nowhere/at/all"}, "does not exist"),
        ({"start1": 60.0}, "60"),
        ({"start2": 11.5}, "11.5"),
        ({"duration": 0.5}, "0.5"),
        ({"balance": 1.5}, "balance is 1.5: say -1 to 1"),
        ({"arrange": "sections"}, "sections need the masks"),
    ],
)
def test_what_cannot_be_done_is_refused(songs, tmp_path, monkeypatch, options, says):
    monkeypatch.chdir(tmp_path)
    assert says in refused(tmp_path, *songs, **options)


def test_a_format_that_cannot_hold_the_result_is_refused_before_the_work(songs, tmp_path):
    high = tmp_path / "high.wav"
    files.write(high, resample(files.read(songs[0]).y, sr_in=SR, sr_out=96000), sr=96000)
    stages: list[str] = []
    message = refused(
        tmp_path, high, songs[1], lead=1, out=tmp_path / "m.mp3", progress=stages.append
    )
    assert "mp3 cannot hold 2 channels at 96000 Hz" in message
    assert stages[-1] == "aligning"


def test_no_input_is_overwritten(songs, tmp_path):
    copy = tmp_path / "song.wav"
    copy.write_bytes(songs[0].read_bytes())
    link = tmp_path / "link.wav"
    link.symlink_to(copy)
    for out in (copy, link, tmp_path / "." / "song.wav"):
        assert "would overwrite" in refused(tmp_path, copy, songs[1], out=out)
    part = tmp_path / "part1.wav"
    part.write_bytes(songs[0].read_bytes())
    assert "would overwrite" in refused(tmp_path, part, songs[1], stems=tmp_path)
    assert copy.read_bytes() == songs[0].read_bytes()


def test_one_bad_song_is_enough(songs, tmp_path):
    silent = tmp_path / "silent.wav"
    files.write(silent, np.zeros((1, 3 * SR), np.float32), sr=SR)
    assert "silent.wav: is silent" in refused(tmp_path, songs[0], silent)


def test_a_song_without_a_beat_is_mixed_as_it_is(songs, tmp_path):
    drone = tmp_path / "drone.wav"
    t = np.arange(10 * SR) / SR
    files.write(drone, 0.2 * np.sin(2 * np.pi * 220 * t).astype(np.float32)[None], sr=SR)
    y, report = mix(songs[0], drone, masks="none")
    assert report["songs"][1]["tempo_bpm"] is None
    assert report["songs"][1]["beats_per_bar"] is None
    assert report["alignment"]["stretch"] == [1, 1]
    assert "no beat" in report["alignment"]["why"]
    assert np.isfinite(y).all()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_half_file(songs, tmp_path, sent):
    command = [sys.executable, "-m", "mashjax.mix", *map(str, songs), "--masks=none"]
    command += [f"--out={tmp_path}/m.wav", f"--stems={tmp_path}/stems"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    # The first temporary file appears when writing begins; the interrupt comes right then.
    while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    os.kill(process.pid, sent)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (130, 0), errors  # 0: it was done before the signal came
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ([] if process.returncode else ["m.wav", "stems"])
    assert "Traceback" not in errors


def test_piped_the_command_prints_results_only(songs, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mashjax.mix", *map(str, songs), "--masks=none"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[1])},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "mashup.wav: " in done.stdout and "LUFS" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["mashup.wav"]
