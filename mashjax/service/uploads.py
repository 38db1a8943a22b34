"""Songs that clients bring: decoded at arm's length, described, never added to the library.

They last as long as the server, or until they are deleted. Whoever knows an upload's id may use it,
and ids cannot be guessed.
"""

import asyncio
import dataclasses
import pathlib
import secrets
import shutil
from collections.abc import AsyncIterator

from fastapi import HTTPException

from mashjax.errors import UserError
from mashjax.library.database import Library, open_library
from mashjax.service.jobs import Job, Jobs, ask
from mashjax.service.settings import Limits

DECODERS = 2  # at a time


@dataclasses.dataclass
class Upload:
    """folder: its own, with "music" in it; job: describes it; library: once it is described."""

    title: str
    folder: pathlib.Path
    job: Job | None = None
    library: Library | None = None

    @property
    def music(self) -> pathlib.Path:
        return self.folder / "music"


class Uploads:
    """All uploads of a server."""

    def __init__(self, folder: pathlib.Path, jobs: Jobs, *, limits: Limits):
        self._folder, self._jobs, self._limits = folder, jobs, limits
        self._uploads: dict[str, Upload] = {}
        self._decoding = asyncio.Semaphore(DECODERS)

    async def receive(self, body: AsyncIterator[bytes], *, title: str) -> tuple[str, Job]:
        """A new upload's id, and the job that finds its parts.

        Raises:
          HTTPException: 429, there are too many; 415, it is no sound, or not one within limits.
        """
        if len(self._uploads) >= self._limits.uploads:
            raise HTTPException(429, "too many uploads are kept; delete one")
        id = "u" + secrets.token_hex(12)
        upload = self._uploads[id] = Upload(title, self._folder / id)
        try:
            upload.music.mkdir(parents=True)
            source = upload.folder / "received"
            with source.open("wb") as file:
                async for chunk in body:
                    file.write(chunk)
            async with self._decoding:
                await self._decode(source, upload.music / "song.flac", title=title)
            source.unlink()
            upload.job = self._jobs.start(
                "upload",
                "describe",
                lambda folder: {"music": str(upload.music), "library": str(self._place(upload))},
                names={str(upload.music / "song.flac"): title, "song.flac": title},
            )
        except BaseException:
            self._forget(id)
            raise
        return id, upload.job

    async def _decode(self, source: pathlib.Path, out: pathlib.Path, *, title: str) -> None:
        limits = self._limits
        try:
            await ask(
                "decode",
                {"source": str(source), "out": str(out), "seconds": limits.upload_seconds},
                names={str(source): title},
                limits={
                    "CPU": int(limits.decode_seconds),
                    "AS": limits.decode_bytes,
                    "FSIZE": int(limits.upload_seconds * 192000 * 2 * 3),
                    "NOFILE": 64,
                },
                seconds=5 * limits.decode_seconds,
            )
        except UserError as error:
            raise HTTPException(415, f"the file {error}") from error

    def get(self, id: str) -> Upload:
        """Raises HTTPException: 404, there is none; 409, its parts are not known yet."""
        upload = self._uploads.get(id)
        if upload is None or upload.job is None:
            raise HTTPException(404, "there is no such song")
        if upload.job.state != "done":
            raise HTTPException(409, f"the song's parts are not known: {upload.job.state}")
        if upload.library is None:
            upload.library = open_library(self._place(upload))
        return upload

    async def remove(self, id: str) -> None:
        upload = self._uploads.get(id)
        if upload is None or upload.job is None:
            raise HTTPException(404, "there is no such upload")
        await self._jobs.remove(upload.job.id)
        self._forget(id)

    def _place(self, upload: Upload) -> pathlib.Path:
        return upload.folder / "mashjax.library"

    def _forget(self, id: str) -> None:
        upload = self._uploads.pop(id)
        if upload.library:
            upload.library.close()
        shutil.rmtree(upload.folder, ignore_errors=True)
