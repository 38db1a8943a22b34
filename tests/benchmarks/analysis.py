"""Key, tempo, beats and downbeats of rendered pop songs, and how fast songs are described.

    python tests/benchmarks/analysis.py [--songs=60] [--cache=FOLDER]

reads POP909 from the folder named by MASHJAX_MUSIC and needs FluidSynth. Scores are MIREX's key
score; Acc2, the share of tempi within 4 % of the truth, its double, triple, half or third; and
the F-measure of beats after the first 5 s, within 70 ms (all as mir_eval defines them). Speed is
seconds of sound (44.1 kHz, stereo) per processor second of `describe`.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np
import popsongs

from mashjax.audio.resample import resample
from mashjax.library.describing import describe
from mashjax.mixing.model import load_model
from mashjax.music.analysis import analyse
from mashjax.music.tonality import TONICS

GOALS = {"key": 0.90, "tempo": 0.95, "beats": 0.75, "downbeats": 0.60}
SECONDS = 90.0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--songs", type=int, default=60)
    parser.add_argument("--cache", type=pathlib.Path)
    args = parser.parse_args()
    folders = popsongs.folders()
    rows = []
    for folder in folders[:: len(folders) // args.songs][: args.songs]:
        song = popsongs.pop_song(folder, seconds=SECONDS, cache=args.cache)
        found = analyse(song.stems.sum(axis=0), sr=popsongs.SR)
        key = (TONICS.index(found.key.tonic), found.key.mode)
        rows.append(
            {
                "song": song.name,
                "key": key_score((song.tonic, song.mode), key),
                "tempo": acc2(60 / float(np.median(np.diff(song.beats))), found.tempo_bpm),
                "beats": f_measure(song.beats, found.beats),
                "downbeats": f_measure(song.downbeats, found.downbeats),
            }
        )
        print(json.dumps(rows[-1]), file=sys.stderr)
    means = {name: round(float(np.mean([row[name] for row in rows])), 3) for name in GOALS}
    speed = round(describing_speed(song), 1)
    print(json.dumps({"songs": len(rows), **means, "times_real_time": speed}))
    return int(speed < 20 or any(means[name] < goal for name, goal in GOALS.items()))


def key_score(truth: tuple[int, str], found: tuple[int, str]) -> float:
    """1 for the key, .5 for the fifth above it, .3 for the relative, .2 for the parallel."""
    up = (found[0] - truth[0]) % 12
    if found[1] == truth[1]:
        return {0: 1.0, 7: 0.5}.get(up, 0.0)
    return {9 if truth[1] == "major" else 3: 0.3, 0: 0.2}.get(up, 0.0)


def acc2(truth: float, found: float | None) -> bool:
    folds = np.array([1, 2, 3, 1 / 2, 1 / 3])
    return found is not None and bool((np.abs(found / (truth * folds) - 1) <= 0.04).any())


def f_measure(truth: np.ndarray, found: np.ndarray) -> float:
    truth, found = truth[truth >= 5], found[found >= 5]
    hits = i = j = 0
    while i < len(truth) and j < len(found):
        if abs(truth[i] - found[j]) <= 0.07:
            hits, i, j = hits + 1, i + 1, j + 1
        elif truth[i] < found[j]:
            i += 1
        else:
            j += 1
    return 2 * hits / max(1, len(truth) + len(found))


def describing_speed(song: popsongs.PopSong) -> float:
    """Times real time, of one core."""
    model = load_model()
    y = resample(song.stems.sum(axis=0), sr_in=popsongs.SR, sr_out=44100)
    y = np.stack([y, y])
    describe(y[:, : 20 * 44100], sr=44100, model=model)  # compiles
    began = time.process_time()
    for _ in range(3):
        describe(y, sr=44100, model=model)
    return 3 * y.shape[1] / 44100 / (time.process_time() - began)


if __name__ == "__main__":
    sys.exit(main())
