"""Pairs of made-up songs whose beats, bars, key and tuning are known.

Each song has chords, bass, drums, a trio of steady tones to read the pitch shift from, and
band-limited clicks on its beats to read the time from. Everything else is drawn: tempo, key,
chord rhythm, patterns, timbres, swing, loudness, how the song begins.
"""

import dataclasses

import numpy as np
from scipy import signal

SR = 44100
# Quarter tones, so that no note's partial lies within 30 cents of them.
TRIOS = ((2154.3, 2876.0, 3623.1), (2418.1, 3228.0, 4066.9))
CLICK_BANDS = ((7400.0, 8600.0), (12400.0, 14000.0))
MAJOR = np.array([0, 2, 4, 5, 7, 9, 11])
MINOR = np.array([0, 2, 3, 5, 7, 8, 10])
PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 4), (1, 4, 0, 0), (0, 3, 0, 4), (5, 3, 0, 4),
              (0, 2, 3, 4), (0, 4, 5, 2, 3, 0, 3, 4), (0, 0, 3, 3, 4, 3, 0, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 6), (0, 5, 3, 4), (0, 2, 6, 3), (0, 0, 5, 6),
              (0, 3, 6, 2, 5, 3, 4, 0)),
}  # fmt: skip
KICKS = ((0, 4, 8, 12), (0, 8), (0, 8, 10), (0, 6, 8), (0, 7, 10), (0, 10), (0, 3, 8, 11), (0,))
BASSES = ((0,), (0, 8), (0, 4, 8, 12), (0, 2, 4, 6, 8, 10, 12, 14), (0, 6, 8, 14), (0, 6, 12),
          (2, 6, 10, 14), (0, 3, 6, 8, 11, 14))  # fmt: skip
CHORDS = ((0,), (0, 8), (0, 4, 8, 12), (4, 12), (2, 6, 10, 14), (0, 6, 12), (0, 3, 6, 10),
          tuple(range(0, 16, 2)))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Song:
    """y [channels, samples] at `SR`; times in seconds; tonic 0..11 (C = 0)."""

    y: np.ndarray
    tempo_bpm: float
    beats: np.ndarray
    downbeats: np.ndarray
    tonic: int
    mode: str
    tuning_cents: float
    trio: tuple[float, ...]
    click_band: tuple[float, float]
    recipe: dict

    @property
    def scale(self) -> set[int]:
        steps = MAJOR if self.mode == "major" else MINOR
        return {int(p) for p in (steps + self.tonic) % 12}


def pair(seed: int, *, detune: bool = True) -> tuple[Song, Song]:
    """The pair of songs number `seed`; `detune`: a third of the songs are up to 40 cents off."""
    rng = np.random.default_rng(seed)
    tempo = rng.uniform(84, 132)
    second = tempo * rng.uniform(0.9, 1.1)
    if rng.random() < 0.4:
        second = tempo * rng.choice([0.5, 2.0]) * rng.uniform(0.95, 1.05)
    mono = int(rng.integers(2))
    songs = tuple(
        song(rng, tempo=t, which=i, channels=1 if i == mono else 2, detune=detune)
        for i, t in enumerate((tempo, second))
    )
    return songs[0], songs[1]


