r"""Time and memory of `python -m mashjax.mix` in a process of its own.

  python tests/benchmarks/mix_time.py [--runs=3]

Two stereo songs of 60 s, the first time (empty compile cache) and then with the cache warm,
and two of 4 minutes. The songs are the demo's, repeated, with noise that differs throughout.
Limits: 15 s, 8 s, 45 s; 2.5 GiB.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from mashjax.audio import files
from mashjax.mixing.demo import SR, demo_song

GIB = 1 << 30


def song(number: int, seconds: float, path: pathlib.Path) -> None:
    y = demo_song(number)
    beats = {1: 60 / 104, 2: 60 / 110}[number]
    bars = y[:, : round(48 * beats * SR)]
    y = np.tile(bars, 1 + round(seconds * SR) // bars.shape[1])[:, : round(seconds * SR)]
    rng = np.random.default_rng(number)
    y = y + 0.003 * rng.standard_normal(y.shape, dtype=np.float32)
    files.write(path, y, sr=SR)


def measure(songs: list[pathlib.Path], cache: pathlib.Path) -> tuple[float, float, dict]:
    """Wall seconds, peak GiB and the report's own timing of one run."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "r.json"
        command = [sys.executable, "-m", "mashjax.mix", *map(str, songs)]
        command += [f"--out={folder}/m.wav", f"--report={report}"]
        began = time.monotonic()
        process = subprocess.Popen(
            command, env={**os.environ, "XDG_CACHE_HOME": str(cache)}, stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"mix failed with {process.returncode}")
        return (
            seconds,
            usage.ru_maxrss * 1024 / GIB,
            json.loads(report.read_text())["timing_seconds"],
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        pairs = {}
        for seconds in (60, 240):
            pairs[seconds] = [work / f"{seconds}_{k}.wav" for k in (1, 2)]
            for k, path in enumerate(pairs[seconds], start=1):
                song(k, seconds, path)
        cases = [("60 s, first time", 60, True, 15), ("60 s, warm", 60, False, 8)]
        cases += [("4 min, warm", 240, False, 45)]
        for name, seconds, first, limit in cases:
            results = []
            for run in range(runs):
                cache = work / (f"cache{run}" if first else "cache0")
                results.append(measure(pairs[seconds], cache))
            wall = [r[0] for r in results]
            memory = max(r[1] for r in results)
            print(
                f"{name:18} {statistics.median(wall):6.2f} s ({min(wall):.2f}-{max(wall):.2f}), "
                f"limit {limit} s; peak {memory:.2f} GiB, limit 2.5; stages {results[-1][2]}"
            )


if __name__ == "__main__":
    main()
