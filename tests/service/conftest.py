"""A service on loopback over a small library whose songs nobody had to listen to."""

import contextlib
import dataclasses
import http.client
import json
import pathlib
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import sqlalchemy as sa

from mashjax.audio.files import write
from mashjax.library.database import open_library
from mashjax.library.segments import VERSION, Segment, Song
from mashjax.library.sketching import sketch
from mashjax.library.tables import RATINGS, SEGMENTS, SONGS, segment_row, song_row
from mashjax.service.app import create_app
from mashjax.service.server import make_server
from mashjax.service.settings import Limits, Settings

SR = 8000
LIMITS = Limits(
    upload_bytes=300_000,
    upload_seconds=30.0,
    uploads=3,
    body_seconds=3.0,
    upload_wait=3.0,
    header_seconds=3.0,
)
XSS = "<img src=x onerror=document.title='hit'>.wav"


@dataclasses.dataclass
class Service:
    """A running one. songs: path in the library -> id."""

    port: int
    songs: dict[str, str]
    music: pathlib.Path
    library: pathlib.Path
    app: object

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; a dict becomes JSON. What `headers` says is sent as it is."""
        sent = {"Host": f"127.0.0.1:{self.port}"}
        if isinstance(body, dict):
            body, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        if isinstance(body, bytes):
            sent["Content-Length"] = str(len(body))
        sent |= headers or {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may not want it
                connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def get(self, path: str) -> dict:
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def state(self) -> tuple:
        """What no refused request may change: rows, files, jobs, uploads."""
        count = sa.select(sa.func.count())
        tables = (SONGS, SEGMENTS, RATINGS)
        opened = contextlib.closing(open_library(self.library))
        with opened as library, library.reading() as connection:
            rows = [connection.scalar(count.select_from(table)) for table in tables]
        files = {str(p): p.stat().st_mtime_ns for p in self.music.iterdir() if p.is_file()}
        state = self.app.app.state
        return rows, files, sorted(state.jobs._jobs), sorted(state.uploads._uploads)


def tone(seconds: float, *, hz: float = 220.0) -> np.ndarray:
    """float32 [1, samples] at SR."""
    t = np.arange(round(seconds * SR)) / SR
    return (0.5 * np.sin(2 * np.pi * hz * t)).astype(np.float32)[None]


def make_segment(seed: int, *, number: int, tempo: float) -> Segment:
    """Four bars of random music in C major, after as many times four bars as `number` says."""
    rng = np.random.default_rng(seed)
    beats = (16 * number + np.arange(17)) * 60 / tempo
    return Segment(
        number=number,
        start=float(beats[0]),
        end=float(beats[-1]),
        bars=4,
        beats_per_bar=4,
        tempo_bpm=tempo,
        tonic=0,
        mode="major",
        key_confidence=0.9,
        tuning_cents=0.0,
        loudness_lufs=-14.0,
        brightness_hz=900.0,
        voice=0.6,
        beats=beats.astype(np.float32),
        chroma=rng.random((16, 12)).astype(np.float32),
        rhythm=rng.random((16, 8)).astype(np.float32),
        lead=rng.random(16).astype(np.float32),
        lead_spectrum=rng.uniform(-60, -20, 23).astype(np.float32),
        backing_spectrum=rng.uniform(-60, -20, 23).astype(np.float32),
        timbre=rng.normal(size=24).astype(np.float32),
        embedding=np.zeros(0, np.float32),
    )


def add_song(connection: sa.Connection, path: str, *, seed: int, tempo: float) -> str:
    segments = [make_segment(seed + number, number=number, tempo=tempo) for number in (0, 1)]
    song = Song(
        seconds=segments[-1].end,
        sample_rate=SR,
        channels=1,
        tempo_bpm=tempo,
        beats_per_bar=4,
        tonic=0,
        mode="major",
        key_confidence=0.9,
        doubts=(),
        segments=tuple(segments),
    )
    about = {"path": path, "sha256": f"{seed:064}", "size": 1, "mtime_ns": 1, "added": 0.0}
    row = {**about, "version": VERSION, **song_row(song)}
    id = connection.scalar(sa.insert(SONGS).returning(SONGS.c.id), row)
    rows = [{"song_id": id, **segment_row(s, sketch=sketch(s))} for s in segments]
    connection.execute(sa.insert(SEGMENTS), rows)
    return str(id)


def make_folder(place: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path, dict[str, str]]:
    """Music, a library that also knows of files that are not to be served, and ids by paths."""
    music, library = place / "music", place / "test.library"
    music.mkdir()
    for name, seconds, hz in (("one.wav", 16, 220), ("two.wav", 15.5, 330), (XSS, 16, 110)):
        write(music / name, tone(seconds, hz=hz), sr=SR)
    write(place / "secret.wav", tone(3), sr=SR)
    (music / "link.wav").symlink_to(place / "secret.wav")
    (music / "out").symlink_to(place)
    (music / "notes.txt").write_text("not for strangers")
    paths = {"one.wav": 120.0, "two.wav": 124.0, XSS: 120.0, "gone.wav": 122.0, "link.wav": 118.0}
    paths |= {"../secret.wav": 118.0, "out/secret.wav": 118.0, "notes.txt": 118.0, "out": 118.0}
    made = contextlib.closing(open_library(library, create=True))
    with made as opened, opened.writing() as connection:
        ids = {
            path: add_song(connection, path, seed=10 * k, tempo=tempo)
            for k, (path, tempo) in enumerate(paths.items(), 1)
        }
    return music, library, ids


@contextlib.contextmanager
def running(place: pathlib.Path, **options) -> Iterator[Service]:
    """A service in a thread; options: of `Settings`."""
    music, library, ids = make_folder(place)
    settings = Settings(**{"music": music, "limits": LIMITS, **options})
    listener = socket.create_server(("127.0.0.1", 0))
    with contextlib.closing(open_library(library)) as opened:
        app = create_app(settings, opened)
        server = make_server(app, limits=settings.limits)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            service = Service(listener.getsockname()[1], ids, music, library, app)
            service.get("/api/songs")  # waits in the listener's queue until it is up
            yield service
        finally:
            server.should_exit = True
            thread.join()
            listener.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service")) as made:
        yield made


@pytest.fixture(scope="session")
def start():
    """The function `running`."""
    return running


@pytest.fixture(scope="session")
def sound():
    """The function `tone`, and its sample rate."""
    return tone, SR
