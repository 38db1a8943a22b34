"""Tempo of real songs against the tempo that their makers state.

    python tests/benchmarks/tempo.py

reads the folder named by MASHJAX_MUSIC (default ../shared/music). An octave (half, double)
is allowed; the tolerance is 2 %.
"""

import os
import pathlib
import sys
import time

import numpy as np
import soundfile
import soxr

from mashjax.music.analysis import analyse

SONGS = {
    "songs_vocal_NC/coulton_code_monkey/audio.ogg": 160,
    "songs_vocal_NC/coulton_not_about_you/audio.mp3": 150,
    "songs_vocal_NC/coulton_furry_old_lobster/audio.mp3": 100,
    "songs_vocal_NC/coulton_mr_fancy_pants/audio.mp3": 95,
    "instrumental/opensurge_speed.ogg": 200,
    "instrumental/opensurge_title.ogg": 180,
    "instrumental/opensurge_gameover.ogg": 160,
    "instrumental/sorohan_trumpet_F_90bpm.ogg": 90,
    "stems/mdn_multitrack/*.mp3": 75,
    "stems/slakh_Track00001/stems/*.flac": 80,
}


def main() -> int:
    folder = pathlib.Path(os.environ.get("MASHJAX_MUSIC", "../shared/music"))
    if not folder.is_dir():
        print(f"no folder {folder}: set MASHJAX_MUSIC to the folder of real songs")
        return 2
    missed = 0
    for name, stated in SONGS.items():
        y, sr = load(folder, name)
        begin = time.perf_counter()
        a = analyse(y, sr=sr)
        took = time.perf_counter() - begin
        found = a.tempo_bpm or float("nan")
        folded = found * 2.0 ** np.round(np.log2(stated / found))
        error = 100 * (folded / stated - 1)
        ok = abs(error) <= 2
        missed += not ok
        print(
            f"{'ok  ' if ok else 'MISS'} {name:52s} stated {stated:4d} found {found:7.2f} "
            f"({error:+.2f} %) {'steady' if a.steady else 'drifts'} "
            f"{a.beats_per_bar}/4 {a.key.tonic} {a.key.mode} {a.tuning_cents:+.0f} cents "
            f"{took:.2f} s for {a.seconds:.0f} s"
        )
    print(f"{len(SONGS) - missed} of {len(SONGS)} within 2 % (octave allowed)")
    return int(missed > 0)


def load(folder: pathlib.Path, pattern: str) -> tuple[np.ndarray, int]:
    """The sum of the files matching `pattern`, mono [samples], and its sample rate."""
    parts = [soundfile.read(p, dtype="float32") for p in sorted(folder.glob(pattern))]
    sr = parts[0][1]
    mono = [soxr.resample(y.reshape(len(y), -1).mean(axis=1), s, sr) for y, s in parts]
    total = np.zeros(max(len(y) for y in mono), np.float32)
    for y in mono:
        total[: len(y)] += y
    return total, sr


if __name__ == "__main__":
    sys.exit(main())
