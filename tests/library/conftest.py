"""Made songs whose phrases are known, and places for libraries, on SQLite and on PostgreSQL."""

import hashlib
import os
import pathlib
import uuid
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest
import sqlalchemy as sa

from mashjax.library.database import Library
from mashjax.library.segments import VERSION, Segment, Song
from mashjax.library.sketching import sketch
from mashjax.library.tables import SEGMENTS, SONGS, segment_row, song_row
from mashjax.mixing.demo import SR, demo_parts
from mashjax.mixing.model import load_model

SERVER = os.environ.get("MASHJAX_TEST_POSTGRESQL", "")
SCALE = (0, 2, 4, 5, 7, 9, 11)


@pytest.fixture(scope="session")
def model():
    return load_model()


@pytest.fixture(scope="session")
def sung() -> np.ndarray:
    """A voice over a piano in A minor at 104 BPM, float32 [2, samples] at 44.1 kHz: 12 bars, of
    which the voice leaves out the first two."""
    return demo_parts(1).sum(axis=0)


@pytest.fixture(scope="session")
def sr() -> int:
    return SR


def make_segment(seed: int, *, bars: int = 8, tempo: float = 120.0, key: int = 0) -> Segment:
    """A segment of random chords, one each half bar, of a major key."""
    rng = np.random.default_rng(seed)
    beats = 4 * bars
    chords = np.zeros((2 * bars, 12))
    for chord in chords:
        root = rng.integers(7)
        chord[[(SCALE[(root + step) % 7] + key) % 12 for step in (0, 2, 4)]] = 1
    rhythm = rng.random((beats, 8)) * (rng.random(8) > 0.5)
    return Segment(
        number=0,
        start=0.0,
        end=60 / tempo * beats,
        bars=bars,
        beats_per_bar=4,
        tempo_bpm=tempo,
        tonic=key,
        mode="major",
        key_confidence=0.9,
        tuning_cents=0.0,
        loudness_lufs=-14.0,
        brightness_hz=1500.0,
        voice=0.5,
        beats=(np.arange(beats + 1) * 60 / tempo).astype(np.float32),
        chroma=(np.repeat(chords, 2, axis=0) + 0.05).astype(np.float32),
        rhythm=rhythm.astype(np.float32),
        lead=rng.random(beats).astype(np.float32),
        lead_spectrum=rng.uniform(-60, -20, 23).astype(np.float32),
        backing_spectrum=rng.uniform(-60, -20, 23).astype(np.float32),
        timbre=rng.normal(size=24).astype(np.float32),
        embedding=np.zeros(0, np.float32),
    )


@pytest.fixture(scope="session")
def segment():
    """The function `make_segment`."""
    return make_segment


def fill_library(
    library: Library,
    songs: Mapping[str, Sequence[Segment]],
    *,
    doubts: Sequence[str] = (),
    added: float = 1e9,
) -> None:
    """Put songs into a library, by path, as if they had been indexed."""
    for path, segments in songs.items():
        first = segments[0]
        song = Song(
            seconds=first.end,
            sample_rate=44100,
            channels=2,
            tempo_bpm=first.tempo_bpm,
            beats_per_bar=4,
            tonic=first.tonic,
            mode=first.mode,
            key_confidence=0.5,
            doubts=tuple(doubts),
            segments=tuple(segments),
        )
        digest = hashlib.sha256(path.encode()).hexdigest()
        about = {"sha256": digest, "size": 1, "mtime_ns": 1, "added": added, "version": VERSION}
        with library.writing() as connection:
            row = sa.insert(SONGS).values(path=path, **about, **song_row(song))
            number = connection.scalar(row.returning(SONGS.c.id))
            rows = [segment_row(x, sketch=sketch(x)) | {"song_id": number} for x in segments]
            connection.execute(sa.insert(SEGMENTS), rows)


@pytest.fixture(scope="session")
def fill():
    """The function `fill_library`."""
    return fill_library


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request, tmp_path: pathlib.Path) -> Iterator[str]:
    """Where a library may be made: a file, or a schema of its own on the server."""
    if request.param == "sqlite":
        yield str(tmp_path / "test.library")
        return
    if not SERVER:
        pytest.skip("MASHJAX_TEST_POSTGRESQL names no server")
    url = sa.make_url(SERVER).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    schema = f"test_{uuid.uuid4().hex}"
    with engine.connect() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    own = url.update_query_dict({"options": f"-csearch_path={schema}"})
    yield own.render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(sa.schema.DropSchema(schema, cascade=True))
    engine.dispose()
