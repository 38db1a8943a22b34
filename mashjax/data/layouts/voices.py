"""Recorded voices that sing: a melody on the syllables of somebody's speech or song.

The vocoder WORLD (Morise et al., 2016) takes a recording apart into pitch, spectral envelope and
aperiodicity, 200 times a second. A syllable of the recording becomes a note: its consonants keep
their speed, its vowel is drawn out, and the pitch is the melody's. A vocal tract of another length,
drawn for each song, makes many singers of one voice.
"""

import dataclasses
import functools
import pathlib
import types
import warnings

import numpy as np
from scipy import ndimage, signal

from mashjax.audio import files
from mashjax.audio.midi import Note
from mashjax.audio.resample import resample, to_mono
from mashjax.data.layouts.performing import RATE, Performance, in_range, intonation, perform
from mashjax.data.layouts.singer import doubled, in_a_room
from mashjax.errors import UserError

LONGEST = 90.0
"""Seconds of a recording that are listened to."""

RANGE_HZ = 70.0, 900.0


@dataclasses.dataclass(frozen=True)
class Voice:
    """What WORLD found, RATE frames a second, and where syllables lie.

    log_envelope: nepers of power [frames, bins]; aperiodicity: 0..1 [frames, bins]; voiced:
    [frames]; pitch: its median, MIDI; syllables: frames [count, 4]: begin, vowel's begin, vowel's
    end, end.
    """

    log_envelope: np.ndarray
    aperiodicity: np.ndarray
    voiced: np.ndarray
    pitch: float
    syllables: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Singer:
    """Who a voice becomes.

    tract: its formants lie that much higher; above: semitones by which it sings above the pitch
    at which it speaks; darker: dB per octave.
    """

    tract: float
    above: float
    darker: float


def find_voices(folder: str | pathlib.Path) -> tuple[pathlib.Path, ...]:
    """Recordings of one voice each, sorted by name.

    Raises:
      UserError: the folder holds none, or pyworld is missing.
    """
    found = sorted(p for p in pathlib.Path(folder).glob("*") if p.suffix.lower() in files.ENDINGS)
    if not found:
        raise UserError(f"--voices={folder}: holds no recording (wav, flac, mp3, ogg)")
    world()
    return tuple(found)


