"""The command: what it refuses, what it prints, how it ends."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from mashjax.library.database import open_library


def serve(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "mashjax.serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(*arguments: str) -> str:
    out, err = (process := serve(*arguments)).communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert len(err.splitlines()) == 1 and err.startswith("mashjax.serve: ")
    return err


def test_what_cannot_be_served_is_said_in_a_line(service, tmp_path):
    library, music = f"--library={service.library}", f"--music={service.music}"
    assert "no such folder" in refused(library, f"--music={tmp_path / 'x'}")
    assert "there is no library yet" in refused(f"--library={tmp_path / 'x'}", music)
    assert "takes no arguments" in refused(library, music, "more")
    open_library(tmp_path / "new", create=True).close()
    nothing = refused(f"--library={tmp_path / 'new'}", music)
    assert "has no songs that this mashjax described; run match index FOLDER" in nothing
    (tmp_path / "token").write_text("short")
    assert "needs 16 characters" in refused(library, music, f"--token_file={tmp_path / 'token'}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"--port={port}: cannot be listened on" in refused(library, music, f"--port={port}")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_it_says_where_it_is_and_ends_when_told(service, host):
    process = serve(
        f"--library={service.library}", f"--music={service.music}", "--port=0", f"--host={host}"
    )
    address = process.stdout.readline().strip()
    token = "" if host == "127.0.0.1" else r"/#token=[\w-]{32}"
    found = re.fullmatch(rf"http://{re.escape(host)}:(\d+){token}", address)
    assert found, address
    with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/api/songs") as answer:
        assert b"one" in answer.read()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (0, "", "")
