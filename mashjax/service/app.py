"""The service's API and page. Clients name songs, parts and jobs by ids, never by paths."""

import contextlib
import dataclasses
import json
import logging
import pathlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field

import mashjax
from mashjax.errors import UserError
from mashjax.library import finding, rating
from mashjax.library.database import Library
from mashjax.library.rating import Side
from mashjax.service import guard, pairs, songs
from mashjax.service.jobs import Job, Jobs
from mashjax.service.peaks import Peaks
from mashjax.service.settings import Settings
from mashjax.service.uploads import Uploads

STATIC = pathlib.Path(__file__).parent / "static"
PAGES = {"/": "index.html", "/docs": "docs.html"}
TYPES = {".css": "text/css", ".js": "text/javascript", ".txt": "text/plain"}
FILES = {path.name: TYPES[path.suffix] for path in STATIC.iterdir() if path.suffix in TYPES}
SOUNDS = {".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".mp3": "audio/mpeg"}

SongId = Annotated[str, Path(pattern="^([1-9][0-9]{0,8}|u[0-9a-f]{24})$", max_length=25)]
JobId = Annotated[str, Path(pattern="^[0-9a-f]{24}$")]
Number = Annotated[int, Path(ge=0, le=99_999)]
Words = Annotated[str, Query(max_length=200, pattern="^[^\\x00-\\x1f\\x7f]*$")]


class Part(BaseModel):
    """A part of a song."""

    model_config = ConfigDict(extra="forbid")
    song: str = Field(pattern="^([1-9][0-9]{0,8}|u[0-9a-f]{24})$", max_length=25)
    part: int = Field(ge=0, le=99_999)


class Pair(BaseModel):
    """Two parts; role: what the first gives, the second gives the other."""

    model_config = ConfigDict(extra="forbid")
    query: Part
    partner: Part
    role: Literal["lead", "backing"]


class Rating(Pair):
    """How well two parts go together: 1, not at all, to 5."""

    rating: int = Field(ge=1, le=5)


def create_app(settings: Settings, library: Library) -> guard.Guard:
    """The service over an open library, as an ASGI application."""

    @contextlib.asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="mashjax-serve-") as place:
            folder = pathlib.Path(place)
            for name in ("jobs", "uploads"):
                (folder / name).mkdir()
            app.state.jobs = jobs = Jobs(folder / "jobs", limits=settings.limits)
            app.state.uploads = Uploads(folder / "uploads", jobs, limits=settings.limits)
            yield
            await jobs.close()

    app = FastAPI(
        title="mashjax",
        version=mashjax.__version__,
        lifespan=living,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
        exception_handlers={
            RequestValidationError: _invalid,
            UserError: _unavailable,
            Exception: _failed,
        },
    )
    _pages(app)
    _of_songs(app, settings, library)
    _of_uploads(app)
    _of_mixes(app, settings, library)
    return guard.Guard(app, settings)


def _pages(app: FastAPI) -> None:
    for address, name in PAGES.items():
        app.get(address, include_in_schema=False)(_page(name))

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> FileResponse:
        if name not in FILES:
            raise HTTPException(404, "there is no such file")
        return FileResponse(STATIC / name, media_type=FILES[name])


def _page(name: str) -> Callable[[], HTMLResponse]:
    def page() -> HTMLResponse:
        # wavesurfer.js draws with a style element of its own; no other has the nonce.
        nonce = secrets.token_urlsafe(18)
        html = (STATIC / name).read_text(encoding="utf-8").replace("{nonce}", nonce)
        policy = guard.POLICY.replace("style-src 'self'", f"style-src 'self' 'nonce-{nonce}'")
        return HTMLResponse(html, headers={"content-security-policy": policy})

    return page


