"""Which songs of a library are most like a song, to a genre network."""

import concurrent.futures
from collections.abc import Callable
from typing import Any

import numpy as np
import sqlalchemy as sa

from mashjax.data.sources import Rejected
from mashjax.data.tracks import Track
from mashjax.errors import UserError
from mashjax.library.database import Library
from mashjax.library.styling import tracks_of, without_words
from mashjax.library.tables import SONGS
from mashjax.tasks.genre import ModelState, predict, tempered


def similar(
    library: Library,
    state: ModelState,
    track: Track,
    *,
    sha256: str,
    count: int,
    pool: concurrent.futures.Executor,
    ahead: int,
    progress: Callable[[str], None] = lambda stage: None,
) -> tuple[list[dict[str, Any]], list[Rejected]]:
    """The library's songs that sound most like a track, and those that could not be read.

    The likeness is the cosine between embeddings, -1..1.

    Args:
      library: its songs are read from its folder, each once, whatever the network.
      state: the network.
      track: the song that is asked about; sha256: of its file, which may be in the library.
      count: how many, at most.
      pool: where songs are analysed, at most `ahead` at a time.

    Raises:
      UserError: the library has no other songs; the network does not hear.
    """
    if not state.cfg.hears:
        raise UserError(f"the network reads words alone, and {library.name} knows none")
    with library.reading() as connection:
        others = sa.select(SONGS.c.path, SONGS.c.sha256).where(SONGS.c.sha256 != sha256)
        rows = connection.execute(others)
        paths = {row.sha256: row.path for row in rows}
    if not paths:
        raise UserError(f"{library.name}: has no other songs")
    songs = [(path, sha) for sha, path in paths.items()]
    found = list(tracks_of(library, songs, pool=pool, ahead=ahead, progress=progress))
    tracks = [one for one in found if isinstance(one, Track)]
    left_out = [one for one in found if isinstance(one, Rejected)]
    if not tracks:
        return [], left_out
    tracks.sort(key=lambda one: paths[one.track_id])
    said = predict(state, [without_words(one) for one in (track, *tracks)])
    unit = said.embedding / np.linalg.norm(said.embedding, axis=1, keepdims=True)
    likeness = unit[1:] @ unit[0]
    p = tempered(said.genre[1:], state.temperature)
    nearest = np.argsort(-likeness, kind="stable")[:count]
    return [
        {
            "path": paths[tracks[k].track_id],
            "likeness": round(float(likeness[k]), 4),
            "genre": state.cfg.names[p[k].argmax()],
            "probability": round(float(p[k].max()), 4),
        }
        for k in nearest
    ], left_out
