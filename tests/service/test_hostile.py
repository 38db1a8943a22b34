"""What the service answers to those who mean ill: a refusal, and nothing has changed."""

import contextlib
import io
import json
import socket

import numpy as np
import pytest
import soundfile

PAIR = {"query": {"song": "1", "part": 0}, "partner": {"song": "2", "part": 0}, "role": "lead"}
RATING = {**PAIR, "rating": 3}
RANGE = "/api/songs/1/audio"
EVIL = "http://evil.example"


def song(path: str) -> str:
    """Stands for the id of the song at this path in the library."""
    return f"/api/songs/[{path}]/audio"


def wav(y: np.ndarray, sr: int = 8000, *, kind: str = "WAV", subtype: str | None = None) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, y, sr, format=kind, subtype=subtype)
    return content.getvalue()


REQUESTS = {
    # Places that are nobody's business.
    "dots": ("GET", "/api/songs/../../../etc/passwd/audio", {}, None, 404),
    "dots, encoded": ("GET", "/api/songs/..%2f..%2fetc%2fpasswd/audio", {}, None, 404),
    "all encoded": ("GET", "/api/songs/%2e%2e%2f%2e%2e%2fetc%2fpasswd/audio", {}, None, 404),
    "encoded twice": ("GET", "/api/songs/%252e%252e%252fetc/audio", {}, None, 422),
    "backslashes": ("GET", "/api/songs/..%5c..%5cetc/audio", {}, None, 422),
    "overlong UTF-8": ("GET", "/api/songs/%c0%ae%c0%ae/audio", {}, None, 422),
    "a null byte": ("GET", "/api/songs/1%00.wav/audio", {}, None, 422),
    "static, dots": ("GET", "/static/../app.py", {}, None, 404),
    "static, encoded": ("GET", "/static/..%2fapp.py", {}, None, 404),
    "static, absolute": ("GET", "/static//etc/passwd", {}, None, 404),
    "static, another file": ("GET", "/static/index.html", {}, None, 404),
    "a library's path above": ("GET", song("../secret.wav"), {}, None, 404),
    "a link to a file": ("GET", song("link.wav"), {}, None, 404),
    "a link to a folder": ("GET", song("out/secret.wav"), {}, None, 404),
    "no sound": ("GET", song("notes.txt"), {}, None, 404),
    "a folder": ("GET", song("out"), {}, None, 404),
    "a file that is gone": ("GET", song("gone.wav"), {}, None, 404),
    "somebody's mashup": ("GET", f"/api/mixes/{'0' * 24}/audio", {}, None, 404),
    "somebody's upload": ("DELETE", f"/api/uploads/u{'0' * 24}", {}, None, 404),
    # Names that are no names.
    "SQL for an id": ("GET", "/api/songs/1%20OR%201=1", {}, None, 422),
    "SQL that drops": ("GET", "/api/songs/1;DROP%20TABLE%20songs", {}, None, 422),
    "a great id": ("GET", f"/api/songs/{'9' * 30}", {}, None, 422),
    "a negative part": ("GET", "/api/songs/1/parts/-1/partners", {}, None, 422),
    "control characters": ("GET", "/api/songs?search=a%00b%0a", {}, None, 422),
    "a long search": ("GET", "/api/songs?search=" + "a" * 5000, {}, None, 422),
    "all songs at once": ("GET", "/api/songs?most=1000000", {}, None, 422),
    # Ranges.
    "beyond the end": ("GET", RANGE, {"Range": "bytes=99999999-"}, None, 416),
    "backwards": ("GET", RANGE, {"Range": "bytes=9-2"}, None, 400),
    "no numbers": ("GET", RANGE, {"Range": "bytes=a-b"}, None, 400),
    "another unit": ("GET", RANGE, {"Range": "songs=0-1"}, None, 400),
    # Other sites' pages.
    "another origin": ("POST", "/api/ratings", {"Origin": EVIL}, RATING, 403),
    "no origin at all": ("POST", "/api/ratings", {"Origin": "null"}, RATING, 403),
    "another site": ("POST", "/api/mixes", {"Sec-Fetch-Site": "cross-site"}, PAIR, 403),
    "a sibling site": ("POST", "/api/mixes", {"Sec-Fetch-Site": "same-site"}, PAIR, 403),
    "a site that reads": ("GET", "/api/songs", {"Sec-Fetch-Site": "cross-site"}, None, 403),
    "a form": (
        "POST",
        "/api/ratings",
        {"Content-Type": "application/x-www-form-urlencoded"},
        b"query=1&rating=3",
        422,
    ),
    "JSON as text": (
        "POST",
        "/api/ratings",
        {"Content-Type": "text/plain"},
        json.dumps(RATING).encode(),
        422,
    ),
    "another name": ("GET", "/api/songs", {"Host": "evil.example"}, None, 421),
    "a longer name": ("GET", "/", {"Host": "127.0.0.1.evil.example"}, None, 421),
    "a name with a user": ("GET", "/", {"Host": "localhost@evil.example"}, None, 421),
    "another machine": ("GET", "/", {"Host": "192.0.2.1"}, None, 421),
    "no name": ("GET", "/", {"Host": ""}, None, 421),
    # Too much.
    "a large body": ("POST", "/api/ratings", {}, b" " * (65 << 10), 413),
    "a large upload": ("POST", "/api/uploads", {}, b"\0" * 300_001, 413),
    "an endless one": ("POST", "/api/uploads", {"Content-Length": str(1 << 40)}, None, 413),
    "deep JSON": (
        "POST",
        "/api/mixes",
        {"Content-Type": "application/json"},
        b"[" * 60_000,
        400,
    ),
    # Wrong values.
    "six stars": ("POST", "/api/ratings", {}, {**RATING, "rating": 6}, 422),
    "no number": (
        "POST",
        "/api/ratings",
        {"Content-Type": "application/json"},
        json.dumps({**RATING, "rating": float("nan")}).encode(),
        422,
    ),
    "more than asked for": ("POST", "/api/ratings", {}, {**RATING, "path": "/etc"}, 422),
    "half a character": ("POST", "/api/ratings", {}, {**RATING, "role": "\ud800"}, 422),
    "a part that is not": (
        "POST",
        "/api/mixes",
        {},
        {**PAIR, "query": {"song": "1", "part": 7}},
        404,
    ),
    "a path for a song": (
        "POST",
        "/api/mixes",
        {},
        {**PAIR, "partner": {"song": "/etc/passwd", "part": 0}},
        422,
    ),
    "a file that must not": (
        "POST",
        "/api/mixes",
        {},
        {**PAIR, "partner": {"song": "[../secret.wav]", "part": 0}},
        404,
    ),
    "another method": ("PUT", "/api/songs/1", {}, None, 405),
    # Uploads that are no songs.
    "text": ("POST", "/api/uploads?name=a.wav", {}, b"RIFF, he said" * 99, 415),
    "a page": ("POST", "/api/uploads", {}, b"<!doctype html><script>alert(1)</script>", 415),
    "nothing": ("POST", "/api/uploads", {}, b"", 415),
    "another format": (
        "POST",
        "/api/uploads",
        {},
        wav(np.ones(30000) / 2, kind="AIFF"),
        415,
    ),
    "half a header": ("POST", "/api/uploads", {}, wav(np.ones(30000) / 2)[:20], 415),
    "silence": ("POST", "/api/uploads", {}, wav(np.zeros(30000), kind="FLAC"), 415),
    "an hour in 60 kB": ("POST", "/api/uploads", {}, "hour", 415),
    "no numbers in it": (
        "POST",
        "/api/uploads",
        {},
        wav(np.full(30000, np.nan), subtype="FLOAT"),
        415,
    ),
    "six channels": ("POST", "/api/uploads", {}, wav(np.ones((16000, 6)) / 2), 415),
    "a high rate": ("POST", "/api/uploads", {}, wav(np.ones(30000) / 2, 400_000), 415),
}


