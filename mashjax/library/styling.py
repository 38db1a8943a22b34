"""Songs' styles: where a genre network of the user's puts each of them on its map.

A library that was told of a network once (`match index --genres=MODEL`) remembers it, keeps each
song's embedding beside its key and tempo, and compares them. Without one it knows no styles.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import sqlalchemy as sa

from mashjax.audio.files import replacing
from mashjax.data.executors import run_all
from mashjax.data.layouts.folders import original, shown
from mashjax.data.sealing import file_sha256
from mashjax.data.sources import Rejected
from mashjax.data.tracks import Track
from mashjax.errors import UserError
from mashjax.library.database import Library
from mashjax.library.indexing import root_of
from mashjax.library.tables import SETTINGS, SONGS

if TYPE_CHECKING:  # it loads JAX, which a search in a library needs not
    from mashjax.tasks.genre import ModelState

ANALYSIS = 1  # of the tracks that are kept; goes up when a segment or its features change
SETTING = "genres"  # the network's place and the hash of its arrays, as JSON
NONE = "none"  # in place of a network: forget it


class Network(NamedTuple):
    """A genre network: its folder or address, what it is, and a hash of its arrays."""

    place: str
    state: "ModelState"
    sha256: str


def network_at(place: str) -> Network:
    """Raises UserError: it cannot be read, or does not hear."""
    from mashjax.nn.weights import flatten, sha256
    from mashjax.tasks.genre import from_weights
    from mashjax.training.loading import read_checkpoint

    state = from_weights(read_checkpoint(place), name=place)
    if not state.cfg.hears:
        raise UserError(f"{place}: reads words alone, and of a library's songs none are known")
    leaves = flatten({"params": state.params, "statistics": state.statistics})
    hashes = (f"{name} {sha256(np.asarray(leaf))}" for name, leaf in sorted(leaves.items()))
    place = place if "://" in place else os.path.abspath(place)
    return Network(place, state, hashlib.sha256("\n".join(hashes).encode()).hexdigest())


def remembered(library: Library) -> tuple[Network | None, bool]:
    """The network that gave the songs their styles, and whether it is what it was then.

    Raises:
      UserError: it is gone.
    """
    with library.reading() as connection:
        known = connection.scalar(_KNOWN)
    if known is None:
        return None, True
    place, before = json.loads(known)
    try:
        network = network_at(original(place))
    except UserError as error:
        raise UserError(
            f"{error}; {library.name} has its songs' styles of it: run match index with --genres=, "
            f"where it is now or {NONE}"
        ) from error
    return network, network.sha256 == before


def style_songs(
    library: Library,
    network: Network | None,
    *,
    pool: concurrent.futures.Executor,
    ahead: int,
    progress: Callable[[str], None] = lambda stage: None,
) -> list[Rejected]:
    """Give every song of the library its style, if it has none of this network; what has none.

    network: None: no song has a style any more. pool: where songs are analysed, at most `ahead`
    at a time.

    Raises:
      UserError: another process is indexing.
    """
    known = json.dumps([shown(network.place), network.sha256]) if network else None
    left_out: list[Rejected] = []
    with library.holding() as writing:
        with writing() as connection:
            if connection.scalar(_KNOWN) != known:
                connection.execute(sa.delete(SETTINGS).where(SETTINGS.c.name == SETTING))
                connection.execute(sa.update(SONGS).values(style=None))
                if known:
                    connection.execute(sa.insert(SETTINGS), {"name": SETTING, "value": known})
            wanted = sa.select(SONGS.c.path, SONGS.c.sha256).where(SONGS.c.style.is_(None))
            songs = [tuple(row) for row in connection.execute(wanted.order_by(SONGS.c.path))]
        if network is None:
            return []
        for found in tracks_of(library, songs, pool=pool, ahead=ahead, progress=progress):
            if isinstance(found, Rejected):
                left_out.append(found)
                continue
            style = placed(network.state, found).tobytes()
            with writing() as connection:
                song = SONGS.c.sha256 == found.track_id
                connection.execute(sa.update(SONGS).where(song).values(style=style))
    return left_out


def style_of_file(library: Library, path: pathlib.Path) -> np.ndarray | None:
    """The style of a song that is not in the library; None: it has none, or no network is known.

    Raises:
      UserError: the library's network is gone, or is not what it was.
    """
    network, same = remembered(library)
    if network is None:
        return None
    if not same:
        raise UserError(
            f"{network.place}: was trained since it gave {library.name} its songs' styles; run "
            "match index again"
        )
    found = track_of(os.fspath(path), file_sha256(path))
    return None if isinstance(found, Rejected) else placed(network.state, found)


_KNOWN = sa.select(SETTINGS.c.value).where(SETTINGS.c.name == SETTING)


def placed(state: "ModelState", track: Track) -> np.ndarray:
    """Where a network puts a song by its sound alone, float32 [embedding]."""
    from mashjax.tasks.genre import predict

    return predict(state, [without_words(track)]).embedding[0].astype("<f4")


def without_words(track: Track) -> Track:
    """A library knows no words: with them, a song would be unlike all that are in it."""
    return dataclasses.replace(track, words=None)


def tracks_of(
    library: Library,
    songs: Iterable[tuple[str, str]],
    *,
    pool: concurrent.futures.Executor,
    ahead: int,
    progress: Callable[[str], None],
) -> Iterator[Track | Rejected]:
    """The tracks of songs of a library, in no order, named by the hashes of their files.

    songs: path and SHA-256 of each. What was found is kept in the user's cache by that hash.
    """
    root, songs = root_of(library), list(songs)
    jobs: Iterator[tuple[Callable, tuple, dict]] = (
        (track_of, (str(root / original(path)), sha), {}) for path, sha in songs
    )
    for done, found in enumerate(run_all(pool, jobs, ahead=ahead), 1):
        progress(f"song {done} of {len(songs)}")
        yield found


def track_of(path: str, sha256: str) -> Track | Rejected:
    """A song's track, analysed or as it was kept. Runs anywhere."""
    from mashjax.data.layouts.tracks import read_track

    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    kept = pathlib.Path(base) / "mashjax" / "tracks" / f"{sha256}-{ANALYSIS}.npz"
    arrays = _read(kept)
    if arrays is None:
        try:
            track = read_track(path)
        except UserError as error:
            return Rejected(path, str(error))
        arrays = {name: getattr(track, name) for name in _KEPT}
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as beside, open(beside, "wb") as file:
            np.savez(file, **arrays)
    return Track(sha256, "", "", **{**arrays, "seconds": float(arrays["seconds"])})


_KEPT = ("chroma", "timbre", "starts", "seconds")


def _read(path: pathlib.Path) -> dict[str, Any] | None:
    """What was kept; None where there is nothing, or what a full disk left."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in _KEPT}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
