"""How long it takes to find partners in a library of 10,000 made songs of 30 segments each.

    python tests/benchmarks/find.py [--songs=10000] [--queries=100]

For SQLite, and for PostgreSQL where MASHJAX_TEST_POSTGRESQL is its address; one warm process.
Prints milliseconds per query segment, over roles in turn; `cpu` is this process's own.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import tempfile
import time
import uuid

import numpy as np
import sqlalchemy as sa

from mashjax.library.database import open_library
from mashjax.library.finding import Finder, Part
from mashjax.library.segments import VERSION, Segment
from mashjax.library.sketching import sketch
from mashjax.library.tables import SEGMENTS, SONGS, segment_row
from mashjax.music.alignment import Limits

SEGMENTS_PER_SONG = 30
POOL = 600  # different segments; each row has one of them at a tempo and in a key of its own
MADE = "~made"  # folder of the songs: behind all others
SCALE = (0, 2, 4, 5, 7, 9, 11)


def make_segment(rng: np.random.Generator) -> Segment:
    """Eight bars of chords in C major."""
    chords = np.full((16, 12), 0.05)
    for chord in chords:
        root = rng.integers(7)
        chord[[SCALE[(root + step) % 7] for step in (0, 2, 4)]] = 1
    return Segment(
        number=0,
        start=0.0,
        end=16.0,
        bars=8,
        beats_per_bar=4,
        tempo_bpm=120.0,
        tonic=0,
        mode="major",
        key_confidence=0.3,
        tuning_cents=0.0,
        loudness_lufs=float(rng.uniform(-20, -8)),
        brightness_hz=1500.0,
        voice=float(rng.random()),
        beats=np.arange(33, dtype=np.float32) / 2,
        chroma=np.repeat(chords, 2, axis=0).astype(np.float32),
        rhythm=rng.random((32, 8)).astype(np.float32),
        lead=rng.random(32).astype(np.float32),
        lead_spectrum=rng.uniform(-60, -20, 23).astype(np.float32),
        backing_spectrum=rng.uniform(-60, -20, 23).astype(np.float32),
        timbre=rng.normal(size=24).astype(np.float32),
        embedding=np.zeros(0, np.float32),
    )


def fill(library, *, songs: int) -> list[Segment]:
    """Make the rows, beside those that are there; the pool they were made of."""
    rng = np.random.default_rng(0)
    with library.reading() as connection:
        last = connection.scalar(sa.select(sa.func.max(SONGS.c.id))) or 0
    pool = [make_segment(rng) for _ in range(POOL)]
    rows = [segment_row(segment, sketch=sketch(segment)) for segment in pool]
    for first in range(0, songs, 500):
        batch = range(first, min(first + 500, songs))
        of_songs, of_segments = [], []
        for number in batch:
            tempo, tonic = float(np.exp(rng.normal(np.log(115), 0.22))), int(rng.integers(12))
            about = {
                "tempo_bpm": tempo,
                "beats_per_bar": int(rng.choice([4, 3], p=[0.93, 0.07])),
                "tonic": tonic,
                "mode": str(rng.choice(["major", "minor"])),
                "key_confidence": float(rng.random()),
            }
            of_songs.append(
                {
                    "path": f"{MADE}/{number}.mp3",
                    "sha256": f"{number:064x}",
                    "size": 1,
                    "mtime_ns": 1,
                    "added": 0.0,
                    "version": VERSION,
                    "seconds": 240.0,
                    "sample_rate": 44100,
                    "channels": 2,
                    "doubts": [],
                    **about,
                }
            )
            for n in range(SEGMENTS_PER_SONG):
                of_song = {"number": n, "song_id": last + number + 1}
                of_segments.append({**rows[rng.integers(POOL)], **about, **of_song})
        with library.writing() as connection:
            connection.execute(sa.insert(SONGS), of_songs)
            connection.execute(sa.insert(SEGMENTS), of_segments)
    return pool


def measure(where: str, *, songs: int, queries: int, limits: Limits) -> str:
    with contextlib.closing(open_library(where, create=True)) as library:
        pool = fill(library, songs=songs)
        if "://" in where:  # what the server does by itself after a while
            with library.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
                c.execute(sa.text("VACUUM ANALYZE"))
        finder = Finder(library)
        rng = np.random.default_rng(1)
        wall, cpu = [], []
        for number in range(queries + 1):
            segment = dataclasses.replace(
                pool[rng.integers(POOL)],
                tempo_bpm=float(np.exp(rng.normal(np.log(115), 0.22))),
                tonic=int(rng.integers(12)),
            )
            role = ("lead", "backing", "any")[number % 3]
            began, cpu_began = time.perf_counter(), time.process_time()
            finder.partners(Part("query", segment), role=role, limits=limits)
            wall.append(1e3 * (time.perf_counter() - began))
            cpu.append(1e3 * (time.process_time() - cpu_began))
    figures = [*np.quantile(wall[1:], (0.5, 0.95)), *np.quantile(cpu[1:], (0.5, 0.95))]
    return " | ".join([f"{wall[0]:.0f} ({cpu[0]:.0f})", *(f"{x:.0f}" for x in figures)])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--songs", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=100)
    options = vars(parser.parse_args())
    print("| database | limits | first query (cpu) | p50 | p95 | p50 cpu | p95 cpu |")
    print("|---|---|---|---|---|---|---|")
    server = os.environ.get("MASHJAX_TEST_POSTGRESQL", "")
    for limits in (Limits(), Limits(max_stretch=0.06, max_shift=1)):
        with tempfile.TemporaryDirectory() as folder:
            cells = measure(str(pathlib.Path(folder, "x.library")), limits=limits, **options)
        print(f"| SQLite | {limits.max_stretch}, {limits.max_shift} | {cells} |", flush=True)
        if server:
            schema = f"find_{uuid.uuid4().hex}"
            url = sa.make_url(server).set(drivername="postgresql+psycopg")
            engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(sa.schema.CreateSchema(schema))
                own = url.update_query_dict({"options": f"-csearch_path={schema}"})
                cells = measure(own.render_as_string(hide_password=False), limits=limits, **options)
                connection.execute(sa.schema.DropSchema(schema, cascade=True))
            engine.dispose()
            print(
                f"| PostgreSQL | {limits.max_stretch}, {limits.max_shift} | {cells} |", flush=True
            )


if __name__ == "__main__":
    main()