@pytest.fixture(scope="module")
def hour() -> bytes:
    """An hour of silence but for one click: a flac of less than 100 kB."""
    content = io.BytesIO()
    with soundfile.SoundFile(content, "w", 8000, 1, "PCM_16", format="FLAC") as file:
        file.write(np.ones(8))
        for _ in range(60):
            file.write(np.zeros(60 * 8000))
    return content.getvalue()


@pytest.mark.parametrize("name", REQUESTS)
def test_it_is_refused_and_nothing_changes(service, hour, name):
    method, path, headers, body, status = REQUESTS[name]
    for known, id in service.songs.items():
        path = path.replace(f"[{known}]", id)
        if isinstance(body, dict):
            body = json.loads(json.dumps(body).replace(f"[{known}]", id))
    if body == "hour":
        body = hour
        assert len(body) < 100_000
    before = service.state()
    found, _, said = service.ask(method, path, body, headers=headers)
    assert found == status, said
    assert service.state() == before
    for secret in (b"Traceback", b"site-packages", b"/tmp", bytes(service.music), b"not for stra"):
        assert secret not in said


def test_sql_in_a_search_finds_nothing(service):
    before = service.state()
    for search in ("%27%20OR%20%271%27=%271", "%27;DROP%20TABLE%20songs;--", "%25%27--"):
        assert service.get(f"/api/songs?search={search}")["total"] == 0
    assert service.state() == before


