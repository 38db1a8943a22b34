"""A user's own folders of stems as a store, for as long as it takes to read it."""

import contextlib
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Iterator

import mashjax
from mashjax.data.building import Progress, build_store
from mashjax.data.layouts.stems import find_stems_songs
from mashjax.data.store import SPLITS, Settings, Store, open_store
from mashjax.errors import UserError

SPLIT = SPLITS[0]
"""Where all of them are: they are one group, and so few groups are for training."""

FEW = 12
"""Fewer songs than these hardly meet on the grid that training's songs are brought to."""

WIDE = Settings(tempos_per_octave=3, max_shift=4)
"""A grid on which any two songs of one meter meet: up to 26 % of stretch and 4 semitones."""


@contextlib.contextmanager
def own_stems(
    folder: str | os.PathLike,
    *,
    sample_rate: int,
    seconds: float,
    stems_map: str | os.PathLike | None = None,
    workers: int = 1,
    progress: Progress = lambda done, total: None,
) -> Iterator[Store]:
    """Within: a store of all songs of a folder, in `SPLIT`. It is gone afterwards.

    Fewer than `FEW` songs are brought further than training's, so that each has partners.

    Args:
      folder: see `find_stems_songs`.
      sample_rate: of the store, Hz.
      seconds: length of its examples.
      stems_map: a JSON file that says which stems lead.
      workers, progress: see `build_store`.

    Raises:
      UserError: there are no songs, or no two of them fit.
    """
    found = find_stems_songs(folder, stems_map=stems_map)
    songs = [dataclasses.replace(song, group="all") for song in found]
    settings = dataclasses.replace(
        WIDE if len(songs) < FEW else Settings(),
        sample_rate=sample_rate,
        seconds=seconds,
        mashjax_version=mashjax.__version__,
    )
    with tempfile.TemporaryDirectory(prefix="mashjax-") as temporary:
        path = pathlib.Path(temporary, "store")
        workers = min(workers, len(songs))
        try:
            build_store(songs, str(path), settings=settings, workers=workers, progress=progress)
        except UserError as error:
            raise UserError(f"{os.fspath(folder)}: {error}") from error
        yield open_store(path)


def left_out(store: Store) -> dict[str, str]:
    """Why songs are in no example: they could not be used, or fit no other."""
    used = {example["song"] for example in store.examples(SPLIT)}
    alone = {
        name: f"fits no other song: {song['tempo_bpm']:.0f} BPM, {song['key']}, "
        f"{song['beats_per_bar']} beats per bar"
        for name, song in store.manifest["songs"].items()
        if name not in used
    }
    return {r["id"]: r["why"] for r in store.manifest["rejected"]} | alone
