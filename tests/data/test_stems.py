import pathlib

import numpy as np
import pytest
import soundfile

from mashjax.data.stems import find_stems_songs, is_lead
from mashjax.errors import UserError

SR = 22050


def write(path: pathlib.Path, y: np.ndarray, sr: int = SR) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, y, sr, subtype="FLOAT" if path.suffix.lower() == ".wav" else None)


def noise(seed: int, seconds: float = 2.5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.2, 0.2, round(seconds * SR)).astype(np.float32)


def test_leads_and_backings_are_summed_and_as_long_as_the_longest(tmp_path):
    a, b, c, d = noise(0), noise(1, 3.0), noise(2), noise(3)
    write(tmp_path / "s/Lead Vocals.wav", a)
    write(tmp_path / "s/stems/choir_voice.WAV", b)
    write(tmp_path / "s/drums.wav", np.stack([c, d], axis=1))
    write(tmp_path / "s/stems/bass.wav", d)
    write(tmp_path / "s/mixture.wav", noise(4))
    write(tmp_path / "s/Mix.flac", noise(4))
    (song,) = find_stems_songs(tmp_path)
    lead, backing = song.load(sr=SR)
    assert song.id == "s"
    assert len(lead) == len(backing) == len(b)
    np.testing.assert_allclose(lead, np.pad(a, (0, len(b) - len(a))) + b, atol=1e-6)
    np.testing.assert_allclose(backing[: len(c)], (c + d) / 2 + d, atol=1e-6)
    assert not backing[len(c) :].any()


def test_stems_of_any_rate_arrive_at_the_wanted_one(tmp_path):
    t = np.arange(3 * 48000) / 48000
    write(tmp_path / "s/vocal.flac", 0.5 * np.sin(2 * np.pi * 440 * t), 48000)
    write(tmp_path / "s/band.ogg", noise(0, 3.0), SR)
    lead, backing = find_stems_songs(tmp_path)[0].load(sr=SR)
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * SR) / SR)
    inner = slice(2000, -2000)
    error = lead[inner] - wanted[inner]
    # 24 bits in, soxr HQ: its 100 dB passband ripple and noise leave more than 80.
    assert 10 * np.log10(np.mean(wanted[inner] ** 2) / np.mean(error**2)) > 80
    assert abs(len(backing) - 3 * SR) <= SR // 100


@pytest.mark.parametrize(
    ("name", "lead"),
    [
        ("vocals.wav", True),
        ("Vocals30.mp3", True),
        ("leadguitar.mp3", True),
        ("SINGER.ogg", True),
        ("acapella.flac", True),
        ("drums.wav", False),
        ("other.wav", False),
        ("S03.flac", False),
    ],
)
def test_which_names_are_leads(name, lead):
    assert is_lead(pathlib.Path("folder with vocals in it", name)) == lead


def test_one_sided_songs_say_so_when_loaded(tmp_path):
    write(tmp_path / "no lead/drums.wav", noise(0))
    write(tmp_path / "no backing/vocals.wav", noise(0))
    no_backing, no_lead = find_stems_songs(tmp_path)
    with pytest.raises(UserError, match="no lead: no file name contains vocal"):
        no_lead.load(sr=SR)
    with pytest.raises(UserError, match="no backing: every stem is a lead"):
        no_backing.load(sr=SR)


def test_folders_without_songs_are_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        find_stems_songs(tmp_path / "absent")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "notes.txt").write_text("-")
    with pytest.raises(UserError, match="has no folder with stems"):
        find_stems_songs(tmp_path)
