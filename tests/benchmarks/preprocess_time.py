"""How fast folders of stems become a store, where the time goes, and how much memory it takes.

    python tests/benchmarks/preprocess_time.py [--songs=8] [--seconds=200] [--memory=100,1000]

Songs are made here: four stems each, 44.1 kHz stereo wav. The first table is of one process: the
seconds of songs (not of stems) per second, and each stage's share. The second is of the command
with two workers on many short songs: the peak memory of all its processes together.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
import soundfile

from mashjax.data import building, clips
from mashjax.data.building import build_store
from mashjax.data.layouts import stems
from mashjax.data.store import Settings
from mashjax.mixing.demo import SR, demo_parts

STEMS = ("vocals", "drums", "bass", "other")


def make_songs(folder: pathlib.Path, *, songs: int, seconds: float, sr: int = SR) -> None:
    """The first demo song's 12 bars over and over, each song from another bar on."""
    bar = round(4 * 60 / 104 * SR)
    parts = demo_parts(1)[:, :, : 12 * bar]
    for n in range(songs):
        (folder / f"song {n:04}").mkdir(parents=True)
        lead, backing = np.roll(parts, n * bar, axis=2)
        for stem in STEMS:
            y = lead if stem == "vocals" else backing / 3
            y = np.tile(y, (1, int(np.ceil(seconds * SR / y.shape[1]))))
            step = SR // sr
            y = y[:, : int(seconds * SR) : step] * (0.5 + 0.4 * n / songs)
            soundfile.write(folder / f"song {n:04}" / f"{stem}.wav", y.T, sr)


class Stopwatch:
    """Wraps functions in their modules and adds up the time within them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def watch(self, module, name: str, label: str) -> None:
        function = getattr(module, name)

        def timed(*args, **kwargs):
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.perf_counter() - started
                self.seconds[label] = self.seconds.get(label, 0.0) + spent

        setattr(module, name, timed)


def speed(folder: pathlib.Path, output: pathlib.Path) -> None:
    songs = stems.find_stems_songs(folder)
    build_store(songs[:2], str(output / "warm.store"), settings=Settings())
    watch = Stopwatch()
    watch.watch(stems.StemsSong, "load", "read and resample the stems")
    watch.watch(clips, "loudness", "loudness")
    watch.watch(clips, "analyse", "analyse")
    watch.watch(clips, "warp", "stretch and shift")
    watch.watch(clips, "moments", "statistics")
    watch.watch(building, "write_song", "write shards and record")
    watch.watch(building, "file_sha256", "hash the sources")
    started = time.perf_counter()
    summary = build_store(songs, str(output / "s.store"), settings=Settings())
    total = time.perf_counter() - started
    print(
        f"{summary.songs} songs, {summary.seconds:.0f} s, four stems each, one process: "
        f"{total:.1f} s, {summary.seconds / total:.0f} x real time"
    )
    watch.seconds["everything else"] = total - sum(watch.seconds.values())
    for label, seconds in sorted(watch.seconds.items(), key=lambda item: -item[1]):
        print(f"  {label:30} {seconds:6.2f} s  {100 * seconds / total:4.0f} %")


def memory(folder: pathlib.Path, output: pathlib.Path) -> float:
    """Peak of the sum of all processes' resident memory, MiB, sampled ten times a second."""
    run = subprocess.Popen(
        [sys.executable, "-m", "mashjax.preprocess", f"--input={folder}", f"--output={output}",
         "--workers=2", "--seconds=6", "--clips_per_song=2"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    peak = 0.0
    while run.poll() is None:
        peak = max(peak, sum(resident(pid) for pid in [run.pid, *children(run.pid)]))
        time.sleep(0.1)
    assert run.returncode == 0
    return peak


def children(pid: int) -> list[int]:
    try:
        return [
            int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except FileNotFoundError:
        return []


def resident(pid: int) -> float:
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--songs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=200.0)
    parser.add_argument("--memory", default="100,1000", help="numbers of songs; empty for none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_songs(folder / "songs", songs=arguments.songs, seconds=arguments.seconds)
        speed(folder / "songs", folder)
        shutil.rmtree(folder / "songs")
        for count in (int(n) for n in arguments.memory.split(",") if n):
            make_songs(folder / "short", songs=count, seconds=12.0, sr=22050)
            started = time.perf_counter()
            peak = memory(folder / "short", folder / "short.store")
            print(f"{count} songs: peak {peak:.0f} MiB, {time.perf_counter() - started:.0f} s")
            shutil.rmtree(folder / "short")
            shutil.rmtree(folder / "short.store")


if __name__ == "__main__":
    main()
