"""Originals located in mashups of real songs whose truth is known.

    python tests/benchmarks/locate.py [--first=0] [--cases=10] [--songs=all|developed|held-out]

reads the folder named by MASHJAX_MUSIC (default ../shared/music). A case is two songs, each
with its own ratio (0.9 to 1.1), shift (-3 to 3 semitones), beginning and level (-3 to 3 dB),
20 to 90 s long where the songs are. The first gives the lead: its lead stems where it has
stems, else without its low end; the second backs it: without its lead stems or its high end.
In a third of the parts the song enters later. An original is found when its start is within
50 ms, its ratio within 0.2 %, its shift exact, and its time map within 50 ms wherever it says
that the original is heard. Two songs that are not in the mashup must be rejected.
"""

import argparse
import dataclasses
import functools
import os
import pathlib
import sys
import time

import numpy as np
import tempo
from scipy import signal

from mashjax.audio.resample import resample
from mashjax.audio.stretch import warp
from mashjax.music.locate import THRESHOLD, Location, locate
from mashjax.music.partials import SR

# Files of the song, and of its lead.
DEVELOPED = {
    "songs_vocal_NC/coulton_code_monkey/audio.ogg": None,
    "songs_vocal_NC/coulton_not_about_you/audio.mp3": None,
    "songs_vocal/hobbs_lets_go_fishin.ogg": None,
    "songs_vocal/woodward_crazy_glue_excerpt.wav": None,
    "instrumental/macleod_outfoxing.mp3": None,
    "instrumental/opensurge_sunshine.ogg": None,
    "instrumental/opensurge_sharp.ogg": None,
    "instrumental/opensurge_boss.ogg": None,
    "instrumental/opensurge_menu.ogg": None,
    "stems/mdn_multitrack/*.mp3": "stems/mdn_multitrack/[hl]*.mp3",
    "stems/waveform_playlist/*.mp3": "stems/waveform_playlist/Vocals30.mp3",
}
HELD_OUT = {
    "songs_vocal_NC/coulton_furry_old_lobster/audio.mp3": None,
    "songs_vocal_NC/coulton_mr_fancy_pants/audio.mp3": None,
    "songs_vocal/morin_on_the_run/audio.ogg": None,
    "songs_vocal/woodward_let_it_in_lofi.wav": None,
    "instrumental/macleod_vibe_ace.ogg": None,
    "instrumental/brahms_hungarian_dance5.ogg": None,
    "instrumental/openrct2_dodgems.flac": None,
    "instrumental/opensurge_template.ogg": None,
    "instrumental/opensurge_waterworks.ogg": None,
    "instrumental/opensurge_intro.ogg": None,
    "stems/slakh_Track00001/stems/*.flac": "stems/slakh_Track00001/stems/S0[02].flac",
}
SONGS = {"developed": DEVELOPED, "held-out": HELD_OUT, "all": DEVELOPED | HELD_OUT}


@dataclasses.dataclass(frozen=True)
class Part:
    song: str
    role: str
    ratio: float
    semitones: int
    start: float  # mashup seconds at which the song begins
    enter: float  # mashup seconds from which it is heard


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--songs", choices=SONGS, default="all")
    args = parser.parse_args()
    if not music().is_dir():
        print(f"no folder {music()}: set MASHJAX_MUSIC to the folder of real songs")
        return 2
    songs = SONGS[args.songs]
    found, rejected, took = [], [], 0.0
    for seed in range(args.first, args.first + args.cases):
        rng = np.random.default_rng(seed)
        mashup, parts = make(rng, songs)
        for part in parts:
            begin = time.process_time()
            at = locate(mashup, load(part.song), sr=SR, threshold=0)
            took += time.process_time() - begin
            found.append(report(seed, part, at, seconds=len(mashup) / SR))
        others = sorted(set(songs) - {part.song for part in parts})
        for song in rng.choice(others, 2, replace=False):
            at = locate(mashup, load(song), sr=SR, threshold=0)
            rejected.append(at.confidence < THRESHOLD)
            print(
                f"{'ok  ' if rejected[-1] else 'MISS'} {seed:4d} {name_of(song):22s} "
                f"is not in it   confidence {at.confidence:.3f}"
            )
    print(
        f"{sum(found)} of {len(found)} originals found, "
        f"{sum(rejected)} of {len(rejected)} wrong ones rejected, "
        f"{took / len(found):.1f} CPU seconds each"
    )
    return int(sum(found) < 0.9 * len(found) or sum(rejected) < 0.9 * len(rejected))


