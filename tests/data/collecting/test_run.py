"""Collecting from a server on this machine, through the real yt-dlp."""

import contextlib
import fcntl
import hashlib
import http.server
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

import numpy as np
import pytest
import soundfile

from mashjax.audio import files
from mashjax.collect import collect, report
from mashjax.data.collecting import collection, fetching
from mashjax.data.layouts.labelled import find_mashups
from mashjax.errors import UserError

SR = 22050
PAGE = "<html><head><title>{title}</title></head><body>{body}</body></html>"
FEED = """<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel><title>A feed</title>
{items}</channel></rss>"""
ITEM = '<item><title>{title}</title><enclosure url="{url}" type="audio/mpeg"/></item>'


class Server:
    """Serves `content`, path -> bytes, and misbehaves as told.

    downloads: the paths that were sent whole, in order; yt-dlp also looks at the first bytes.
    stall: paths of which half is sent, then nothing until `released`; `stalled` counts them.
    cut: path -> how many times the connection breaks in the middle.
    """

    def __init__(self):
        self.content, self.downloads, self.requests = {}, [], 0
        self.stall, self.stalled, self.released = set(), 0, threading.Event()
        self.cut, self.slow, self.silent = {}, 0.0, set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                with contextlib.suppress(ConnectionError):
                    outer.answer(self)

            def log_message(self, *args): ...

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/{urllib.parse.quote(path)}"

    def add(self, path: str, data: bytes) -> str:
        self.content[path] = data
        return self.url(path)

    def answer(self, request) -> None:
        self.requests += 1
        path = urllib.parse.unquote(request.path[1:])
        if path in self.silent:
            self.released.wait(30)
            return
        if path not in self.content:
            request.send_error(404, "Not Found")
            return
        data = self.content[path]
        request.send_response(200)
        ending = pathlib.Path(path).suffix
        types = {".mp3": "audio/mpeg", ".webm": "video/webm", ".html": "text/html"}
        if ending in types:
            request.send_header("Content-Type", types[ending])
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        half = len(data) // 2
        request.wfile.write(data[:half])
        time.sleep(self.slow)
        if path in self.stall:
            self.stalled += 1
            self.released.wait(30)
        if self.cut.get(path, 0) > 0 and len(data) > 5000:
            # yt-dlp looks first, and then downloads: a look breaks, too, and does not mind
            self.cut[path] -= 1
            return
        request.wfile.write(data[half:])
        self.downloads.append(path)

    def close(self) -> None:
        self.released.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch, tmp_path_factory):
    """No proxy, and no ffmpeg: tests that need it put one on the path."""
    programs = tmp_path_factory.mktemp("programs")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return programs


@pytest.fixture(scope="session")
def audio(tmp_path_factory):
    """A function: the bytes of a tone of 3 s (or `seconds`) in a format."""
    folder = tmp_path_factory.mktemp("audio")

    def make(ending="mp3", *, hertz=440.0, seconds=3.0, sr=SR, artist="", **how) -> bytes:
        t = np.arange(round(seconds * sr)) / sr
        path = folder / f"x.{ending}"
        with soundfile.SoundFile(path, "w", sr, 1, **how) as file:
            if artist:
                file.artist = artist
            file.write(0.3 * np.sin(2 * np.pi * hertz * t))
        return path.read_bytes()

    return make


def hertz(path) -> float:
    """The strongest frequency of a file."""
    clip = files.read(path)
    spectrum = np.abs(np.fft.rfft(clip.y[0]))
    return float(spectrum.argmax() * clip.sr / clip.y.shape[1])


def listing(tmp_path, *addresses, name="songs.txt"):
    path = tmp_path / name
    path.write_text("\n".join(addresses) + "\n")
    return path


def table(tmp_path, *rows):
    lines = ["label,original1,original2", *(",".join(row) for row in rows)]
    return listing(tmp_path, *lines, name="mashups.csv")


def manifest(folder):
    return json.loads((folder / "SOURCES.json").read_text())["sources"]