def _of_songs(app: FastAPI, settings: Settings, library: Library) -> None:
    peaks = Peaks()

    @app.get("/api/songs", tags=["songs"])
    def list_songs(
        search: Words = "",
        first: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
        most: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> dict[str, Any]:
        """The library's songs, a page at a time."""
        return songs.listed(library, search=search, first=first, most=most)

    @app.get("/api/songs/{song}", tags=["songs"])
    def song(request: Request, song: SongId) -> dict[str, Any]:
        """A song and its parts."""
        entry = _entry(request, settings, library, song)
        title = entry.title if song.startswith("u") else ""
        parts = [segment.told() for segment in entry.segments()]
        return {**songs.about(entry.row, id=song, title=title), "parts": parts}

    @app.get("/api/songs/{song}/peaks", tags=["songs"])
    def song_peaks(request: Request, song: SongId) -> dict[str, Any]:
        """A song's outline: its length in seconds, and magnitudes 0..1 at equal distances."""
        return peaks.of(_entry(request, settings, library, song).file)

    @app.get("/api/songs/{song}/audio", tags=["songs"], response_class=FileResponse)
    def song_audio(request: Request, song: SongId) -> FileResponse:
        """A song's file, or the range of it that is asked for."""
        return _sound(_entry(request, settings, library, song).file)

    partners = pairs.Partners(library)

    @app.get("/api/songs/{song}/parts/{part}/partners", tags=["partners"])
    def song_partners(
        request: Request,
        song: SongId,
        part: Number,
        role: Literal["any", "lead", "backing"] = "any",
        top: Annotated[int, Query(ge=1, le=50)] = 10,
    ) -> dict[str, Any]:
        """The library's parts that mix with a part, best first; role: what the part does."""
        _, query = _part(request, settings, library, Part(song=song, part=part))
        found = partners.of(query, role=role, top=top)
        return {"partners": [_about_partner(partner) for partner in found]}


def _of_uploads(app: FastAPI) -> None:
    body = {"content": {"application/octet-stream": {"schema": {"format": "binary"}}}}

    @app.post(
        guard.UPLOADS,
        status_code=201,
        tags=["uploads"],
        openapi_extra={"requestBody": {"required": True, **body}},
    )
    async def upload(request: Request, name: Words = "upload") -> dict[str, Any]:
        """Bring a song, the file's bytes as the body; its parts are found by a job."""
        id, job = await request.app.state.uploads.receive(request.stream(), title=name or "upload")
        return {"song": id, "job": _about_job(job)}

    @app.delete("/api/uploads/{song}", status_code=204, tags=["uploads"])
    async def delete_upload(
        request: Request, song: Annotated[str, Path(pattern="^u[0-9a-f]{24}$")]
    ) -> None:
        """Delete a song that was brought."""
        await request.app.state.uploads.remove(song)


def _of_mixes(app: FastAPI, settings: Settings, library: Library) -> None:
    @app.post("/api/mixes", status_code=202, tags=["mixes"])
    async def start_mix(request: Request, pair: Pair) -> dict[str, Any]:
        """Mix two parts; the answer is the job that does it."""

        def prepare() -> dict[str, Any]:
            (query, part1), (partner, part2) = (
                _part(request, settings, library, part) for part in (pair.query, pair.partner)
            )
            found = pairs.match(library, part1, part2, role=pair.role)
            return {
                "songs": [str(query.file), str(partner.file)],
                "titles": [query.title, partner.title],
                "parts": [pairs.segment_to(part.segment) for part in (part1, part2)],
                "match": dataclasses.asdict(found),
            }

        arguments = await run_in_threadpool(prepare)
        job = request.app.state.jobs.start(
            "mix",
            "mix",
            lambda folder: {**arguments, "out": str(folder / "mashup.wav")},
            names=dict(zip(arguments["songs"], arguments["titles"], strict=True)),
        )
        return _about_job(job)

    @app.get("/api/jobs/{job}", tags=["mixes"])
    async def job(request: Request, job: JobId) -> dict[str, Any]:
        """How far a job is."""
        return _about_job(request.app.state.jobs.get(job))

    @app.delete("/api/jobs/{job}", status_code=204, tags=["mixes"])
    async def delete_job(request: Request, job: JobId) -> None:
        """End a job, and remove what it has made."""
        await request.app.state.jobs.remove(job)

    @app.get("/api/mixes/{job}/audio", tags=["mixes"], response_class=FileResponse)
    async def mix_audio(request: Request, job: JobId) -> FileResponse:
        """The mashup, or the range of it that is asked for."""
        return _sound(_mixed(request, job).folder / "mashup.wav", download="mashup.wav")

    @app.get("/api/mixes/{job}/report", tags=["mixes"])
    async def mix_report(request: Request, job: JobId) -> dict[str, Any]:
        """What was decided and why; `mask` is how much of the second song is heard when."""
        return json.loads((_mixed(request, job).folder / "mashup.json").read_text())

    @app.post("/api/ratings", status_code=201, tags=["partners"])
    def rate(request: Request, rated: Rating) -> dict[str, Any]:
        """Say how well two parts go together; the library learns from it."""
        (query, part1), (partner, part2) = (
            _part(request, settings, library, part) for part in (rated.query, rated.partner)
        )
        found = pairs.match(library, part1, part2, role=rated.role)
        sides = (
            Side(entry.row.sha256, part.segment)
            for entry, part in ((query, part1), (partner, part2))
        )
        rating.rate(library, *sides, match=found, rating=rated.rating)
        return {"rating": rated.rating}


def _entry(request: Request, settings: Settings, library: Library, id: str) -> songs.Entry:
    if not id.startswith("u"):
        return songs.entry(library, int(id), id=id, music=settings.music)
    upload = request.app.state.uploads.get(id)
    return songs.entry(upload.library, None, id=id, music=upload.music, title=upload.title)


def _part(
    request: Request, settings: Settings, library: Library, part: Part
) -> tuple[songs.Entry, finding.Part]:
    entry = _entry(request, settings, library, part.song)
    return entry, entry.part(part.part)


def _mixed(request: Request, id: str) -> Job:
    job = request.app.state.jobs.get(id)
    if job.kind != "mix" or job.state != "done":
        raise HTTPException(404, "there is no such mashup")
    return job


def _about_partner(partner: finding.Partner) -> dict[str, Any]:
    return {
        "song": str(partner.part.song_id),
        "title": pathlib.PurePosixPath(partner.part.song).stem,
        "part": partner.part.segment.told(),
        **partner.match.told(),
        "why": partner.why,
    }


def _about_job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "stage": job.stage,
        "error": job.error,
    }


def _sound(path: pathlib.Path, *, download: str | None = None) -> FileResponse:
    return FileResponse(
        path,
        media_type=SOUNDS[path.suffix.lower()],
        filename=download,
        content_disposition_type="inline",
        headers={"cache-control": "private, no-cache"},
    )


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong where, without what was sent."""
    assert isinstance(error, RequestValidationError)
    found = [{name: e[name] for name in ("loc", "msg", "type")} for e in error.errors()]
    return JSONResponse({"detail": found}, 422)


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    """The library cannot be read or written: who runs the service learns why."""
    logging.error("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"detail": "the library cannot be used at present"}, 503)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    """A fault of ours; the guard logs it."""
    return JSONResponse({"detail": guard.FAILED}, 500)