def report(seed: int, part: Part, at: Location, *, seconds: float) -> bool:
    heard = np.linspace(at.output_times[0], at.output_times[-1], 100)
    mapped = np.interp(heard, at.output_times, at.source_times)
    map_error = 1000 * np.abs(part.start + part.ratio * mapped - heard).max()
    start_error = 1000 * (at.start - part.start)
    ratio_error = 100 * (at.ratio / part.ratio - 1)
    ok = bool(
        at.confidence >= THRESHOLD
        and at.semitones == part.semitones
        and abs(ratio_error) <= 0.2
        and abs(start_error) <= 50
        and map_error <= 50
    )
    print(
        f"{'ok  ' if ok else 'MISS'} {seed:4d} {name_of(part.song):22s} {part.role:12s} "
        f"ratio {part.ratio:.3f} ({ratio_error:+.3f} %) "
        f"shift {part.semitones:+d} ({at.semitones - part.semitones:+d}) "
        f"start {part.start:8.2f} s ({start_error:+6.1f} ms) map {map_error:5.1f} ms "
        f"heard {at.output_times[0]:5.1f}-{at.output_times[-1]:5.1f} s "
        f"(truly {part.enter:.1f}-{seconds:.1f}) confidence {at.confidence:.3f}"
    )
    return ok


def make(
    rng: np.random.Generator, songs: dict[str, str | None]
) -> tuple[np.ndarray, tuple[Part, Part]]:
    """A mashup [samples] at `SR`, and what is in it."""
    names = [str(name) for name in rng.choice(sorted(songs), 2, replace=False)]
    ratios, shifts = rng.uniform(0.9, 1.1, 2), rng.integers(-3, 4, 2)
    lengths = [len(load(n)) / SR * r for n, r in zip(names, ratios, strict=True)]
    seconds = min(float(rng.uniform(20, 90)), 0.95 * min(lengths))
    total, parts = np.zeros(round(seconds * SR), np.float32), []
    for name, ratio, shift, role in zip(names, ratios, shifts, ("lead", "backing"), strict=True):
        y = load(name)
        begin = float(rng.uniform(0, len(y) / SR - seconds / ratio))
        lead = songs[name]
        if lead is not None:
            stem = np.pad(load(lead), (0, len(y)))[: len(y)]
            y, how = (stem if role == "lead" else y - stem), f"{role} stem"
        else:
            y, how = shelved(rng, y, role=role), role
        y = warp(
            y[None],
            sr=SR,
            source_times=begin + np.array([0, seconds / ratio]),
            output_times=np.array([0, seconds]),
            semitones=float(shift),
        )[0]
        enter = float(rng.uniform(0, seconds / 3)) if seconds > 35 and rng.random() < 1 / 3 else 0.0
        y[: round(enter * SR)] = 0
        total += 0.1 * 10 ** (rng.uniform(-3, 3) / 20) * y / np.sqrt(np.mean(y**2))
        parts.append(Part(name, how, float(ratio), int(shift), -begin * float(ratio), enter))
    return total, (parts[0], parts[1])


def shelved(rng: np.random.Generator, y: np.ndarray, *, role: str) -> np.ndarray:
    """`y` with 6 to 15 dB less of its low end (a lead) or its high end (a backing)."""
    kind, hz = ("lowpass", (200, 500)) if role == "lead" else ("highpass", (1500, 4000))
    sos = signal.butter(2, rng.uniform(*hz), kind, fs=SR, output="sos")
    gain = 10 ** (-rng.uniform(6, 15) / 20)
    return np.asarray(y + (gain - 1) * signal.sosfilt(sos, y), np.float32)


@functools.cache
def load(pattern: str) -> np.ndarray:
    y, sr = tempo.load(music(), pattern)
    return resample(y, sr_in=sr, sr_out=SR)


def music() -> pathlib.Path:
    return pathlib.Path(os.environ.get("MASHJAX_MUSIC", "../shared/music"))


def name_of(pattern: str) -> str:
    """The folder's or the file's name, without what every name has."""
    path = pathlib.PurePath(pattern)
    generic = path.stem in ("audio", "*")
    return next(p for p in reversed(path.parts[:-1]) if p != "stems") if generic else path.stem


if __name__ == "__main__":
    sys.exit(main())
