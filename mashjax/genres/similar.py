"""Which songs of a library are most like a song, to a genre network."""

import concurrent.futures
import dataclasses
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import sqlalchemy as sa

from mashjax.audio.files import replacing
from mashjax.data.executors import run_all
from mashjax.data.layouts.folders import original
from mashjax.data.layouts.tracks import read_track
from mashjax.data.sources import Rejected
from mashjax.data.tracks import Track
from mashjax.errors import UserError
from mashjax.library.database import Library
from mashjax.library.indexing import root_of
from mashjax.library.tables import SONGS
from mashjax.tasks.genre import ModelState, predict, tempered

ANALYSIS = 1  # of what is kept; goes up when a segment or its features change


def similar(
    library: Library,
    state: ModelState,
    track: Track,
    *,
    count: int,
    pool: concurrent.futures.Executor,
    ahead: int,
    progress: Callable[[str], None] = lambda stage: None,
) -> tuple[list[dict[str, Any]], list[Rejected]]:
    """The library's songs that sound most like a track, and those that could not be read.

    A song is analysed once, whatever the network: what was found is kept in the user's cache, by
    the hash of its file. The likeness is the cosine between embeddings, -1..1.

    Args:
      library: its songs are read from its folder.
      state: the network.
      track: the song that is asked about.
      count: how many, at most.
      pool: where songs are analysed, at most `ahead` at a time.

    Raises:
      UserError: the library is empty.
    """
    with library.reading() as connection:
        rows = connection.execute(sa.select(SONGS.c.path, SONGS.c.sha256).order_by(SONGS.c.path))
        songs = [(row.path, row.sha256) for row in rows]
    if not songs:
        raise UserError(f"{library.name}: has no songs")
    root = root_of(library)
    jobs: Iterator[tuple[Callable, tuple, dict]] = (
        (track_of, (str(root / original(path)), sha), {}) for path, sha in songs
    )
    tracks: list[tuple[str, Track]] = []
    left_out: list[Rejected] = []
    for done, outcome in enumerate(run_all(pool, jobs, ahead=ahead), 1):
        progress(f"song {done} of {len(songs)}")
        if isinstance(outcome, Rejected):
            left_out.append(outcome)
        else:
            path, found = outcome
            tracks.append((os.path.relpath(path, root), found))
    if not tracks:
        return [], left_out
    tracks.sort(key=lambda one: one[0])
    # The library knows no words: with them, the song asked about would be unlike all others.
    asked = dataclasses.replace(track, words=None)
    said = predict(state, [asked, *(found for _, found in tracks)])
    unit = said.embedding / np.linalg.norm(said.embedding, axis=1, keepdims=True)
    likeness = unit[1:] @ unit[0]
    p = tempered(said.genre[1:], state.temperature)
    nearest = np.argsort(-likeness, kind="stable")[:count]
    return [
        {
            "path": tracks[k][0],
            "likeness": round(float(likeness[k]), 4),
            "genre": state.cfg.names[p[k].argmax()],
            "probability": round(float(p[k].max()), 4),
        }
        for k in nearest
    ], left_out


def track_of(path: str, sha256: str) -> tuple[str, Track] | Rejected:
    """A song's track, analysed or as it was kept, and its path. Runs anywhere."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    kept = pathlib.Path(base) / "mashjax" / "tracks" / f"{sha256}-{ANALYSIS}.npz"
    arrays = _read(kept)
    if arrays is not None:
        return path, Track(sha256, "", "", float(arrays["seconds"]), arrays["chroma"],
                           arrays["timbre"], arrays["starts"])  # fmt: skip
    try:
        track = read_track(path)
    except UserError as error:
        return Rejected(path, str(error))
    kept.parent.mkdir(parents=True, exist_ok=True)
    with replacing(kept) as beside, open(beside, "wb") as file:
        np.savez(file, chroma=track.chroma, timbre=track.timbre, starts=track.starts,
                 seconds=track.seconds)  # fmt: skip
    return path, track


def _read(path: pathlib.Path) -> dict[str, np.ndarray] | None:
    """What was kept; None where there is nothing, or what a full disk left."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in ("chroma", "timbre", "starts", "seconds")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
