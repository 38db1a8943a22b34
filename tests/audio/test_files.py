import concurrent.futures
import os
import pathlib
import resource

import numpy as np
import pytest
import soundfile

from mashjax.audio import files
from mashjax.errors import UserError


def tone(sr: int, channels: int, seconds: float = 3.0, hz: float = 440.0) -> np.ndarray:
    t = np.arange(round(seconds * sr)) / sr
    return np.stack([0.3 * np.sin(2 * np.pi * hz * (k + 1) * t) for k in range(channels)]).astype(
        np.float32
    )


@pytest.mark.parametrize(
    ("ending", "sr", "channels"),
    [
        ("wav", 8000, 1),
        ("wav", 192000, 2),
        ("wav", 44100, 6),
        ("flac", 96000, 2),
        ("flac", 32768, 1),
        ("ogg", 10512, 2),
        ("ogg", 48000, 6),
        ("mp3", 44100, 2),
        ("mp3", 22050, 1),
    ],
)
def test_what_is_written_is_read_back(tmp_path, ending, sr, channels):
    y = tone(sr, channels)
    path = tmp_path / f"ein Lied, 曲.{ending}"
    files.write(path, y, sr=sr)
    clip = files.read(path)
    assert (clip.sr, clip.y.shape[0], clip.note) == (sr, channels, "")
    assert abs(clip.y.shape[1] - y.shape[1]) <= (2400 if ending == "mp3" else 0)
    if ending in ("wav", "flac"):  # 24 bits: half a step is 6e-8
        np.testing.assert_allclose(clip.y, y, atol=1.2e-7)
    else:
        spectrum = np.abs(np.fft.rfft(clip.y[0, : 2 * sr]))
        assert spectrum.argmax() / 2 == pytest.approx(440, abs=1)


def test_exact_wav_holds_the_very_samples(tmp_path):
    y = tone(44100, 2) * 5  # louder than full scale: 24 bits would clip it
    with files.replacing(tmp_path / "x.wav") as beside:
        files.encode(beside, y, sr=44100, exact=True)
    np.testing.assert_array_equal(files.read(tmp_path / "x.wav").y, y)


def bad_file(folder, kind: str):
    path = folder / "song.wav"
    sr = 22050
    match kind:
        case "missing":
            pass
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case "text":
            path.write_text("la la la" * 1000)
        case "no samples":
            soundfile.write(path, np.zeros((0, 1)), sr)
        case "short":
            soundfile.write(path, tone(sr, 1, 1.9).T, sr)
        case "silent":
            soundfile.write(path, np.zeros(3 * sr), sr)
        case "nan" | "inf":
            y = tone(sr, 1)
            y[0, 1000] = float(kind)
            soundfile.write(path, y.T, sr, subtype="FLOAT")
        case "low rate":
            soundfile.write(path, tone(4000, 1).T, 4000)
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "no such file"),
        ("folder", "is a folder"),
        ("empty", "is an empty file"),
        ("text", "is not audio"),
        ("no samples", "holds no samples"),
        ("short", "lasts 1.90 s"),
        ("silent", "is silent"),
        ("nan", "NaN"),
        ("inf", "infinite"),
        ("low rate", "4000 Hz"),
    ],
)
def test_bad_input_is_named(tmp_path, kind, says):
    path = bad_file(tmp_path, kind)
    with pytest.raises(UserError) as refusal:
        files.read(path)
    assert says in str(refusal.value) and str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", ["silent", "short"])
def test_a_stem_may_be_silent_or_short(tmp_path, kind):
    assert files.read(bad_file(tmp_path, kind), stem=True).sr == 22050


@pytest.mark.parametrize("ending", ["mp3", "flac", "ogg", "wav"])
def test_a_truncated_file_gives_what_decodes_and_says_so(tmp_path, ending, capfd):
    path = tmp_path / f"song.{ending}"
    rng = np.random.default_rng(0)
    files.write(path, 0.1 * rng.normal(size=(1, 20 * 22050)).astype(np.float32), sr=22050)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    clip = files.read(path)
    assert 7 < clip.seconds < 11
    assert "truncated" in clip.note
    path.write_bytes(whole[: len(whole) // 6])
    with pytest.raises(UserError, match="truncated"):
        files.read(path)
    assert capfd.readouterr().err == ""  # the decoder's own chatter is not the user's business


@pytest.mark.parametrize(
    ("name", "sr", "channels", "says"),
    [
        ("x.aiff", 44100, 2, "unknown ending"),
        ("x", 44100, 2, "unknown ending"),
        ("x.mp3", 96000, 2, "mp3 cannot hold"),
        ("x.mp3", 44100, 6, "mp3 cannot hold"),
        ("nowhere/x.wav", 44100, 2, "does not exist"),
    ],
)
def test_unwritable_outputs_are_refused_before_work(tmp_path, name, sr, channels, says):
    with pytest.raises(UserError, match=says):
        files.check_output(tmp_path / name, sr=sr, channels=channels)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, ending):
    path = tmp_path / f"x.{ending}"
    path.write_text("the old one")
    noise = np.random.default_rng(0).normal(size=(2, 441000)).astype(np.float32) * 0.1
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(UserError, match=r"x\.\w+: cannot be written: No space left"):
            files.write(path, noise, sr=44100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "the old one"
    assert os.listdir(tmp_path) == [path.name]


def test_an_interrupt_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), files.replacing(tmp_path / "x.wav") as beside:
        beside.write_text("half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_two_decoders_at_once_give_stderr_back(tmp_path, capfd):
    path = tmp_path / "song.mp3"
    files.write(path, tone(22050, 1), sr=22050)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(files.read, [path] * 40))
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


def test_a_name_that_no_encoding_knows_is_read(tmp_path):
    path = pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9t\xe9 \xff.wav"))
    soundfile.write(os.fsencode(path), np.full((22050 * 3, 1), 0.25, np.float32), 22050)
    assert files.read(path).y.max() == pytest.approx(0.25, abs=1e-4)
