"""Stores that are not in the file system, and songs that are not made in this process."""

import contextlib
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import urllib.parse

import pytest

from mashjax.data.store import Settings
from mashjax.errors import UserError
from mashjax.preprocess import preprocess

SETTINGS = Settings(seconds=5.0, clips_per_song=4)
FLAGS = ["--seconds=5", "--clips_per_song=4"]


@pytest.fixture(scope="module")
def here(stems_folder, tmp_path_factory) -> dict[str, bytes]:
    """The files of the store as one process makes it in a folder."""
    folder = tmp_path_factory.mktemp("here") / "s.store"
    preprocess(stems_folder, folder, settings=SETTINGS)
    return files_of(folder)


def files_of(store: pathlib.Path) -> dict[str, bytes]:
    files = [p for p in store.rglob("*") if p.is_file()]
    return {p.relative_to(store).as_posix(): p.read_bytes() for p in files}


@pytest.mark.slow
def test_a_bucket_holds_what_a_folder_would(here, stems_folder):
    with Bucket() as bucket:
        store = "--output=gs://bucket/my songs/s.store"
        bucket.refuse_after = 4
        run = bucket.command("preprocess", f"--input={stems_folder}", store, *FLAGS)
        assert run.returncode == 2
        assert "gs://bucket/my songs/s.store: cannot be written" in run.stderr
        bucket.refuse_after = None
        run = bucket.command("preprocess", f"--input={stems_folder}", store, *FLAGS)
        assert run.returncode == 0, run.stderr
        stored = {
            name.removeprefix("my songs/s.store/"): raw for name, (_, raw) in bucket.objects.items()
        }
        assert stored == here
        run = bucket.command("preprocess", store, "--verify")
        assert "files are as they were written" in run.stdout
        read = bucket.python(
            "from mashjax.data.store import open_store, decode;"
            "s = open_store('gs://bucket/my songs/s.store');"
            "print(s.read('train', [0]).shape)"
        )
        assert read.stdout.strip() == "(1, 4, 110250)", read.stderr
        name = "my songs/s.store/train/c/0/0/0"
        generation, raw = bucket.objects[name]
        bucket.objects[name] = generation, raw[:1000] + bytes([raw[1000] ^ 1]) + raw[1001:]
        run = bucket.command("preprocess", store, "--verify")
        assert "1 of its files are damaged or missing: train/c/0/0/0" in run.stderr


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_loses_nothing(here, stems_folder, tmp_path):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    )
    with cluster:
        workers = [worker.process.pid for worker in cluster.workers.values()]
        done = []

        def kill_one(count, total):
            if count == 1:
                os.kill(workers[0], 9)
            done.append(count)

        summary = preprocess(
            stems_folder,
            tmp_path / "s.store",
            settings=SETTINGS,
            scheduler=cluster.scheduler_address,
            progress=kill_one,
        )
        assert not alive(workers[0])
    assert done == [1, 2, 3, 4]
    assert summary.songs == 4
    assert files_of(tmp_path / "s.store") == here


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    return False


def test_a_scheduler_that_is_not_there_is_one_line(stems_folder, tmp_path):
    pytest.importorskip("distributed")
    with pytest.raises(UserError, match=r"--scheduler=tcp://127\.0\.0\.1:9 does not answer"):
        preprocess(stems_folder, tmp_path / "s", settings=SETTINGS, scheduler="tcp://127.0.0.1:9")


class Bucket:
    """A Google Cloud Storage bucket on loopback: as much of its JSON API as TensorStore speaks.

    objects: name -> (generation, bytes); refuse_after: writes that are taken before others are
    refused. A context manager that serves them.
    """

    def __init__(self) -> None:
        self.objects: dict[str, tuple[int, bytes]] = {}
        self.generation = 0
        self.refuse_after: int | None = None
        self.lock = threading.Lock()
        bucket = self

        class Handler(_Handler):
            store = bucket

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "Bucket":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def command(self, name: str, *flags: str) -> subprocess.CompletedProcess:
        return self._run("-m", f"mashjax.{name}", *flags)

    def python(self, code: str) -> subprocess.CompletedProcess:
        return self._run("-c", code)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess:
        environment = {
            **os.environ,
            "TENSORSTORE_GCS_HTTP_URL": self.url,
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "open",
        }
        return subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, text=True
        )


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Bucket

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path, query = self._asked()
        name = self._object(path)
        with self.store.lock:
            if name is None:
                begin, end = query.get("startOffset", ""), query.get("endOffset")
                items = [
                    {"name": n, "size": str(len(raw)), "generation": str(generation)}
                    for n, (generation, raw) in sorted(self.store.objects.items())
                    if n.startswith(query.get("prefix", "")) and n >= begin and (not end or n < end)
                ]
                self._answer(200, json.dumps({"items": items}).encode())
                return
            found = self.store.objects.get(name)
        if found is None:
            self._answer(404)
            return
        generation, raw = found
        part = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        headers = {"x-goog-generation": str(generation)}
        if part is None:
            self._answer(200, raw, headers)
            return
        if part[1]:
            first, last = int(part[1]), min(int(part[2] or len(raw) - 1), len(raw) - 1)
        else:
            first, last = max(0, len(raw) - int(part[2])), len(raw) - 1
        headers["Content-Range"] = f"bytes {first}-{last}/{len(raw)}"
        self._answer(206, raw[first : last + 1], headers)

    def do_POST(self) -> None:
        _, query = self._asked()
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        with self.store.lock:
            name = query["name"]
            now = self.store.objects.get(name, (0, b""))[0]
            if "ifGenerationMatch" in query and int(query["ifGenerationMatch"]) != now:
                self._answer(412)
                return
            if self.store.refuse_after is not None:
                self.store.refuse_after -= 1
                if self.store.refuse_after < 0:
                    self._answer(403)
                    return
            self.store.generation += 1
            self.store.objects[name] = (self.store.generation, raw)
            answer = {"name": name, "generation": str(self.store.generation)}
        self._answer(200, json.dumps(answer).encode())

    def do_DELETE(self) -> None:
        path, _ = self._asked()
        with self.store.lock:
            found = self.store.objects.pop(self._object(path), None)
        self._answer(404 if found is None else 204)

    def _asked(self) -> tuple[str, dict[str, str]]:
        url = urllib.parse.urlsplit(self.path)
        return url.path, dict(urllib.parse.parse_qsl(url.query))

    def _object(self, path: str) -> str | None:
        name = path.partition("/o/")[2]
        return urllib.parse.unquote(name) if name else None

    def _answer(self, status: int, raw: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
