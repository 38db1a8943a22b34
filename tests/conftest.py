"""Sounds that several tests share; all of them are made here, none is read from disk."""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from mashjax.data.sources import Made, moments
from mashjax.data.store import SONG_ROW, Settings
from mashjax.data.writing import Place, create_arrays, finish, write_song
from mashjax.mixing.demo import SR, demo_song


@pytest.fixture(scope="session")
def demo_songs() -> list[np.ndarray]:
    """The first 12 s of both demo songs, [2, samples] at 44.1 kHz."""
    return [demo_song(number)[:, : 12 * SR] for number in (1, 2)]


@pytest.fixture(scope="session")
def make_store() -> Callable[..., str]:
    """The function `write_store`."""
    return write_store


def write_store(
    path: pathlib.Path, songs: dict[str, list[np.ndarray]], *, settings: Settings
) -> str:
    """A finished store of given rows, as a layout's songs would be written.

    songs: of each split, a list of songs, float [rows, sources, samples] each. All are in one
    cell, so each row's partners are all rows of other songs.
    """
    path.mkdir()
    songs = {split: songs.get(split, []) for split in ("train", "valid", "test")}
    counts = {split: len(rows) for split, rows in songs.items()}
    create_arrays(str(path), counts, settings=settings)
    places = {}
    for split, of_split in songs.items():
        for index, rows in enumerate(of_split):
            name = f"{split} {index}"
            places[name] = Place(str(path), split, index)
            about = {"song": name, "cell": "one", "tempo_bpm": 120.0}
            angle = np.float16([[np.cos(index), np.sin(index), *[0.0] * 10]])
            made = Made(
                rows=rows,
                examples=[{**about, "start": float(n)} for n in range(len(rows))],
                harmony=[angle] * len(rows) if settings.row == SONG_ROW else [],
                about={"seconds": 1.0, "tempo_bpm": 120.0, "key": "C major"},
                moments=moments(rows.sum(1)),
            )
            write_song(places[name], made, files={}, settings=settings)
    finish(str(path), places, settings=settings, left_out=[])
    return str(path)


@pytest.fixture(scope="session")
def write_genre_network() -> Callable[..., None]:
    """The function `write_network`."""
    return write_network


def write_network(folder: pathlib.Path, *, seed: int, inputs: str = "audio") -> None:
    """An export of a network of genres that nobody has trained."""
    import jax

    from mashjax.nn.weights import Weights, write_weights
    from mashjax.tasks import genre
    from mashjax.tasks.genre.examples import CHANNELS

    words = "" if inputs == "audio" else "la"
    model = genre.Config(
        network="dense", inputs=inputs, segments=8, genres="a\nb", words=words, dense=8,
        embedding=4, topics=1,
    )  # fmt: skip
    params = genre.init_model(model, jax.random.key(seed))
    known = {"mean": np.zeros(CHANNELS), "scale": np.ones(CHANNELS), "deciles": np.zeros(9)}
    known |= {"prior": np.full(2, 0.5)}
    if words:
        known |= {"rarity": np.ones(2), "vectors": np.ones((2, 1))}
        known |= {"centre": np.zeros(1), "spread": np.ones(1)}
    statistics = {name: np.float32(x) for name, x in known.items()}
    config = {"model": dataclasses.asdict(model)}
    write_weights(folder, Weights(params, statistics, {"task": "genre", "config": config}))
