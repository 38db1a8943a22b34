"""Long work: each job in a process of its own, few at a time; any can be ended at any moment."""

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import secrets
import shutil
import signal
import sys
from collections.abc import Callable
from typing import Any

from fastapi import HTTPException

from mashjax.errors import UserError
from mashjax.service.settings import Limits

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclasses.dataclass
class Job:
    """kind: "mix" or "upload"; folder: its own, for what it makes; state: "waiting", "running",
    "done", "failed" or "cancelled"; stage: what it is at; error: why it failed."""

    id: str
    kind: str
    folder: pathlib.Path
    state: str = "waiting"
    stage: str = ""
    error: str = ""
    task: asyncio.Task | None = None

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


class Jobs:
    """All jobs of a server. Ids cannot be guessed: whoever knows one may see and end the job."""

    def __init__(self, folder: pathlib.Path, *, limits: Limits):
        self._folder, self._limits = folder, limits
        self._jobs: dict[str, Job] = {}
        self._turn = asyncio.Semaphore(limits.running)

    def start(
        self,
        kind: str,
        work: str,
        arguments: Callable[[pathlib.Path], dict[str, Any]],
        *,
        names: dict[str, str],
    ) -> Job:
        """Start a job, or let it wait.

        Args:
          work, arguments: see `worker`; the arguments are asked for with the job's folder.
          names: what errors call a path.
        """
        open_jobs = [job for job in self._jobs.values() if not job.ended]
        if len(open_jobs) >= self._limits.running + self._limits.waiting:
            raise HTTPException(429, "too many jobs are waiting; try again later")
        ended = [job for job in self._jobs.values() if job.ended and job.kind == "mix"]
        for job in ended[: max(0, len(ended) - self._limits.kept + 1)]:
            self._forget(job)
        id = secrets.token_hex(12)
        job = self._jobs[id] = Job(id, kind, self._folder / id)
        job.folder.mkdir()
        job.task = asyncio.create_task(
            self._work(job, work, arguments(job.folder), {str(job.folder): "", **names})
        )
        return job

    def get(self, id: str) -> Job:
        if id not in self._jobs:
            raise HTTPException(404, "there is no such job")
        return self._jobs[id]

    async def remove(self, id: str) -> None:
        """End a job if it runs, and remove what it made."""
        job = self.get(id)
        await self._end(job)
        self._forget(job)

    async def close(self) -> None:
        for job in list(self._jobs.values()):
            await self._end(job)

    async def _end(self, job: Job) -> None:
        assert job.task
        job.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await job.task

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    async def _work(
        self, job: Job, work: str, arguments: dict[str, Any], names: dict[str, str]
    ) -> None:
        def staged(stage: str) -> None:
            job.stage = stage

        try:
            async with self._turn:
                job.state = "running"
                limits = {"CPU": int(self._limits.job_seconds) * (os.cpu_count() or 1)}
                await ask(
                    work,
                    arguments,
                    names=names,
                    limits=limits,
                    seconds=self._limits.job_seconds,
                    staged=staged,
                )
                job.state = "done"
        except UserError as error:
            job.state, job.error = "failed", str(error)
        except asyncio.CancelledError:
            job.state = "cancelled"
            raise


async def ask(
    work: str,
    arguments: dict[str, Any],
    *,
    names: dict[str, str],
    limits: dict[str, int],
    seconds: float,
    staged: Callable[[str], None] = lambda stage: None,
) -> dict[str, Any]:
    """What a `worker` answers; it and all of its children end with this call.

    Args:
      limits: of `resource`, without RLIMIT_: {"CPU": 60, "AS": 2 << 30}.
      seconds: that it may take, by the clock.
      staged: called with each stage.

    Raises:
      UserError: why it did not work, in words for the client.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mashjax.service.worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, **(_ONE_THREAD if "AS" in limits else {})},
    )
    assert process.stdin and process.stdout
    request = {"work": work, "arguments": arguments, "names": names, "limits": limits}
    process.stdin.write(json.dumps(request).encode() + b"\n")
    try:
        async with asyncio.timeout(seconds):
            async for line in process.stdout:
                answer = json.loads(line)
                if "stage" in answer:
                    staged(answer["stage"])
                elif "refused" in answer:
                    raise UserError(answer["refused"])
                else:
                    return answer["done"]
            code = await process.wait()
    except TimeoutError as error:
        raise UserError("took too long") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdin.close()
        await process.wait()
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise UserError("took too long")
    logging.error("a job (%s) ended with %s", work, code)
    raise UserError("failed; the server's log says why")
