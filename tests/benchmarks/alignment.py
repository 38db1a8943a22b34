"""Alignment of made-up pairs whose truth is known.

    python tests/benchmarks/alignment.py [--first=0] [--pairs=20] [--render]

Without --render the beats are followed through the time maps; with it both songs are warped
and their clicks and tones are read back from the sound, which measures the stretcher too.
A pair holds when the beats of both songs coincide within 15 ms (median) and 30 ms (95 %),
their downbeats within 70 ms, their pitches differ by a whole number of semitones within
5 cents, and their scales share at least 6 of 7 notes.
"""

import argparse
import dataclasses
import sys
import time

import numpy as np
import pairs
from scipy import signal

from mashjax.music.alignment import Alignment, align
from mashjax.music.analysis import analyse


@dataclasses.dataclass(frozen=True)
class Measured:
    beats_median_ms: float
    beats_95_ms: float
    downbeats_ms: float
    shift_cents: float  # from a whole number of semitones, both songs against each other
    shared_notes: int
    seconds: float
    overlap: float  # of the shorter song

    @property
    def holds(self) -> bool:
        return bool(
            self.beats_median_ms <= 15
            and self.beats_95_ms <= 30
            and self.downbeats_ms <= 70
            and abs(self.shift_cents) <= 5
            and self.shared_notes >= 6
        )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--render", action="store_true")
    args = parser.parse_args()
    held = 0
    for seed in range(args.first, args.first + args.pairs):
        songs = pairs.pair(seed)
        begin = time.perf_counter()
        found = align(*(analyse(s.y.mean(axis=0), sr=pairs.SR) for s in songs))
        took = time.perf_counter() - begin
        m = measure(songs, found, render=args.render)
        held += m.holds
        print(
            f"{'ok  ' if m.holds else 'MISS'} {seed:4d} beats {m.beats_median_ms:5.1f} ms "
            f"({m.beats_95_ms:6.1f}) downbeats {m.downbeats_ms:6.1f} ms shift "
            f"{found.shift_semitones[0]:+.2f} {found.shift_semitones[1]:+.2f} "
            f"({m.shift_cents:+.1f} cents) {m.shared_notes} of 7 notes, {m.seconds:.0f} s "
            f"({100 * m.overlap:.0f} %) in {took:.2f} s: {found.why}"
        )
    print(f"{held} of {args.pairs} pairs hold")
    return int(held < 0.95 * args.pairs)


def measure(songs: tuple[pairs.Song, pairs.Song], found: Alignment, *, render: bool) -> Measured:
    beats, downbeats, pitch = [], [], []
    for song, time_map, shift in zip(songs, found.time_maps, found.shift_semitones, strict=True):
        beat_times = _through(song.beats, time_map)
        bar_times = _through(song.downbeats, time_map)
        actual = shift
        if render:
            y = _warp(song.y, time_map, semitones=shift)
            beat_times = _clicks(y, beat_times, band=song.click_band, semitones=shift)
            actual = _shift(y, song.trio, semitones=shift)
        beats.append(beat_times)
        downbeats.append(bar_times)
        pitch.append(actual + song.tuning_cents / 100)
    errors = 1000 * _between(*beats)
    bar_errors = 1000 * _between(*downbeats)
    relative = pitch[0] - pitch[1]
    whole = round(relative)
    moved = {(p + whole) % 12 for p in songs[0].scale}
    return Measured(
        beats_median_ms=float(np.median(errors)),
        beats_95_ms=float(np.quantile(errors, 0.95)),
        downbeats_ms=float(np.quantile(bar_errors, 0.95)),
        shift_cents=100 * (relative - whole),
        shared_notes=len(moved & songs[1].scale),
        seconds=found.seconds,
        overlap=found.seconds / min(s.y.shape[1] / pairs.SR for s in songs),
    )


def _through(times: np.ndarray, time_map: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    source, output = time_map
    inside = (times >= source[0] - 0.02) & (times <= source[-1])
    slope = (output[-1] - output[0]) / (source[-1] - source[0])
    early = output[0] + (times - source[0]) * slope
    return np.where(times < source[0], early, np.interp(times, source, output))[inside]


def _between(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distances from the song with fewer marks to the other's nearest ones, [marks]."""
    few, many = (x, y) if len(x) <= len(y) else (y, x)
    few = few[(few >= many[0] - 0.1) & (few <= many[-1] + 0.1)]
    if len(few) == 0:
        return np.array([np.inf])
    return np.abs(few[:, None] - many[None, :]).min(axis=1)


def _warp(
    y: np.ndarray, time_map: tuple[np.ndarray, np.ndarray], *, semitones: float
) -> np.ndarray:
    from mashjax.audio.stretch import warp

    source, output = time_map
    return warp(y, sr=pairs.SR, source_times=source, output_times=output, semitones=semitones).mean(
        axis=0
    )


def _clicks(
    y: np.ndarray, expected: np.ndarray, *, band: tuple[float, float], semitones: float
) -> np.ndarray:
    """When the clicks near `expected` sound in `y`, by their envelope's peak."""
    up = 2 ** (semitones / 12)
    edges = (band[0] * up, min(band[1] * up, 0.49 * pairs.SR))
    sos = signal.butter(4, edges, "bandpass", fs=pairs.SR, output="sos")
    envelope = np.abs(signal.hilbert(signal.sosfiltfilt(sos, y)))
    reach = int(0.03 * pairs.SR)
    out = []
    for t in expected:
        i = round(t * pairs.SR)
        cut = envelope[max(0, i - reach) : i + reach]
        if len(cut):
            out.append((max(0, i - reach) + int(cut.argmax())) / pairs.SR)
    return np.array(out)


def _shift(y: np.ndarray, trio: tuple[float, ...], *, semitones: float) -> float:
    """Semitones from `trio` to the tones in `y`, near the shift that is claimed."""
    n = min(len(y), 1 << 19)
    spectrum = np.abs(np.fft.rfft(y[:n] * np.hanning(n), 2 * n))
    step = pairs.SR / (2 * n)
    found = []
    for f in trio:
        centre = f * 2 ** (semitones / 12)
        low, high = (int(centre * 2 ** (c / 1200) / step) for c in (-30, 30))
        i = low + int(spectrum[low:high].argmax())
        found.append(12 * np.log2(i * step / f))
    return float(np.median(found))


if __name__ == "__main__":
    sys.exit(main())
