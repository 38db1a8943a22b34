"""Small made-up music with known truth, for the tests of this room."""

import numpy as np
import pytest

SR = 22050


def clicks(times: np.ndarray, *, seconds: float, sr: int = SR, accents: int = 0) -> np.ndarray:
    """Short noise bursts at `times`; every `accents`-th one has a low thump too."""
    rng = np.random.default_rng(0)
    y = np.zeros(int(seconds * sr) + sr)
    t = np.arange(int(0.06 * sr)) / sr
    burst = rng.standard_normal(len(t)) * np.exp(-t / 0.01)
    thump = 2 * np.sin(2 * np.pi * 60 * t) * np.exp(-t / 0.03)
    for k, when in enumerate(times):
        i = round(float(when) * sr)
        y[i : i + len(t)] += burst
        if accents and k % accents == 0:
            y[i : i + len(t)] += thump
    return (0.3 * y[: int(seconds * sr)]).astype(np.float32)


def chord(pitches: list[int], *, seconds: float, sr: int = SR, cents: float = 0.0) -> np.ndarray:
    """MIDI `pitches` together, four partials each, decaying slowly."""
    t = np.arange(int(seconds * sr)) / sr
    hz = [440 * 2 ** ((p - 69 + cents / 100) / 12) for p in pitches]
    y = sum(np.sin(2 * np.pi * f * k * t) / k**1.5 for f in hz for k in range(1, 5))
    return np.asarray(y * np.exp(-t / 1.0) * np.minimum(1, t / 0.005) * np.clip(
        (seconds - t) / 0.01, 0, 1
    ) * 0.05)  # fmt: skip


def song(
    *,
    tempo: float,
    seconds: float = 24.0,
    start: float = 0.4,
    tonic: int = 0,
    meter: int = 4,
    cents: float = 0.0,
    sr: int = SR,
    silence: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chords I IV V I, one a bar, over bass and drums; y [samples], beats, downbeats.

    The first downbeat is at `start`; nothing sounds before it, nor in the first `silence` s.
    """
    beat = 60 / tempo
    beats = np.arange(start, seconds - 0.1, beat)
    y = np.zeros(int(seconds * sr) + 4 * sr)
    for bar, when in enumerate(beats[::meter]):
        root = 60 + tonic + (0, 5, 7, 0)[bar % 4]
        length = min(meter * beat, seconds - when)
        i = round(when * sr)
        for part in (chord([root, root + 4, root + 7], seconds=length, sr=sr, cents=cents),
                     3 * chord([root - 24], seconds=length, sr=sr, cents=cents)):  # fmt: skip
            y[i : i + len(part)] += part
    y = y[: int(seconds * sr)]
    y += clicks(beats, seconds=seconds, sr=sr, accents=meter)
    y[: int(silence * sr)] = 0
    return y.astype(np.float32), beats, beats[::meter]


@pytest.fixture(scope="session")
def make_clicks():
    return clicks


@pytest.fixture(scope="session")
def make_song():
    return song
