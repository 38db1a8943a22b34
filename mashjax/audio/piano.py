"""A small additive piano: notes to sound, with nothing to download.

What makes a sum of sines a piano (Fletcher & Rossing, The Physics of Musical Instruments, chapter
12): partials stretched by the strings' stiffness; a spectrum with gaps where the hammer strikes,
brighter when struck harder; a decay in two stages, since the strings of a note first move together
and then against each other; the hammer's knock, and dampers.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np
from scipy import signal

from mashjax.audio.midi import Note

LOWEST, HIGHEST = 21, 108  # MIDI numbers of the keyboard's ends
PARTIALS = 40
TOP_HZ = 11000.0
STRUCK = 1 / 8  # of the string's length, where the hammer falls
UNDAMPED = 90  # from this MIDI number on strings have no dampers
DAMPED_SECONDS = 0.07  # in which a damper brings a string down to 1/e
LONGEST = 12.0  # seconds that a string sounds at most
ROOM_SECONDS = 0.9  # until the room's sound is down to 1/1000
ROOM = 0.11  # of it in the mix
_STEP = 256  # samples: a tone is a product of what happens within and between its steps


def play(notes: Iterable[Note], *, samples: int, sr: int) -> np.ndarray:
    """Play `notes`, float32 [2, samples]: left and right, at `sr` Hz.

    Low notes are left, high ones right. Notes off the keyboard are moved into it by octaves. What
    would sound on after the end is cut. The level follows the velocities; it is not normalised.
    """
    dry = np.zeros((2, samples), np.float32)
    for note in notes:
        start = round(note.start * sr)
        if start >= samples:
            continue
        tone = _tone(_on_keyboard(note), sr=sr)[: samples - start]
        right = 0.3 + 0.4 * (_on_keyboard(note).pitch - LOWEST) / (HIGHEST - LOWEST)
        sides = np.sqrt(np.array([[1 - right], [right]], np.float32))
        dry[:, start : start + len(tone)] += sides * tone
    if not dry.any():
        return dry
    wet = signal.oaconvolve(dry, _room(sr), axes=1)[:, :samples]
    return dry + np.float32(ROOM) * wet.astype(np.float32)


def _on_keyboard(note: Note) -> Note:
    over, under = max(0, note.pitch - HIGHEST), max(0, LOWEST - note.pitch)
    octaves = -(-under // 12) - -(-over // 12)
    return dataclasses.replace(note, pitch=note.pitch + 12 * octaves)


def _tone(note: Note, *, sr: int) -> np.ndarray:
    """One note with its release, float32 [samples]."""
    hz = 440 * 2 ** ((note.pitch - 69) / 12)
    hard = np.clip(note.velocity, 1, 127) / 127
    k = np.arange(1, PARTIALS + 1)
    # Strings are stiffest for their length at the top. Half of a grand's: more would be heard as
    # out of tune against a voice. The series is stretched from its first partial on, which stays.
    stiffness = 4e-5 * 2 ** (max(note.pitch - 45, 0) / 11)
    f = k * hz * np.sqrt((1 + stiffness * k**2) / (1 + stiffness))
    k, f = k[f < min(TOP_HZ, 0.45 * sr)], f[f < min(TOP_HZ, 0.45 * sr)]
    dull = (0.55 - 0.33 * hard) * (hz / 262) ** 0.35
    strength = np.abs(np.sin(np.pi * k * STRUCK)) / k**0.6 * np.exp(-dull * (k - 1))
    strength *= 0.35 * hard**1.4 / np.sqrt((strength**2).sum())
    slow = 9.0 * (110 / hz) ** 0.55 / (1 + 0.10 * (k - 1))  # seconds to 1/e
    fast = slow / 6
    undamped = note.pitch >= UNDAMPED
    held = min(note.end - note.start, LONGEST)
    seconds = min(held + (3 * slow[0] if undamped else 8 * DAMPED_SECONDS), LONGEST)
    n = max(1, round(seconds * sr))
    # The strings of a note are not quite in tune: half of it beats against the other, slowly.
    tone = _sines(f, 0.75 * strength, fast, n, sr)
    tone += _sines(1.0002 * f, 0.25 * strength, slow, n, sr)
    t = np.arange(n) / sr
    rise = 0.0015 + 0.004 * (1 - hard) * (262 / hz) ** 0.3  # seconds that felt and string touch
    tone *= -np.expm1(-((t / rise) ** 2))
    knock = np.random.default_rng(note.pitch).normal(size=min(n, round(0.08 * sr)))
    b, a = signal.butter(1, [0.01, min(0.9, 3000 * 2 / sr)], "bandpass")
    knock = signal.lfilter(b, a, knock) * np.exp(-t[: len(knock)] / 0.012)
    tone[: len(knock)] += 0.05 * hard**1.7 * knock
    if not undamped:
        tone *= np.exp(-np.maximum(t - held, 0) / DAMPED_SECONDS)
    fade = min(n, round(0.01 * sr))
    tone[n - fade :] *= np.linspace(1, 0, fade)
    return tone.astype(np.float32)


def _sines(f: np.ndarray, strength: np.ndarray, decay: np.ndarray, n: int, sr: int) -> np.ndarray:
    """Sum of sines of `f` Hz that fall to 1/e in `decay` seconds, float64 [n].

    exp(i w (a + b)) = exp(i w a) exp(i w b): with a the steps' starts and b the samples within one,
    all of it is one matrix product.
    """
    turn = (2j * np.pi * f - 1 / decay) / sr
    starts = np.exp(np.outer(np.arange(0, n, _STEP), turn)) * strength
    within = np.exp(np.outer(turn, np.arange(_STEP)))
    # The imaginary part: every partial begins at 0.
    product = starts.real @ within.imag + starts.imag @ within.real
    return product.reshape(-1)[:n]


def _room(sr: int) -> np.ndarray:
    """The room that answers, float32 [2, samples]: noise that dies away, darker than it came."""
    n = round(ROOM_SECONDS * sr)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2, n)) * 10 ** (-3 * np.arange(n) / n)
    b, a = signal.butter(1, min(0.9, 4000 * 2 / sr))
    noise = signal.lfilter(b, a, noise, axis=1)
    noise[:, : round(0.004 * sr)] = 0
    return (noise / np.sqrt((noise**2).sum(axis=1, keepdims=True))).astype(np.float32)
