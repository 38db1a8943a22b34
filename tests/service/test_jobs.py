"""Work in processes of its own: awaited, ended, limited."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import soundfile
from fastapi import HTTPException

from mashjax.audio.files import write
from mashjax.errors import UserError
from mashjax.service import jobs as module
from mashjax.service.jobs import Jobs, ask
from mashjax.service.settings import Limits

LIMITS = {"CPU": 60, "AS": 1 << 30}


def decode(source, out, *, seconds: float = 60.0, limits: dict[str, int] | None = None) -> dict:
    arguments = {"source": str(source), "out": str(out), "seconds": seconds}
    return asyncio.run(
        ask(
            "decode",
            arguments,
            names={str(source): "My song"},
            limits=LIMITS if limits is None else limits,
            seconds=600,
        )
    )


def test_a_song_is_decoded_at_arm_s_length(tmp_path, sound):
    tone, sr = sound
    y = tone(3)
    write(tmp_path / "a.wav", y, sr=sr)
    assert decode(tmp_path / "a.wav", tmp_path / "b.flac") == {"seconds": 3.0}
    decoded, rate = soundfile.read(tmp_path / "b.flac", dtype="float32")
    assert rate == sr
    assert abs(decoded - y[0]).max() < 2e-7


def test_too_long_too_much_memory_too_much_on_disk(tmp_path, sound):
    tone, sr = sound
    write(tmp_path / "a.wav", tone(30), sr=sr)
    with pytest.raises(UserError, match="longer than"):
        decode(tmp_path / "a.wav", tmp_path / "b.flac", seconds=15)
    for limits in ({"AS": 60 << 20}, {"FSIZE": 10_000}):
        with pytest.raises(UserError):
            decode(tmp_path / "a.wav", tmp_path / "c.flac", limits=limits)


def test_a_refusal_names_the_song_and_no_place():
    from mashjax.service.worker import _without_paths

    names = {"/srv/my music/a.wav": "A song"}
    said = _without_paths("/srv/my music/a.wav: is silent; see /etc/mashjax/config", names)
    assert said == "A song: is silent; see config"


@pytest.fixture
def blocked(tmp_path, monkeypatch):
    """Arguments with which "decode" never ends, and the pids of the processes that try."""
    os.mkfifo(tmp_path / "fifo")
    started: list[int] = []
    create = asyncio.create_subprocess_exec

    async def noting(*args, **kwargs):
        process = await create(*args, **kwargs)
        started.append(process.pid)
        return process

    monkeypatch.setattr(module.asyncio, "create_subprocess_exec", noting)
    return {"source": str(tmp_path / "fifo"), "out": "x", "seconds": 1}, started


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_a_job_can_be_ended_and_others_wait_for_it(tmp_path, blocked):
    arguments, started = blocked
    (tmp_path / "jobs").mkdir()

    async def run():
        jobs = Jobs(tmp_path / "jobs", limits=Limits(running=1, waiting=1, job_seconds=60))
        first, second = (jobs.start("mix", "decode", lambda f: arguments, names={}) for _ in "ab")
        with pytest.raises(HTTPException) as refused:
            jobs.start("mix", "decode", lambda f: arguments, names={})
        assert refused.value.status_code == 429
        while len(started) < 1:
            await asyncio.sleep(0.01)
        assert (first.state, second.state, len(started)) == ("running", "waiting", 1)
        await jobs.remove(first.id)
        assert first.state == "cancelled" and not alive(started[0])
        assert not first.folder.exists()
        with pytest.raises(HTTPException):
            jobs.get(first.id)
        while len(started) < 2:
            await asyncio.sleep(0.01)
        assert second.state == "running"
        await jobs.close()
        assert second.state == "cancelled" and not alive(started[1])

    asyncio.run(run())


def test_a_job_that_takes_too_long_is_ended(tmp_path, blocked):
    arguments, started = blocked
    (tmp_path / "jobs").mkdir()

    async def run():
        jobs = Jobs(tmp_path / "jobs", limits=Limits(job_seconds=1))
        job = jobs.start("mix", "decode", lambda f: arguments, names={})
        await job.task
        assert (job.state, job.error) == ("failed", "took too long")
        assert not alive(started[0])

    asyncio.run(run())


def test_old_results_make_room(tmp_path, sound):
    tone, sr = sound
    write(tmp_path / "a.wav", tone(3), sr=sr)
    (tmp_path / "jobs").mkdir()

    async def run():
        jobs = Jobs(tmp_path / "jobs", limits=Limits(kept=1))
        made = []
        for _ in range(2):
            out = str(tmp_path / "b.flac")
            sent = {"source": str(tmp_path / "a.wav"), "out": out, "seconds": 9}
            made.append(jobs.start("mix", "decode", lambda f, sent=sent: sent, names={}))
            await made[-1].task
            assert made[-1].state == "done"
        assert not made[0].folder.exists() and made[1].folder.exists()

    asyncio.run(run())


def test_a_worker_ends_with_its_server(tmp_path, blocked):
    arguments, _ = blocked
    request = {"work": "decode", "arguments": arguments, "names": {}, "limits": {}}
    worker = subprocess.Popen(
        [sys.executable, "-m", "mashjax.service.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    worker.stdin.write(json.dumps(request).encode() + b"\n")
    worker.stdin.flush()
    with open(arguments["source"], "wb"):  # returns when the worker has opened it, too
        assert worker.poll() is None
        worker.stdin.close()
        deadline = time.monotonic() + 60
        while worker.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
    assert worker.returncode == -signal.SIGKILL