def test_many_small_ranges_are_one_answer(service):
    asked = "bytes=" + ",".join(f"{k}-{k}" for k in range(0, 1000, 2))
    status, _, body = service.ask("GET", RANGE, headers={"Range": asked})
    assert (status, body) == (200, (service.music / "one.wav").read_bytes())


def chunked(service, path: str, chunks) -> bytes:
    """What is answered to a body that comes bit by bit and does not say how long it is."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=120) as sock:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        sock.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode())
        for chunk in chunks:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := sock.recv(1 << 16):
                answer += part
        return answer


@pytest.mark.parametrize("path", ["/api/uploads", "/api/ratings"])
def test_a_body_that_does_not_say_how_long_it_is_is_counted(service, path):
    before = service.state()
    answer = chunked(service, path, [b"\0" * 60_000] * 6)
    assert answer.startswith(b"HTTP/1.1 413")
    assert service.state() == before


@pytest.mark.parametrize("path", ["/api/uploads", "/api/ratings"])
def test_a_body_that_does_not_come_is_not_waited_for(service, path):
    before = service.state()
    answer = chunked(service, path, [b"{"])
    assert answer.startswith(b"HTTP/1.1 408")
    assert service.state() == before


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localh",
        b"GET /static/page.css HTTP/1.1\r\nHost: localhost\r\n\r\nG",
    ],
)
def test_headers_that_do_not_end_are_not_waited_for(service, sent):
    with socket.create_connection(("127.0.0.1", service.port), timeout=120) as sock:
        sock.sendall(sent)
        while sock.recv(1 << 16):  # raises TimeoutError where nobody hangs up
            pass


def test_large_headers_are_refused(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=120) as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * (128 << 10))
        assert sock.recv(1 << 16).startswith(b"HTTP/1.1 400")


def test_two_names_are_refused(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=120) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert sock.recv(1 << 16).startswith(b"HTTP/1.1 400")


def test_elsewhere_a_token_is_needed_for_what_changes_something(start, tmp_path):
    with start(tmp_path, host="0.0.0.0", token="correct horse battery") as service:
        assert service.get("/api/songs")["total"] == len(service.songs)
        before = service.state()
        for given in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "correct horse battery"},
        ):
            for method, path, body in (
                ("POST", "/api/ratings", RATING),
                ("POST", "/api/mixes", PAIR),
                ("POST", "/api/uploads", b"RIFF"),
                ("DELETE", f"/api/jobs/{'0' * 24}", None),
            ):
                status, headers, _ = service.ask(method, path, body, headers=given)
                assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert service.state() == before
        right = {"Authorization": "Bearer correct horse battery"}
        assert service.ask("POST", "/api/ratings", RATING, headers=right)[0] == 201
        # An address cannot be another's name; a name can, so it must have been told to us.
        assert service.ask("GET", "/api/songs", headers={"Host": "192.0.2.1:80"})[0] == 200
        assert service.ask("GET", "/api/songs", headers={"Host": "music.example"})[0] == 421


def test_a_name_that_was_told_is_served(start, tmp_path):
    with start(tmp_path, names=("music.example",)) as service:
        headers = {"Host": "Music.example", "Origin": "https://music.example"}
        assert service.ask("POST", "/api/ratings", RATING, headers=headers)[0] == 201


def test_titles_are_no_markup(service):
    body = service.ask("GET", "/api/songs?search=onerror")
    assert body[1]["content-type"] == "application/json"
    (found,) = json.loads(body[2])["songs"]
    assert found["title"] == "<img src=x onerror=document.title='hit'>"