def song(
    rng: np.random.Generator, *, tempo: float, which: int = 0, channels: int = 2,
    detune: bool = False, seconds: float | None = None, beats_per_bar: int = 4,
) -> Song:  # fmt: skip
    """Draw one song at `tempo` BPM; `which` chooses the trio and the band of the clicks."""
    length = float(rng.uniform(30, 60)) if seconds is None else seconds
    mode = str(rng.choice(["major", "minor"]))
    tonic = int(rng.integers(12))
    cents = float(rng.uniform(-40, 40)) if detune and rng.random() < 1 / 3 else 0.0
    start = float(rng.uniform(0, 1.5))
    beat = 60.0 / tempo
    first = int(np.ceil(-start / beat))
    count = int((length - 0.3 - start) / beat)
    beats = start + beat * np.arange(first, count)
    downbeats = start + beat * beats_per_bar * np.arange(0, (count - 1) // beats_per_bar + 1)

    recipe = {
        "progression": PROGRESSIONS[mode][rng.integers(len(PROGRESSIONS[mode]))],
        "beats_per_chord": float(
            rng.choice([beats_per_bar / 2, beats_per_bar, 2 * beats_per_bar], p=[0.2, 0.6, 0.2])
        ),
        "kick": KICKS[rng.integers(len(KICKS))],
        "bass": BASSES[rng.integers(len(BASSES))],
        "chords": CHORDS[rng.integers(len(CHORDS))],
        "swing": float(rng.choice([0.0, 0.0, rng.uniform(0.05, 0.33)])),
        "hat": int(rng.choice([0, 2, 4, 1])),
        "snare": bool(rng.random() < 0.5),
        "begin": str(rng.choice(["silence", "pickup", "running", "hat"])),
        "timbre": str(rng.choice(["saw", "square", "organ", "sine", "pluck"])),
        "attack": float(rng.choice([0.002, 0.01, 0.03])),
        "sevenths": bool(rng.random() < 0.3),
        "click_db": float(rng.uniform(-34, -14)),
        "trio_db": float(rng.uniform(-40, -24)),
        "gain_db": float(rng.uniform(-18, 0)),
    }
    n = int(length * SR)
    hz = 440.0 * 2 ** (cents / 1200)
    stems = {name: np.zeros(n + 4 * SR) for name in ("chords", "bass", "drums", "click")}
    steps = MAJOR if mode == "major" else MINOR
    pitches = [tonic + int(s) for s in steps]

    def at(sixteenth: float, base: float) -> float:
        eighth, odd = divmod(sixteenth, 2)
        late = recipe["swing"] * 0.5 * beat if eighth % 2 == 1 else 0.0
        return base + (sixteenth / 4) * beat + late * (1 if odd == 0 else 0.5)

    def add(stem: str, t: float, sound: np.ndarray, gain: float) -> None:
        i = round(t * SR)
        if 0 <= i < n:
            stems[stem][i : i + len(sound)] += gain * sound

    kick, snare, hat = _kick(rng), _snare(rng), _hat(rng)
    bars_first = int(np.floor(first / beats_per_bar))
    per_bar = beats_per_bar * 4
    voicing = rng.integers(0, 2, size=4) * 12
    octave = int(rng.choice([48, 60]))
    bank: dict = {}

    def note(stem: str, midi: int, seconds_: float) -> np.ndarray:
        k = (stem, midi, round(seconds_, 4))
        if k not in bank:
            f = hz * 2 ** ((midi - 69) / 12)
            kind = recipe["timbre"] if stem == "chords" else "bass"
            bank[k] = _note(f, seconds_, kind=kind, attack=recipe["attack"])
        return bank[k]

    for bar in range(bars_first, len(downbeats)):
        base = start + bar * beats_per_bar * beat
        opening = bar < 0
        drums_on = not opening or recipe["begin"] in ("running", "pickup")
        for s in range(per_bar):
            t = at(s, base)
            if t < 0 or t > start + (count - 1) * beat + 0.01:
                continue
            kick_on = recipe["begin"] == "running" or not opening
            if kick_on and s % per_bar in recipe["kick"]:
                add("drums", t, kick, 0.9)
            if recipe["snare"] and s % 8 == 4 and drums_on:
                add("drums", t, snare, 0.35)
            if (
                recipe["hat"]
                and s % recipe["hat"] == 0
                and (not opening or recipe["begin"] in ("running", "hat", "pickup"))
            ):
                add("drums", t, hat, 0.12 * (1.3 if s % 4 == 0 else 1.0))
            if opening and recipe["begin"] != "running":
                continue
            place = (bar * beats_per_bar + s / 4) / recipe["beats_per_chord"]
            prog = recipe["progression"]
            degree = prog[int(np.floor(place)) % len(prog)]
            onset_of_chord = abs(place - round(place)) < 1e-9
            if s in recipe["bass"] or (onset_of_chord and rng.random() < 0.5):
                fifth = rng.random() < 0.2 and not onset_of_chord
                p = pitches[(degree + (4 if fifth else 0)) % 7] % 12
                gap = _gap(s, recipe["bass"], per_bar) * beat / 4
                add("bass", t, note("bass", 36 + p - (12 if p > 7 else 0), gap), 0.5)
            if s in recipe["chords"] or onset_of_chord:
                left = recipe["beats_per_chord"] * 4 * (1 - (place % 1))
                gap = min(_gap(s, recipe["chords"], per_bar), left) * beat / 4
                for k in range(4 if recipe["sevenths"] else 3):
                    p = pitches[(degree + 2 * k) % 7] % 12
                    add("chords", t, note("chords", octave + p + int(voicing[k]), gap), 0.16)
    click = _click(CLICK_BANDS[which])
    for t in beats:
        add("click", t, click, 10 ** (recipe["click_db"] / 20))

    mono = sum(stems.values())[:n]
    time = np.arange(n) / SR
    fade = np.clip((time - start) / 0.01, 0, 1)
    trio = tuple(f * 2 ** (cents / 1200) for f in TRIOS[which])
    for f in trio:
        mono = mono + fade * 10 ** (recipe["trio_db"] / 20) * np.sin(2 * np.pi * f * time)
    mono *= 10 ** (recipe["gain_db"] / 20) / np.abs(mono).max()
    y = mono[None]
    if channels == 2:
        side = 10 ** (recipe["gain_db"] / 20) * 0.03 * stems["chords"][:n]
        y = np.stack([mono + side, mono - side])
    return Song(
        y=y.astype(np.float32), tempo_bpm=tempo, beats=beats, downbeats=downbeats, tonic=tonic,
        mode=mode, tuning_cents=cents, trio=trio, click_band=CLICK_BANDS[which], recipe=recipe,
    )  # fmt: skip


def _gap(s: int, pattern: tuple[int, ...], per_bar: int) -> int:
    return min((p - s) % per_bar or per_bar for p in pattern)


def _note(f: float, seconds: float, *, kind: str, attack: float) -> np.ndarray:
    t = np.arange(int(seconds * SR)) / SR
    if kind == "bass":
        amps = [1, 0.5, 0.25, 0.1]
    elif kind == "saw":
        amps = [1 / k for k in range(1, 13)]
    elif kind == "square":
        amps = [1 / k if k % 2 else 0 for k in range(1, 13)]
    elif kind == "organ":
        amps = [1, 0.8, 0.5, 0.4, 0, 0.2, 0, 0.2]
    elif kind == "pluck":
        amps = [1 / k**1.5 for k in range(1, 10)]
    else:
        amps = [1]
    y = sum(
        a * np.sin(2 * np.pi * f * (k + 1) * t + k) for k, a in enumerate(amps)
        if f * (k + 1) < 0.4 * SR
    )  # fmt: skip
    envelope = np.minimum(1, t / attack) * np.clip((seconds - t) / 0.02, 0, 1)
    if kind in ("pluck", "bass"):
        envelope = envelope * np.exp(-t / (0.4 if kind == "pluck" else 0.8))
    return y * envelope


def _kick(rng: np.random.Generator) -> np.ndarray:
    t = np.arange(int(0.25 * SR)) / SR
    low, high = rng.uniform(42, 60), rng.uniform(80, 180)
    f = low + high * np.exp(-t / 0.025)
    return np.sin(2 * np.pi * np.cumsum(f) / SR) * np.exp(-t / 0.09) * np.minimum(1, t / 0.002)


def _snare(rng: np.random.Generator) -> np.ndarray:
    t = np.arange(int(0.2 * SR)) / SR
    noise = rng.standard_normal(len(t))
    return (0.7 * noise + np.sin(2 * np.pi * 190 * t)) * np.exp(-t / 0.05)


def _hat(rng: np.random.Generator) -> np.ndarray:
    t = np.arange(int(0.06 * SR)) / SR
    noise = signal.sosfilt(
        signal.butter(4, 6000, "highpass", fs=SR, output="sos"), rng.standard_normal(len(t))
    )
    return noise * np.exp(-t / 0.015)


def _click(band: tuple[float, float]) -> np.ndarray:
    impulse = np.zeros(int(0.03 * SR))
    impulse[0] = 1
    y = signal.sosfilt(signal.butter(2, band, "bandpass", fs=SR, output="sos"), impulse)
    return y / np.abs(y).max()