def world() -> types.ModuleType:
    """The module pyworld. Raises UserError if it is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks pkg_resources, which announces its end every time
        try:
            import pyworld
        except ImportError as error:
            raise UserError("--voices needs pyworld: pip install 'mashjax[midi]'") from error
    return pyworld


def sing_with(
    path: pathlib.Path, notes: list[Note], *, seconds: float, sr: int, rng: np.random.Generator
) -> np.ndarray:
    """Sing `notes`, one at a time, in the octave that suits the voice recorded in `path`.

    Returns:
      float32 mono [round(seconds * sr)], peak below 1.

    Raises:
      UserError: the recording cannot be read, or has fewer than eight syllables.
    """
    voice, singer = listen(path, sr), _singer(rng)
    notes = in_range(notes, voice.pitch + singer.above)
    n = round(seconds * sr)
    takes = [_take(voice, notes, n, sr, rng, singer)[0] for _ in doubled(rng)]
    return in_a_room(np.sum(takes, axis=0), sr, rng)


def sing_freely_with(
    path: pathlib.Path, notes: list[Note], *, seconds: float, sr: int, rng: np.random.Generator
) -> tuple[np.ndarray, Performance, np.ndarray]:
    """Sing `notes` as people do, who take liberties (`perform`).

    Returns:
      The sound, as `sing_with` does, what was sung, and whether it is voiced, bool, RATE times a
      second.

    Raises:
      UserError: see `sing_with`.
    """
    voice, singer = listen(path, sr), _singer(rng)
    performance = perform(in_range(notes, voice.pitch + singer.above), seconds=seconds, rng=rng)
    n = round(seconds * sr)
    y, voiced = _take(voice, performance.syllables, n, sr, rng, singer, pitch=performance.pitch)
    return in_a_room(y, sr, rng), performance, voiced


def _singer(rng: np.random.Generator) -> _Singer:
    tract = float(np.exp(rng.uniform(-0.16, 0.16)))
    above = 24 * float(np.log2(tract)) + rng.uniform(0, 9)
    return _Singer(tract, above, darker=rng.uniform(-3, 3))


@functools.lru_cache(maxsize=64)
def listen(path: pathlib.Path, sr: int) -> Voice:
    """Take a recording apart. Raises UserError, see `sing_with`."""
    pyworld = world()
    clip = files.read(path)
    y = to_mono(clip.y)[: round(LONGEST * clip.sr)]
    y = resample(y[None], sr_in=clip.sr, sr_out=sr)[0].astype(np.float64)
    y = y / max(float(np.abs(y).max(initial=0)), 1e-9)
    y += 1e-5 * np.random.default_rng(0).standard_normal(len(y))  # digital silence has no envelope
    low, high = RANGE_HZ
    f0, times = pyworld.dio(y, sr, f0_floor=low, f0_ceil=high, frame_period=1000 / RATE)
    f0 = pyworld.stonemask(y, f0, times, sr)
    envelope = pyworld.cheaptrick(y, f0, times, sr)
    aperiodicity = pyworld.d4c(y, f0, times, sr)
    log_envelope = np.log(np.maximum(envelope, 1e-12))
    if clip.sr < sr:
        _extend(log_envelope, aperiodicity, clip.sr / sr)
    voiced = f0 > 0
    power = 10 * np.log10(envelope.sum(1) + 1e-12)
    syllables = _syllables(ndimage.gaussian_filter1d(power, 0.015 * RATE), voiced)
    if len(syllables) < 8:
        raise UserError(f"{path}: has {len(syllables)} syllables of a voice; needs 8")
    return Voice(
        log_envelope.astype(np.float32),
        aperiodicity.astype(np.float32),
        voiced,
        69 + 12 * float(np.log2(np.median(f0[voiced]) / 440)),
        syllables,
    )


def _extend(log_envelope: np.ndarray, aperiodicity: np.ndarray, share: float) -> None:
    """Fill what a recording of a lower rate does not have: breath, 12 dB per octave down."""
    bins = log_envelope.shape[1]
    edge = int(0.9 * share * bins)
    level = log_envelope[:, int(0.8 * edge) : edge].mean(1, keepdims=True)
    octaves = np.log2(np.arange(edge, bins) / edge)
    log_envelope[:, edge:] = level - 12 / 10 * np.log(10) * octaves
    aperiodicity[:, edge:] = 0.99


def _syllables(power: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Syllables around the peaks of a voice's power (dB), [count, 4]."""
    heard = np.where(voiced, power, power.min())
    loud = np.percentile(power[voiced], 90) if voiced.any() else 0.0
    nuclei, _ = signal.find_peaks(heard, height=loud - 18, prominence=3, distance=RATE // 12)
    found = []
    edges = [0, *nuclei, len(power) - 1]
    for before, nucleus, after in zip(edges[:-2], nuclei, edges[2:], strict=True):
        # Pauses are nobody's: a syllable begins and ends at most a quarter of a second away.
        first = max(before, nucleus - RATE // 4)
        last = min(after, nucleus + RATE // 4)
        begin = first + int(np.argmin(power[first : nucleus + 1]))
        end = nucleus + int(np.argmin(power[nucleus : last + 1]))
        vowel = np.flatnonzero((power[begin:end] > power[nucleus] - 4) & voiced[begin:end]) + begin
        if len(vowel) > RATE // 50:
            found.append((begin, vowel[0], vowel[-1], end))
    return np.array(found, int).reshape(-1, 4)


def _take(
    voice: Voice,
    notes: list[Note],
    n: int,
    sr: int,
    rng: np.random.Generator,
    singer: _Singer,
    *,
    pitch: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The sound, and whether it is voiced, RATE times a second.

    pitch: in MIDI numbers, RATE times a second; then every note is on time.
    """
    late = 0.0
    if pitch is None:
        late = rng.uniform(-0.01, 0.03)
        pitch = intonation(notes, n / sr, rng, late=late)
    at, gain = _words(voice, notes, len(pitch), rng, late=late)
    low = np.floor(at).astype(int)
    part = (at - low)[:, None].astype(np.float32)
    high = np.minimum(low + 1, len(voice.voiced) - 1)
    bins = np.arange(voice.log_envelope.shape[1])
    warped = np.minimum(bins / singer.tract, bins[-1])
    left = warped.astype(int)
    between = (warped - left).astype(np.float32)
    right = np.minimum(left + 1, bins[-1])

    def sung(frames: np.ndarray) -> np.ndarray:
        moved = frames[:, left] * (1 - between) + frames[:, right] * between
        return moved[low] * (1 - part) + moved[high] * part

    octaves = np.log2(np.maximum(bins, 4) / (1000 * 2 * bins[-1] / sr))
    level = 2 * np.log(np.maximum(gain, 1e-4))[:, None] - singer.darker / 10 * np.log(10) * octaves
    envelope = np.exp(sung(voice.log_envelope) + level)
    voiced = voice.voiced[low] & voice.voiced[high]
    f0 = np.where(voiced, 440 * 2 ** ((pitch - 69) / 12), 0.0)
    y = world().synthesize(
        f0,
        envelope.astype(np.float64),
        np.clip(sung(voice.aperiodicity), 1e-3, 1.0).astype(np.float64),
        sr,
        frame_period=1000 / RATE,
    )
    return np.pad(y, (0, max(0, n - len(y))))[:n], voiced & (gain > 0.05)


def _words(
    voice: Voice, notes: list[Note], frames: int, rng: np.random.Generator, *, late: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which frame of the recording is heard at each moment, and how loud (0..1), [frames] each."""
    times, places, loud = [-1.0], [0.0], np.zeros(frames)
    syllable = int(rng.integers(len(voice.syllables)))
    ends = [note.start for note in notes[1:]] + [notes[-1].end + 1.0]
    for note, following in zip(notes, ends, strict=True):
        # Mostly the next syllable of the same sentence: its sounds follow each other as spoken.
        step = 1 if rng.random() < 0.9 else int(rng.integers(len(voice.syllables)))
        syllable = (syllable + step) % len(voice.syllables)
        begin, vowel, coda, end = voice.syllables[syllable]
        start, stop = note.start + late, min(note.end, following) + late
        onset, tail = (vowel - begin) / RATE, (end - coda) / RATE
        first = max(start - onset, times[-1] + 0.01)
        out = max(stop - min(tail, 0.3 * (stop - start)), start + 0.02)
        times += [first, max(start, first + 0.005), max(out, first + 0.01), max(stop, first + 0.02)]
        places += [begin, vowel, coda, end]
        sounding = slice(max(round(first * RATE), 0), max(round(stop * RATE), 0))
        loud[sounding] = rng.uniform(0.6, 1.0) * (0.6 + 0.4 * note.velocity / 127)
    now = np.arange(frames) / RATE
    order = np.argsort(times, kind="stable")
    at = np.interp(now, np.array(times)[order], np.array(places, float)[order])
    return np.clip(at, 0, len(voice.voiced) - 1), ndimage.gaussian_filter1d(loud, 0.008 * RATE)
