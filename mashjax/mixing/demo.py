"""Two short songs of our own, so that a first run needs nothing but the package."""

import pathlib

import numpy as np

from mashjax.audio.files import write

SR = 44100
_MINOR = [57, 53, 48, 55]  # A minor, F, C, G: the roots of song 1, MIDI numbers
_MAJOR = [50, 57, 59, 55]  # D, A minor, B minor, G (the notes of G major): song 2
_TRIADS = {57: (0, 3, 7), 53: (0, 4, 7), 48: (0, 4, 7), 55: (0, 4, 7), 50: (0, 4, 7), 59: (0, 3, 7)}


def write_demo_songs(folder: pathlib.Path) -> list[pathlib.Path]:
    """Write both demo songs into `folder` and return their paths."""
    paths = [folder / f"demo song {number}.wav" for number in (1, 2)]
    for number, path in enumerate(paths, start=1):
        write(path, demo_song(number), sr=SR)
    return paths


def demo_song(number: int) -> np.ndarray:
    """Song 1: a sung line over a piano at 104 BPM. Song 2: a band at 110 BPM.

    Returns float32 [2, samples] at 44.1 kHz, about 30 s.
    """
    return demo_parts(number).sum(axis=0)


def demo_parts(number: int) -> np.ndarray:
    """Lead (the voice; song 2 has none) and backing of `demo_song`, float32 [2, 2, samples]."""
    rng = np.random.default_rng(number)
    parts = _song1(rng) if number == 1 else _song2(rng)
    return parts / np.abs(parts.sum(axis=0)).max() * np.float32(0.8)


def _song1(rng: np.random.Generator) -> np.ndarray:
    beat = 60 / 104
    lead, backing = parts = np.zeros((2, 2, round((48 * beat + 2) * SR)), np.float32)
    melody = [69, 72, 76, 74, 72, 69, 67, 72, 76, 79, 76, 74, 71, 74, 72, 69]
    for bar in range(12):
        _chord(backing, bar * 4 * beat, 4 * beat, _MINOR[bar % 4], _piano, 0.12, [0, 1, 2, 3])
        for k in range(4):
            if bar >= 2 and not (bar % 4 == 3 and k == 3):
                pitch = melody[(bar % 4) * 4 + k]
                _add(lead, (bar * 4 + k) * beat, _voice(pitch, beat * 0.95, rng), 0.0)
        _add(backing, bar * 4 * beat, _kick(), 0.0, 0.35)
    return parts


def _song2(rng: np.random.Generator) -> np.ndarray:
    beat = 60 / 110
    _, backing = parts = np.zeros((2, 2, round((52 * beat + 2) * SR)), np.float32)
    for bar in range(13):
        root = _MAJOR[bar % 4]
        _chord(backing, bar * 4 * beat, 4 * beat, root + 12, _saw, 0.03, [0, 1.5, 3])
        for k in range(4):
            at = (bar * 4 + k) * beat
            _add(backing, at, _kick(), 0.0, 0.6)
            _add(backing, at, _bass(root - 12, beat * 0.9), 0.0, 0.25)
            if k % 2:
                _add(backing, at, _noise(rng, 0.12, 0.2), 0.1)
            for half in (0, 0.5):
                _add(backing, at + half * beat, _noise(rng, 0.02, 0.06), -0.3)
    return parts


def _add(y: np.ndarray, at: float, tone: np.ndarray, pan: float, gain: float = 1.0) -> None:
    start = round(at * SR)
    tone = tone[: y.shape[1] - start]
    sides = np.array([[1 - pan], [1 + pan]], np.float32)
    y[:, start : start + len(tone)] += (sides * tone * gain).astype(np.float32)


def _chord(y, at, seconds, root, sound, gain, beats) -> None:
    for offset in beats:
        for k, interval in enumerate(_TRIADS[_plain(root)]):
            begin = at + offset * seconds / 4
            _add(y, begin, sound(root + interval, seconds / 4), 0.5 * (k - 1), gain)


def _plain(root: int) -> int:
    return root if root in _TRIADS else root - 12


def _time(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * SR)) / SR


def _hz(pitch: float) -> float:
    return 440 * 2 ** ((pitch - 69) / 12)


def _fade(tone: np.ndarray, seconds: float = 0.01) -> np.ndarray:
    n = min(round(seconds * SR), len(tone) // 2)
    tone[:n] *= np.linspace(0, 1, n)
    tone[len(tone) - n :] *= np.linspace(1, 0, n)
    return tone


def _piano(pitch: float, seconds: float) -> np.ndarray:
    t = _time(seconds * 1.5)
    k = np.arange(1, 8)[:, None]
    partials = np.sin(2 * np.pi * k * _hz(pitch) * t) * np.exp(-k * 2 * t) / k
    return _fade(partials.sum(axis=0), 0.005)


def _saw(pitch: float, seconds: float) -> np.ndarray:
    t = _time(seconds)
    k = np.arange(1, 12)[:, None]
    return _fade((np.sin(2 * np.pi * k * _hz(pitch) * t) / k).sum(axis=0))


def _bass(pitch: float, seconds: float) -> np.ndarray:
    t = _time(seconds)
    return _fade(
        (np.sin(2 * np.pi * _hz(pitch) * t) + 0.4 * np.sin(4 * np.pi * _hz(pitch) * t))
        * np.exp(-2 * t)
    )


def _kick() -> np.ndarray:
    t = _time(0.25)
    return np.sin(2 * np.pi * (50 * t + 4 * (1 - np.exp(-t * 40)))) * np.exp(-t * 18)


def _noise(rng: np.random.Generator, seconds: float, level: float) -> np.ndarray:
    t = _time(seconds * 3)
    return np.diff(rng.normal(size=len(t) + 1)) * np.exp(-t / (seconds / 3)) * level * 0.5


def _voice(pitch: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Harmonics with vibrato under the formants of a vowel (Peterson & Barney 1952, averages)."""
    t = _time(seconds)
    vowels = [(730, 1090, 2440), (530, 1840, 2480), (570, 840, 2410)]
    formants = vowels[rng.integers(len(vowels))]
    f0 = _hz(pitch) * 2 ** (0.3 / 12 * np.sin(2 * np.pi * 5.5 * t) * np.minimum(t / 0.2, 1))
    phase = 2 * np.pi * np.cumsum(f0) / SR
    tone = np.zeros(len(t))
    for k in range(1, 30):
        f = k * _hz(pitch)
        level = sum(1 / (1 + ((f - formant) / (60 + 0.06 * formant)) ** 2) for formant in formants)
        tone += level / k**0.5 * np.sin(k * phase)
    tone += 0.02 * rng.normal(size=len(t))
    return 0.25 * _fade(tone, 0.04)
