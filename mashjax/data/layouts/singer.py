"""A formant singer: sings a melody on changing vowels, so that leads resemble voices.

Source and filter (Fant, 1960): a glottal pulse train and breath noise go through
five moving resonances. Every singer, drawn from `rng`, has a vocal tract, a
timbre and a room, which the recorded voices of `voices.py` sing in, too.
"""

import dataclasses

import numpy as np
from scipy import fft, ndimage, signal

from mashjax.audio.midi import Note
from mashjax.data.layouts.performing import (
    RATE,
    Performance,
    drift,
    in_range,
    intonation,
    perform,
    span,
)

N_FFT, HOP = 1024, 256
TABLE = 2048
# Formants in Hz of a male tract (Peterson & Barney, 1952, for the first three).
VOWELS = np.array(
    [
        [730, 1090, 2440, 3400, 4300],  # father
        [530, 1840, 2480, 3500, 4300],  # bed
        [270, 2290, 3010, 3600, 4400],  # see
        [570, 840, 2410, 3300, 4200],  # law
        [300, 870, 2240, 3300, 4200],  # who
        [490, 1350, 1690, 3200, 4200],  # bird
        [660, 1720, 2410, 3400, 4300],  # cat
        [640, 1190, 2390, 3300, 4200],  # but
    ],
    np.float64,
)
UPPER = np.array([5300.0, 6400.0, 7500.0, 8600.0, 9700.0])
BANDWIDTHS = np.array([80.0, 90.0, 120.0, 180.0, 250.0, 400.0, 500.0, 600.0, 700.0, 800.0])
NASAL = np.array([250.0, 1100.0, 2300.0, 3300.0, 4200.0])


@dataclasses.dataclass(frozen=True)
class _Curves:
    """What a performance is, RATE times a second: Hz, gains 0..1, formants [.., 5] in Hz."""

    pitch: np.ndarray
    voiced: np.ndarray
    fricative: np.ndarray
    breath: np.ndarray
    formants: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Singer:
    """tract: 1 is a man's, women's and children's are shorter; comfortable: a pitch (MIDI)."""

    tract: float
    comfortable: float
    tilt: float
    airy: float


def sing(notes: list[Note], *, seconds: float, sr: int, rng: np.random.Generator) -> np.ndarray:
    """Sing `notes`, one at a time, in the octave that suits the singer.

    Returns:
      float32 mono [round(seconds * sr)], peak below 1.
    """
    n, singer = round(seconds * sr), _singer(rng)
    notes = in_range(notes, singer.comfortable)
    takes = [_take(notes, n, sr, rng, singer)[0] for _ in doubled(rng)]
    return in_a_room(np.sum(takes, axis=0), sr, rng)


def sing_freely(
    notes: list[Note], *, seconds: float, sr: int, rng: np.random.Generator
) -> tuple[np.ndarray, Performance, np.ndarray]:
    """Sing `notes` as people do, who take liberties (`perform`).

    Returns:
      The sound, as `sing` does, what was sung, and whether it is voiced, bool, RATE times a second.
    """
    singer = _singer(rng)
    performance = perform(in_range(notes, singer.comfortable), seconds=seconds, rng=rng)
    y, voiced = _take(
        performance.syllables, round(seconds * sr), sr, rng, singer, pitch=performance.pitch
    )
    return in_a_room(y, sr, rng), performance, voiced


def _singer(rng: np.random.Generator) -> _Singer:
    tract = rng.uniform(0.9, 1.28)
    comfortable = 54 + 40 * (tract - 0.9) + rng.uniform(-3, 3)
    return _Singer(tract, comfortable, rng.uniform(0.6, 1.4), 10 ** rng.uniform(-3.0, -1.8))


def doubled(rng: np.random.Generator) -> range:
    """One take, or now and then two of them that are heard together."""
    return range(2 if rng.random() < 0.25 else 1)


def in_a_room(y: np.ndarray, sr: int, rng: np.random.Generator) -> np.ndarray:
    """A voice [samples] with reverberation, float32 with a peak of 0.9."""
    y = _room(y, sr, rng)
    return (0.9 * y / max(np.abs(y).max(), 1e-9)).astype(np.float32)


def _take(notes, n, sr, rng, singer, *, pitch=None) -> tuple[np.ndarray, np.ndarray]:
    """The sound, and whether it is voiced, RATE times a second; pitch: see `_perform`."""
    c = _perform(notes, n / sr, rng, pitch)
    at = np.arange(n) * (RATE / sr)

    def fine(curve: np.ndarray) -> np.ndarray:
        return np.interp(at, np.arange(len(curve)), curve)

    voiced, noise = fine(c.voiced), rng.standard_normal(n)
    hiss = signal.lfilter([1, -0.9], [1], noise)
    y = _glottis(fine(c.pitch), sr, tilt=singer.tilt) * voiced + singer.airy * hiss * voiced
    upper = np.tile(UPPER, (len(c.formants), 1))
    y = _filter(y, np.hstack([c.formants, upper]) * singer.tract, sr)
    y /= max(np.abs(y).max(), 1e-9)
    edges = np.array([rng.uniform(2500, 4500), 0.43 * sr])
    band = signal.butter(2, edges, "bandpass", fs=sr, output="sos")
    y += rng.uniform(0.01, 0.05) * signal.sosfilt(band, noise) * fine(c.fricative)
    return y + 0.008 * hiss * fine(c.breath), c.voiced > 0.15


