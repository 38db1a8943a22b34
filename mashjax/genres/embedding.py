"""Songs as vectors, in a file and on a map."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mashjax.audio.files import check_ending, check_folder, replacing
from mashjax.data.batches import in_order
from mashjax.data.store import decode, open_store
from mashjax.errors import UserError
from mashjax.genres.evaluating import BATCH
from mashjax.library.charts import ENDINGS, Chart, Shades, draw_chart
from mashjax.tasks.genre import ModelState, fitted, predictions, tempered

VECTORS = (".npy", ".parquet")
LEAST = 5  # songs on a map


class Embedded(NamedTuple):
    """songs: their names; vectors: float32 [songs, embedding]; right, named: genres, "" where not
    known; sure: the probability of what is named."""

    songs: list[str]
    vectors: np.ndarray
    right: list[str]
    named: list[str]
    sure: np.ndarray


def embed_store(state: ModelState, data: str | os.PathLike, *, split: str) -> Embedded:
    """All songs of a split, in the store's order.

    Raises:
      UserError: the store cannot be used, or is not of what the model learned.
    """
    store = open_store(data)
    fitted(state.cfg, store)
    parts = in_order(store, split=split, batch_size=BATCH, samples=state.cfg.segments)
    found = predictions(state.cfg, state.params, state.statistics, map(decode, parts))
    said = tempered(found.genre, state.temperature)
    names = state.cfg.names
    return Embedded(
        songs=[example["song"] for example in store.examples(split)],
        vectors=found.embedding,
        right=[names[k] if k >= 0 else "" for k in found.right_genre],
        named=[names[k] for k in said.argmax(axis=1)],
        sure=said.max(axis=1),
    )


def check_outputs(vectors: str | None, picture: str | None) -> None:
    """Raises UserError where a file cannot be written, or its ending means nothing."""
    if not (vectors or picture):
        raise UserError(
            "say --out=, a file of vectors (.npy or .parquet), or --map=, .png or .html"
        )
    for path, endings in ((vectors, VECTORS), (picture, ENDINGS)):
        if path:
            check_ending(path, endings)
            check_folder(path)
    if vectors and vectors.endswith(".parquet"):
        _pyarrow()


def write_vectors(found: Embedded, path: str) -> list[str]:
    """Write the vectors; the names of the files.

    .parquet: columns song, genre, named, probability and vector. .npy: the vectors alone, and
    their songs in a .csv of the same name.
    """
    columns: dict[str, Any] = {
        "song": found.songs,
        "genre": found.right,
        "named": found.named,
        "probability": [round(float(p), 4) for p in found.sure],
    }
    if path.endswith(".parquet"):
        arrow, parquet = _pyarrow()
        width = found.vectors.shape[1]
        flat = arrow.array(found.vectors.astype(np.float32).ravel())
        columns["vector"] = arrow.FixedSizeListArray.from_arrays(flat, width)
        with replacing(path) as beside:
            parquet.write_table(arrow.table(columns), beside)
        return [path]
    import csv

    table = pathlib.Path(path).with_suffix(".csv")
    with replacing(table) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    with replacing(path) as beside, open(beside, "wb") as file:
        np.save(file, found.vectors.astype(np.float32))
    return [path, os.fspath(table)]


def draw_map(found: Embedded, path: str, *, title: str) -> None:
    """The songs in two dimensions by t-SNE (van der Maaten & Hinton, 2008), with a fixed seed.

    Raises:
      UserError: there are too few songs.
    """
    from sklearn.manifold import TSNE

    count = len(found.songs)
    if count < LEAST:
        raise UserError(f"{path}: a map needs {LEAST} songs, and there are {count}")
    method = TSNE(perplexity=min(30.0, (count - 1) / 3), init="pca", random_state=0)
    chart = Chart(
        at=method.fit_transform(found.vectors.astype(np.float64)),
        said=[
            f"{song}: {right or 'of unknown genre'}, named {named} ({sure:.0%})"
            for song, right, named, sure in zip(*found[:1], *found[2:], strict=True)
        ],
        shades={"genre": _shades(found.right), "named": _shades(found.named)},
        title=title,
        about=f"{count} songs",
        axes=("t-SNE 1", "t-SNE 2"),
        what="song",
    )
    with replacing(path) as beside:
        draw_chart(chart, beside, colour="genre")


def _shades(names: Sequence[str]) -> Shades:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    known = sorted(set(names))
    colours = colormaps["tab10" if len(known) <= 10 else "tab20"].colors  # type: ignore[attr-defined]
    of: dict[str, str] = {name: to_hex(colours[k % len(colours)]) for k, name in enumerate(known)}
    return [of[name] for name in names], [(name or "not known", of[name]) for name in known]


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UserError(".parquet needs pyarrow: pip install 'mashjax[parquet]'") from error
    return pyarrow, pyarrow.parquet