def hashes(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_list_of_songs_becomes_numbered_files(server, audio, tmp_path):
    mp3 = audio("mp3", hertz=300, artist="Someone")
    urls = [
        server.add("First song.mp3", mp3),
        server.add("zweites Stück [live].ogg", audio("ogg", hertz=400)),
        server.add("third.wav", audio("wav", hertz=500)),
        server.add("夜.flac", audio("flac", hertz=600)),
        server.add("fifth.opus", audio("ogg", sr=48000, hertz=700, subtype="OPUS")),
        server.add("no-ending", audio("mp3", hertz=800)),
    ]
    out = tmp_path / "out"
    summary = collect(out, addresses=listing(tmp_path, *urls))
    assert (summary.files, summary.new, summary.failed) == (6, 6, [])
    titles = ["First song", "zweites Stück (live)", "third", "夜", "fifth", "no-ending"]
    expected = [f"[{i}][{title}].mp3" for i, title in enumerate(titles)]
    assert names(out) == sorted(["SOURCES.json", *expected])
    for i, name in enumerate(expected):
        assert hertz(out / name) == pytest.approx(300 + 100 * i, abs=1.0)
    assert (out / expected[0]).read_bytes() == mp3, "what is mp3 already is not encoded again"
    assert manifest(out)[0] == {
        "index": 0,
        "address": urls[0],
        "file": expected[0],
        "title": "First song",
        "artist": "Someone",
        "seconds": 3.0,
        "bytes": len(mp3),
        "sha256": hashlib.sha256(mp3).hexdigest(),
    }
    assert sum(s["bytes"] for s in manifest(out)) == summary.bytes


@pytest.mark.parametrize("format", ["flac", "wav", "ogg"])
def test_other_formats(server, audio, tmp_path, format):
    url = server.add("a.mp3", audio("mp3"))
    collect(tmp_path / "out", addresses=listing(tmp_path, url), format=format)
    path = tmp_path / "out" / f"[0][a].{format}"
    assert soundfile.info(path).format == format.upper()
    assert hertz(path) == pytest.approx(440, abs=1.0)


def test_a_rate_that_mp3_does_not_know_is_resampled(server, audio, tmp_path):
    url = server.add("a.wav", audio("wav", sr=96000))
    collect(tmp_path / "out", addresses=listing(tmp_path, url))
    path = tmp_path / "out" / "[0][a].mp3"
    assert soundfile.info(path).samplerate == 48000
    assert hertz(path) == pytest.approx(440, abs=1.0)


def test_a_table_becomes_a_labelled_folder(server, audio, tmp_path):
    m, n, a, b, c = (
        server.add(f"{x}.mp3", audio("mp3", hertz=hz))
        for x, hz in zip("mnabc", (300, 400, 500, 600, 700), strict=True)
    )
    out = tmp_path / "out"
    summary = collect(out, addresses=table(tmp_path, (m, a, b), (n, b, c), (m, a, b)))
    expected = {
        "[0][m].mp3": 300,
        "[0][0][a].mp3": 500,
        "[0][1][b].mp3": 600,
        "[1][n].mp3": 400,
        "[1][0][b].mp3": 600,
        "[1][1][c].mp3": 700,
    }
    assert names(out) == sorted(["SOURCES.json", *expected])
    for name, frequency in expected.items():
        assert hertz(out / name) == pytest.approx(frequency, abs=1.0)
    assert os.path.samefile(out / "[0][1][b].mp3", out / "[1][0][b].mp3")
    assert (summary.rows, summary.complete, summary.files, summary.repeated) == (2, 2, 6, 1)
    assert "mashups: 2 of 2 complete" in report(summary)
    mashups, left_out = find_mashups(out)
    assert ([m.label.name for m in mashups], left_out) == (["[0][m].mp3", "[1][n].mp3"], [])


def test_two_rows_of_one_mashup_with_other_originals(server, tmp_path):
    m, a, b = (server.url(x) for x in "mab")
    with pytest.raises(UserError, match=f"{m}: is in two rows with other originals"):
        collect(tmp_path / "out", addresses=table(tmp_path, (m, a, b), (m, b, a)))
    assert not (tmp_path / "out").exists()


def test_a_feed_is_a_playlist(server, audio, tmp_path):
    items = [
        ITEM.format(title=title, url=server.add(f"{i}.mp3", audio("mp3", hertz=300 + 100 * i)))
        for i, title in enumerate(["One [A] / B", "Two", "Three"])
    ]
    feed = server.add("feed", FEED.format(items="".join(items)).encode())
    out = tmp_path / "out"
    assert collect(out, playlist=feed, limit=2).files == 2
    assert names(out) == ["SOURCES.json", "[0][One (A) _ B].mp3", "[1][Two].mp3"]
    # Feeds put the new in front: what is there keeps its number, and is not fetched again.
    items.insert(0, ITEM.format(title="New", url=server.add("n.mp3", audio("mp3", hertz=900))))
    server.add("feed", FEED.format(items="".join(items)).encode())
    before, server.downloads = hashes(out), []
    summary = collect(out, playlist=feed)
    assert (summary.files, summary.new) == (4, 2)
    assert {n: h for n, h in hashes(out).items() if n in before and n != "SOURCES.json"} == {
        n: h for n, h in before.items() if n != "SOURCES.json"
    }
    assert hertz(out / "[2][New].mp3") == pytest.approx(900, abs=1.0)
    assert hertz(out / "[3][Three].mp3") == pytest.approx(500, abs=1.0)
    assert not {"0.mp3", "1.mp3"} & set(server.downloads)


def test_a_page_of_players_is_a_playlist(server, audio, tmp_path):
    players = "".join(
        f"<audio src='{server.add(f'{i}.mp3', audio('mp3', hertz=300 + 100 * i))}'></audio>"
        for i in range(2)
    )
    page = server.add("page.html", PAGE.format(title="My page", body=players).encode())
    out = tmp_path / "out"
    assert collect(out, playlist=page).files == 2
    assert names(out) == ["SOURCES.json", "[0][My page (1)].mp3", "[1][My page (2)].mp3"]
    assert hertz(out / "[1][My page (2)].mp3") == pytest.approx(400, abs=1.0)
    summary = collect(tmp_path / "other", addresses=listing(tmp_path, page))
    assert summary.failed[0].failed == "is a list of several; give it to --playlist"


def test_a_single_song_is_a_playlist_of_one(server, audio, tmp_path):
    assert collect(tmp_path / "out", playlist=server.add("a.mp3", audio("mp3"))).files == 1


@pytest.mark.parametrize(
    ("address", "says"),
    [("nonsense", "is no address"), ("missing", "HTTP Error 404"), ("empty", "without entries")],
)
def test_a_playlist_that_gives_nothing(server, tmp_path, address, says):
    server.add("empty", FEED.format(items="").encode())
    address = address if address == "nonsense" else server.url(address)
    with pytest.raises(UserError, match=f"{address}.*{says}"):
        collect(tmp_path / "out", playlist=address)
    assert not (tmp_path / "out").exists()


def test_failures_are_listed_with_their_reason_and_tried_again(server, audio, tmp_path):
    whole = audio("wav", seconds=8)
    bad = {
        "gone.mp3": (None, "HTTP Error 404"),
        "archive.zip": (np.random.default_rng(0).bytes(5000), "is not audio"),
        "lies.mp3": (b"<html>hello</html>" * 9, "is not audio"),
        "page.html": (PAGE.format(title="x", body="text").encode(), "Unsupported URL"),
        "short.mp3": (audio("mp3", seconds=1), "lasts 1.0"),
        "half.wav": (whole[: len(whole) * 3 // 4], "truncated: only the first 6.0 s"),
        "video.webm": (b"\x1aE\xdf\xa3" * 100, "comes as webm only: install ffmpeg"),
        "nothing.mp3": (b"", ""),
    }
    urls = [
        server.add(path, data) if data is not None else server.url(path)
        for path, (data, _) in bad.items()
    ]
    good = server.add("good.mp3", audio("mp3"))
    out, addresses = tmp_path / "out", listing(tmp_path, *urls, good)
    summary = collect(out, addresses=addresses)
    assert (summary.files, len(summary.failed)) == (1, len(bad))
    for source, (path, (_, why)) in zip(summary.failed, bad.items(), strict=True):
        assert source.address.endswith(path) and why in source.failed, source
        assert (
            "\n" not in source.failed
            and "ERROR" not in source.failed
            and str(out) not in source.failed
        )
    assert [s.get("failed") for s in manifest(out)] == [*(s.failed for s in summary.failed), None]
    assert names(out) == ["SOURCES.json", f"[{len(bad)}][good].mp3"]
    server.add("gone.mp3", audio("mp3", hertz=900))
    again = collect(out, addresses=addresses)
    assert (again.files, again.new, len(again.failed)) == (2, 1, len(bad) - 1)
    assert hertz(out / "[0][gone].mp3") == pytest.approx(900, abs=1.0)
    assert "failed" not in manifest(out)[0]


def test_nothing_is_fetched_twice(server, audio, tmp_path):
    urls = [server.add(f"{x}.mp3", audio("mp3")) for x in "ab"]
    out = tmp_path / "out"
    collect(out, addresses=listing(tmp_path, *urls, urls[0]))
    assert sorted(set(server.downloads)) == ["a.mp3", "b.mp3"]
    before, server.downloads = hashes(out), []
    summary = collect(out, addresses=listing(tmp_path, *urls))
    assert (summary.files, summary.new, server.downloads) == (2, 0, [])
    assert hashes(out) == before
    (out / "[0][a].mp3").unlink()
    assert collect(out, addresses=listing(tmp_path, *urls)).new == 1
    assert hashes(out) == before


def test_a_file_changed_by_hand_is_named_and_left_alone(server, audio, tmp_path):
    url = server.add("a.mp3", audio("mp3"))
    out = tmp_path / "out"
    collect(out, addresses=listing(tmp_path, url))
    (out / "[0][a].mp3").write_bytes(b"mine")
    summary = collect(out, addresses=listing(tmp_path, url))
    assert "changed since it was collected: [0][a].mp3" in report(summary)
    assert (out / "[0][a].mp3").read_bytes() == b"mine"


def test_a_connection_that_breaks_once_does_no_harm(server, audio, tmp_path):
    data = audio("mp3", seconds=10)
    url = server.add("a.mp3", data)
    server.cut["a.mp3"] = 2  # the look, and the first download
    collect(tmp_path / "out", addresses=listing(tmp_path, url))
    assert (tmp_path / "out" / "[0][a].mp3").read_bytes() == data


@pytest.mark.parametrize("how", ["silent", "stall", "cut"])
def test_a_server_that_hangs_is_given_up(server, audio, tmp_path, how):
    urls = [server.add(f"{x}.mp3", audio("mp3", seconds=10)) for x in "ab"]
    if how == "cut":
        server.cut["a.mp3"] = 1000
    else:
        getattr(server, how).add("a.mp3")
    summary = collect(tmp_path / "out", addresses=listing(tmp_path, *urls), timeout=0.3)
    assert [s.address for s in summary.failed] == [urls[0]]
    assert ("bytes" if how == "cut" else "timed out") in summary.failed[0].failed
    assert names(tmp_path / "out") == ["SOURCES.json", "[1][b].mp3"]


def test_an_endless_stream_is_given_up(server, audio, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "MAX_FETCH_SECONDS", -1)
    url = server.add("a.mp3", audio("mp3"))
    summary = collect(tmp_path / "out", addresses=listing(tmp_path, url))
    assert "is it a live stream?" in summary.failed[0].failed


def test_what_is_too_long_is_left_out(server, audio, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "MAX_SECONDS", 2)
    url = server.add("a.mp3", audio("mp3"))
    summary = collect(tmp_path / "out", addresses=listing(tmp_path, url))
    assert "up to 0 min are taken" in summary.failed[0].failed


FFMPEG = """#!{python}
import sys, numpy, soundfile
source = open(sys.argv[sys.argv.index("-i") + 1].removeprefix("file:"), "rb").read()
if not source.startswith(b"\\x1aE"): sys.exit("no such codec")
y = 1.5 * numpy.sin(2 * numpy.pi * 250 * numpy.arange(3 * 48000) / 48000)
soundfile.write(sys.argv[-1].removeprefix("file:"), y, 48000, subtype="FLOAT", format="WAV")
"""


def test_ffmpeg_decodes_what_libsndfile_does_not(server, tmp_path, bare_machine):
    (bare_machine / "ffmpeg").write_text(FFMPEG.format(python=sys.executable))
    (bare_machine / "ffmpeg").chmod(0o755)
    urls = [server.add("v.webm", b"\x1aE\xdf\xa3" * 100), server.add("w.webm", b"other" * 100)]
    out = tmp_path / "out"
    summary = collect(out, addresses=listing(tmp_path, *urls), format="flac")
    assert summary.failed[0].failed == "holds no audio that ffmpeg can read"
    assert hertz(out / "[0][v].flac") == pytest.approx(250, abs=1.0)
    assert np.abs(files.read(out / "[0][v].flac").y).max() == pytest.approx(1.0, abs=1e-4)


def test_without_ffmpeg_the_readable_of_two_formats_is_taken(server, audio, tmp_path):
    sources = f"<source src='{server.add('a.webm', b'x' * 9999)}' type='audio/webm'>"
    sources += f"<source src='{server.add('a.mp3', audio('mp3'))}' type='audio/mpeg'>"
    page = PAGE.format(title="Choice", body=f"<audio>{sources}</audio>")
    url = server.add("page.html", page.encode())
    collect(tmp_path / "out", addresses=listing(tmp_path, url))
    assert hertz(tmp_path / "out" / "[0][Choice (1)].mp3") == pytest.approx(440, abs=1.0)


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_a_full_disk_ends_the_run_and_leaves_nothing_half(server, audio, tmp_path, format):
    """wav: the download does not fit; flac: what it is converted to does not."""
    noise = 0.1 * np.random.default_rng(0).normal(size=(4 * SR, 2))
    soundfile.write(tmp_path / "x.wav", noise, SR, subtype="PCM_16")
    soundfile.write(tmp_path / "x.ogg", noise, SR)
    ending = "wav" if format == "wav" else "ogg"
    urls = [
        server.add("small.wav", audio("wav", sr=8000)),
        server.add(f"large.{ending}", (tmp_path / f"x.{ending}").read_bytes()),
    ]
    out = tmp_path / "out"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(UserError, match=r"cannot be written: (File too large|No space left)"):
            collect(out, addresses=listing(tmp_path, *urls), format=format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(out) == ["SOURCES.json", f"[0][small].{format}"]
    assert collect(out, addresses=listing(tmp_path, *urls), format=format).new == 1


def test_an_output_that_cannot_be(server, tmp_path):
    addresses = listing(tmp_path, server.url("a"))
    (tmp_path / "file").touch()
    for output, says in {
        "no/such": "no does not exist; create it first",
        "file": "is a file; name a folder",
        "file/x": "cannot be made: Not a directory",
    }.items():
        with pytest.raises(UserError, match=says):
            collect(tmp_path / output, addresses=addresses)


def test_one_at_a_time(server, tmp_path):
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(UserError, match=r"another .* is at work"):
        collect(tmp_path, addresses=listing(tmp_path, server.url("a")))
    os.close(handle)


def test_without_yt_dlp_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    for where in ({"playlist": "http://x"}, {"addresses": listing(tmp_path, "http://x")}):
        with pytest.raises(UserError, match=r"pip install 'mashjax\[collect\]'"):
            collect(tmp_path / "out", **where)
    assert not (tmp_path / "out").exists()


def test_killed_between_the_manifest_and_the_name(server, audio, tmp_path, monkeypatch):
    url = server.add("a.mp3", audio("mp3"))
    out, addresses = tmp_path / "out", listing(tmp_path, url)
    move = os.replace

    def die(old, new):
        if pathlib.Path(new).parent == out and pathlib.Path(new).suffix == ".mp3":
            raise KeyboardInterrupt
        move(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(collection.os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            collect(out, addresses=addresses)
    assert not list(out.glob("*.mp3"))
    server.downloads = []
    summary = collect(out, addresses=addresses)
    assert (summary.files, summary.new, server.downloads) == (1, 0, [])
    assert names(out) == ["SOURCES.json", "[0][a].mp3"]
    assert manifest(out)[0]["sha256"] == hashes(out)["[0][a].mp3"]


def command(*arguments):
    return [sys.executable, "-m", "mashjax.collect", *map(str, arguments)]


def run(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def test_killed_while_a_server_stalls_it_goes_on_where_it_was(server, audio, tmp_path):
    urls = [
        server.add(f"{x}.mp3", audio("mp3", hertz=hz))
        for x, hz in zip("abc", (300, 400, 500), strict=True)
    ]
    out = tmp_path / "out"
    arguments = f"--addresses={listing(tmp_path, *urls)}", f"--output={out}"
    server.stall.add("b.mp3")
    process = subprocess.Popen(command(*arguments))
    while server.stalled < 2 and process.poll() is None:  # the look, then the download
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert names(out) == [".collecting", "SOURCES.json", "[0][a].mp3"]
    server.stall.clear()
    server.released.set()
    server.downloads = []
    done = run(*arguments)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("files: 3 (2 new), failed: 0\naudio: 9 s, ")
    assert names(out) == ["SOURCES.json", "[0][a].mp3", "[1][b].mp3", "[2][c].mp3"]
    assert "a.mp3" not in server.downloads
    assert hertz(out / "[1][b].mp3") == pytest.approx(400, abs=1.0)


@pytest.mark.slow
def test_killed_ten_times_the_folder_is_that_of_one_run(server, audio, tmp_path):
    rows = []
    for i in range(8):
        row = [f"{x}{i}.ogg" for x in "mab"]
        rows.append([server.add(p, audio("ogg", hertz=300 + 10 * i)) for p in row])
    addresses = table(tmp_path, *rows)
    collect(tmp_path / "whole", addresses=addresses)
    server.slow = 0.02
    killed, draw = 0, random.Random(0)
    while killed < 10:
        process = subprocess.Popen(
            command(f"--addresses={addresses}", f"--output={tmp_path / 'out'}"),
            stdout=subprocess.DEVNULL,
        )
        enough = server.requests + draw.randint(1, 3)
        while server.requests < enough and process.poll() is None:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.1))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
    assert run(f"--addresses={addresses}", f"--output={tmp_path / 'out'}").returncode == 0
    assert killed >= 5
    assert hashes(tmp_path / "out") == hashes(tmp_path / "whole")


def test_what_a_killed_run_was_writing_is_removed(server, audio, tmp_path):
    addresses = listing(tmp_path, server.add("good.ogg", audio("ogg")))
    out = tmp_path / "out"
    collect(out, addresses=addresses)
    before = hashes(out)
    (out / ".SOURCES.abc123.json").write_text("{")
    collect(out, addresses=addresses)
    assert hashes(out) == before


def test_the_command_counts_and_is_strict_where_asked(server, audio, tmp_path):
    gone, good = server.url("gone.mp3"), server.add("good.mp3", audio("mp3"))
    lies = server.add("lies.mp3", b"<html>hi</html>")  # libmpg123 would say so on stderr
    arguments = f"--addresses={listing(tmp_path, gone, lies, good)}", f"--output={tmp_path / 'out'}"
    done = run(*arguments)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[0] == "files: 1 (1 new), failed: 2"
    assert done.stdout.splitlines()[-2].startswith(f"failed {gone}: ")
    done = run(*arguments, "--strict")
    assert done.returncode == 2
    assert done.stderr == "mashjax.collect: 2 of 3 files could not be fetched (--strict)\n"
    done = run(*arguments[:1], f"--output={tmp_path / 'none'}", "--limit=1")
    assert done.returncode == 2 and "nothing could be collected" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--output=x"], "say either --addresses=FILE or --playlist=ADDRESS"),
        (["--playlist=b", "--output=x", "--format=aac"], "format"),
        (["--addresses=no.txt", "--output=x"], "no.txt: no such file"),
        (["stray", "--output=x"], "unexpected argument 'stray'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(arguments, says):
    done = run(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and says in done.stderr


def test_help_says_what_may_be_collected():
    done = run("--help")
    assert done.returncode == 0
    assert "Collect only what you have the right to" in done.stdout
