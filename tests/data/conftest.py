"""Small songs with stems: a lead that sings a scale, a backing of chords and drums."""

import pathlib

import numpy as np
import pytest
import soundfile

SR = 22050
CLICK_HZ = {"lead": 3000.0, "backing": 6000.0}


def make_song(
    *, tempo: float, seconds: float, tonic: int = 60, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Lead and backing [samples], a click on every beat in each (see CLICK_HZ)."""
    rng = np.random.default_rng(seed)
    n = round(seconds * SR)
    lead, backing = np.zeros(n), np.zeros(n)
    period = 60 / tempo
    for beat in range(int(seconds / period)):
        start = beat * period
        bar, place = divmod(beat, 4)
        root = tonic + (0, 7, 9, 5)[bar % 4]
        scale = tonic + 12 + np.array([0, 2, 4, 5, 7, 9, 11])
        _add(lead, start, _note(rng.choice(scale), 0.9 * period, harmonics=8))
        for interval in (0, 4 if root % 12 != (tonic + 9) % 12 else 3, 7):
            _add(backing, start, 0.5 * _note(root + interval - 12, period, harmonics=4))
        if place in (0, 2):
            _add(backing, start, _kick(1.0 if place == 0 else 0.7))
        for y, name in ((lead, "lead"), (backing, "backing")):
            _add(y, start, 0.5 * _click(CLICK_HZ[name]))
    return tuple((0.2 * y).astype(np.float32) for y in (lead, backing))


def write_song(folder: pathlib.Path, lead: np.ndarray, backing: np.ndarray) -> None:
    folder.mkdir(parents=True)
    soundfile.write(folder / "vocals.wav", lead, SR, subtype="FLOAT")
    soundfile.write(folder / "band.wav", backing, SR, subtype="FLOAT")


@pytest.fixture(scope="session")
def song():
    """The function `make_song`."""
    return make_song


@pytest.fixture(scope="session")
def save_song():
    """The function `write_song`."""
    return write_song


@pytest.fixture(scope="session")
def stems_folder(tmp_path_factory) -> pathlib.Path:
    """Four songs near 110 BPM, the last one without a lead."""
    folder = tmp_path_factory.mktemp("stems")
    for i, (tempo, tonic) in enumerate([(108.0, 60), (112.0, 62), (110.0, 65), (111.0, 60)]):
        lead, backing = make_song(tempo=tempo, seconds=24.0, tonic=tonic, seed=i)
        write_song(folder / f"song{i}", lead, backing)
    (folder / "song3" / "vocals.wav").unlink()
    return folder


def _add(y: np.ndarray, start: float, sound: np.ndarray) -> None:
    i = round(start * SR)
    sound = sound[: len(y) - i]
    y[i : i + len(sound)] += sound


def _note(pitch: float, seconds: float, *, harmonics: int) -> np.ndarray:
    t = np.arange(round(seconds * SR)) / SR
    f = 440 * 2 ** ((pitch - 69) / 12)
    y = sum(np.sin(2 * np.pi * k * f * t) / k for k in range(1, harmonics + 1) if k * f < 2500)
    return y * np.minimum(1, t / 0.02) * np.minimum(1, (t[-1] - t) / 0.02) * 0.3


def _kick(level: float) -> np.ndarray:
    t = np.arange(round(0.15 * SR)) / SR
    return (
        level * 2 * np.sin(2 * np.pi * (50 * t + 4 * (1 - np.exp(-t / 0.02)))) * np.exp(-t / 0.05)
    )


def _click(frequency: float) -> np.ndarray:
    t = np.arange(round(0.01 * SR)) / SR
    return np.sin(2 * np.pi * frequency * t) * np.sin(np.pi * t / t[-1]) ** 2