def _perform(notes, seconds, rng, pitch) -> _Curves:
    """Loudness, consonants and vowels of one take, and its pitch, if it has none yet.

    pitch: MIDI numbers, RATE times a second; then every note begins with its voice, on time.
    """
    n = int(seconds * RATE) + 2
    voiced, fricative, breath = np.zeros((3, n))
    formants = np.tile(VOWELS[0], (n, 1))
    late = rng.uniform(-0.01, 0.02) if pitch is None else 0.0
    for i, note in enumerate(notes):
        following = notes[i + 1].start if i + 1 < len(notes) else note.end + 1.0
        start, end = note.start, min(note.end, following)
        voiced[span(start, end, late)] = rng.uniform(0.55, 1.0) * (0.6 + 0.4 * note.velocity / 127)
        vowels = VOWELS[rng.integers(len(VOWELS), size=2)] * rng.uniform(0.95, 1.05)
        turn = start + (end - start) * rng.uniform(0.4, 1.0)
        formants[span(start, turn, late)] = vowels[0]
        formants[span(turn, following, late)] = vowels[1]
        length = rng.uniform(0.04, 0.11)
        before = late if pitch is None else -length / 2  # of the consonant
        onset = span(start - length / 2, start + length / 2, before)
        consonant = rng.choice(["none", "fricative", "plosive", "nasal"], p=[0.3, 0.25, 0.2, 0.25])
        if consonant == "fricative":
            voiced[onset] = 0
            fricative[onset] = rng.uniform(0.3, 1.0)
        elif consonant == "plosive":
            voiced[span(start - length / 2, start + length / 4, before)] = 0
            fricative[span(start, start + 0.012, before)] = rng.uniform(0.5, 1.5)
        elif consonant == "nasal":
            formants[span(start, start + length, late)] = NASAL
            voiced[span(start, start + length, late)] *= 0.4
        if following - end > 0.7 and rng.random() < 0.6:
            breath[span(following - 0.45, following - 0.1, late)] = 1.0
        elif following - end < 0.12 and consonant in ("none", "nasal"):
            voiced[span(end, following, late)] = 0.5
    voiced *= 1 + 0.08 * drift(n, rng, seconds=0.05)
    if pitch is None:
        pitch = intonation(notes, seconds, rng, late=late)
    return _Curves(
        pitch=440 * 2 ** ((pitch - 69) / 12),
        voiced=ndimage.gaussian_filter1d(voiced, 0.012 * RATE),
        fricative=ndimage.uniform_filter1d(fricative, 3),
        breath=ndimage.gaussian_filter1d(breath, 0.05 * RATE),
        formants=ndimage.gaussian_filter1d(formants, 0.025 * RATE, axis=0),
    )


def _glottis(pitch: np.ndarray, sr: int, *, tilt: float) -> np.ndarray:
    """Pulse train whose harmonics fall as k**-tilt and end below the Nyquist frequency."""
    # A table per third of an octave: its number of harmonics suits the third's upper end.
    thirds = np.clip(np.floor(3 * np.log2(pitch / 55)).astype(int), 0, 14)
    turn = 2 * np.pi * np.arange(TABLE) / TABLE
    harmonics = [int(sr / 2 / (55 * 2 ** ((o + 1) / 3))) for o in range(15)]
    tables = np.stack(
        [sum(k**-tilt * np.cos(k * turn) for k in range(1, n + 1)) for n in harmonics]
    )
    phase = np.cumsum(pitch / sr) % 1.0 * TABLE
    low = phase.astype(int)
    part = phase - low
    return (1 - part) * tables[thirds, low] + part * tables[thirds, (low + 1) % TABLE]


def _filter(y: np.ndarray, formants: np.ndarray, sr: int) -> np.ndarray:
    """`y` [n] through resonances that move: `formants` [n / sr * RATE, 10] in Hz."""
    window = np.sqrt(signal.windows.hann(N_FFT, sym=False)).astype(np.float32)
    padded = np.pad(y.astype(np.float32), (N_FFT, 2 * N_FFT))
    views = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    out = np.zeros(len(padded) + N_FFT, np.float32)
    z = np.exp(-2j * np.pi * np.arange(N_FFT // 2 + 1) / N_FFT).astype(np.complex64)
    for first in range(0, len(views), 1024):
        block = fft.rfft(views[first : first + 1024] * window)
        # View i is centred on sample i * HOP - N_FFT / 2 of `y`.
        times = (np.arange(first, first + len(block)) * HOP - N_FFT / 2) / sr
        frames = np.clip(np.round(times * RATE).astype(int), 0, len(formants) - 1)
        f = formants[frames].astype(np.float32)
        for k, bandwidth in enumerate(BANDWIDTHS):
            r = np.exp(-np.pi * bandwidth / sr)
            if f[:, k].max() > 0.47 * sr:
                continue
            b = (-2 * r * np.cos(2 * np.pi * f[:, k] / sr))[:, None]
            block *= (1 + b + r**2) / (1 + b * z + r**2 * z**2)
        pieces = fft.irfft(block, N_FFT) * window
        for i, piece in enumerate(pieces, first):
            out[i * HOP : i * HOP + N_FFT] += piece
    return out[N_FFT : N_FFT + len(y)] * 2 * HOP / N_FFT


def _room(y: np.ndarray, sr: int, rng: np.random.Generator) -> np.ndarray:
    """Reverberation by decaying noise, from nearly none to a hall."""
    decay = rng.uniform(0.2, 1.5)
    t = np.arange(int(decay * sr)) / sr
    response = rng.standard_normal(len(t)) * 10 ** (-3 * t / decay)
    response *= 10 ** rng.uniform(-2.0, -0.6) / np.sqrt((response**2).sum())
    return y + signal.oaconvolve(y, response)[: len(y)]
