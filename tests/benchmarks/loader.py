"""How fast batches come from a store, and how long a training step waits for them.

    python tests/benchmarks/loader.py [--songs=48] [--steps=20] [--batches=40]

A store of noise is written here and read from the page cache. The first table: GB/s of int16 that
`batches` delivers for configs/mashup.py (examples of 12 s, cropped to 6 s and the slack that
augmentation needs), and the whole rows read for them. The second: what the loop of
configs/mashup.py itself reports after its first steps, which compile. Goals: 1 GB/s, 2 %.
"""

import argparse
import dataclasses
import json
import logging
import os
import pathlib
import platform
import tempfile
import time

import numpy as np

from mashjax.data.batches import batches
from mashjax.data.sources import Made, moments
from mashjax.data.store import Settings, Store, open_store
from mashjax.data.writing import Place, create_arrays, finish, write_song
from mashjax.tasks import mashup
from mashjax.train import read_config
from mashjax.training.loop import train

CONFIG = pathlib.Path(__file__).parents[2] / "configs" / "mashup.py"


def make_store(path: pathlib.Path, *, songs: int) -> Store:
    """Songs of 12 clips of 12 s each; noise at -20 dBFS compresses about as little as music."""
    path.mkdir()
    settings = Settings()
    create_arrays(str(path), {"train": songs, "valid": 0, "test": 0}, settings=settings)
    rng = np.random.default_rng(0)
    places = {}
    for index in range(songs):
        name = f"song {index}"
        places[name] = Place(str(path), "train", index)
        shape = (settings.clips_per_song, len(settings.row), settings.samples)
        rows = np.clip(0.1 * rng.standard_normal(shape, np.float32), -1, 1)
        about = {"song": name, "cell": "one", "tempo_bpm": 120.0, "start": 0.0}
        harmony = rng.standard_normal((len(rows), 1, 12)).astype(np.float16)
        made = Made(rows, [about] * len(rows), list(harmony), {}, moments(rows[0, :1, :22050]))
        write_song(places[name], made, files={}, settings=settings)
    finish(str(path), places, settings=settings, left_out=[])
    return open_store(path)


def reading(store: Store, *, batch_size: int, samples: int, count: int) -> tuple[float, float]:
    """GB/s that `batches` delivers, and of the whole rows that it reads for them; medians."""
    batch = batches(
        store, split="train", seed=0, batch_size=batch_size, samples=samples, incoherent=0.1
    )
    batch(0)
    seconds = []
    for step in range(1, count + 1):
        started = time.perf_counter()
        size = batch(step).nbytes
        seconds.append(time.perf_counter() - started)
    delivered = size / np.median(seconds) / 1e9
    return delivered, delivered * store.settings.samples / samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--songs", type=int, default=48)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batches", type=int, default=40)
    arguments = parser.parse_args()
    cfg = read_config(str(CONFIG))
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax tells of its steps
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(pathlib.Path(folder, "s.store"), songs=arguments.songs)
        size = sum(file["bytes"] for file in store.manifest["files"].values())
        print(f"{store.count('train')} clips, {size / 1e9:.2f} GB")
        samples = mashup.read_samples(cfg.model, cfg.frames)
        print("batch   delivered GB/s   read GB/s   examples/s")
        for batch_size in (8, 16, 32):
            delivered, read = reading(
                store, batch_size=batch_size, samples=samples, count=arguments.batches
            )
            each = delivered * 1e9 / (2 * len(store.sources) * samples)
            print(f"{batch_size:5} {delivered:16.2f} {read:11.2f} {each:12.0f}")
        cfg = dataclasses.replace(
            cfg, steps=5 + arguments.steps, log_every=5, checkpoint_every=10**6, eval_every=10**6
        )
        train(cfg, data=store.path, workdir=pathlib.Path(folder, "run"))
        lines = (pathlib.Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()
        print("steps     s/step   wait s   wait %")
        for line in map(json.loads, lines[1:]):
            step = cfg.batch_size / line["examples_per_second"]
            wait = line["wait_seconds"]
            print(f"-{line['step']:<6} {step:8.3f} {wait:8.5f} {100 * wait / step:8.2f}")


if __name__ == "__main__":
    main()
