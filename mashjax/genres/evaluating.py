"""A network's scores on a store, beside what needs no network, and its pictures."""

import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from mashjax.audio.files import replacing
from mashjax.data.batches import in_order
from mashjax.data.store import Store, decode, open_store
from mashjax.errors import UserError
from mashjax.genres import pictures
from mashjax.genres.measures import calibrated, measured, of_popularity
from mashjax.genres.models import read_model
from mashjax.nn.weights import Weights, write_weights
from mashjax.tasks.genre import ModelState, Predictions, fitted, predictions, tempered
from mashjax.tasks.genre.examples import labels, means
from mashjax.tasks.genre.prediction import CALIBRATION

BATCH = 64
MOST_FOR_FLOOR = 20_000  # training songs that the logistic regression sees


def evaluate(
    checkpoint: str | os.PathLike | None,
    *,
    data: str | os.PathLike,
    split: str = "test",
    step: int | str = "newest",
    plots: str | os.PathLike | None = None,
    export: str | os.PathLike | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> dict[str, Any]:
    """Score a checkpoint on a split of a store of tracks.

    Args:
      checkpoint: a run or an export.
      data: a store of --layout=genre.
      split: "train", "valid" or "test"; the temperature and the threshold come from "valid".
      step: of a run: "newest", "best" or a number.
      plots: a folder for the pictures, made if need be.
      export: a folder for the model with its temperature and threshold, for `genre predict`.
      progress: called with the name of each stage.

    Returns:
      What is printed as JSON: of the model, of logistic regression on the songs' means and of the
      commonest genre, see `measures.measured`; popularity, see `measures.of_popularity`.

    Raises:
      UserError: the checkpoint or the store cannot be used, or do not fit each other.
    """
    state, store = read_model(checkpoint, step=step), open_store(data)
    fitted(state.cfg, store)
    if export is not None:
        _check_export(pathlib.Path(export))
    progress("listening")
    found = _predictions(state, store, split)
    calibration = state.metadata.get(CALIBRATION)
    if calibration is None and store.count("valid"):
        of_valid = _predictions(state, store, "valid")
        calibration = calibrated(of_valid.genre, of_valid.right_genre)
    how = calibration or {"temperature": 1.0, "threshold": 0.0}
    said = tempered(found.genre, how["temperature"])
    right = found.right_genre
    progress("logistic regression")
    floor = _logistic_regression(state, store, split)
    prior = np.tile(state.statistics["prior"], (len(right), 1))
    result = {
        "checkpoint": os.fspath(checkpoint or ""),
        "step": state.metadata.get("step"),
        "network": state.cfg.network,
        "inputs": state.cfg.inputs,
        "data": os.fspath(data),
        "split": split,
        "songs": len(right),
        "genres": {
            name: int(n)
            for name, n in zip(
                state.cfg.names, np.bincount(right, minlength=len(state.cfg.names)), strict=True
            )
        },
        "calibration": calibration,
        "model": measured(said, right, threshold=how["threshold"]),
        "logistic_regression": measured(floor, right, threshold=0.0),
        "majority": measured(prior, right, threshold=0.0),
        "popularity": of_popularity(np.exp(found.decile), found.right_decile)
        if state.cfg.popularity
        else None,
    }
    if plots is not None:
        progress("drawing")
        result["plots"] = _draw(pathlib.Path(plots), state, said, right, checkpoint, result)
    if export is not None:
        metadata = {**state.metadata, CALIBRATION: calibration} if calibration else state.metadata
        write_weights(export, Weights(state.params, state.statistics, metadata))
    return result


def _predictions(state: ModelState, store: Store, split: str) -> Predictions:
    return predictions(state.cfg, state.params, state.statistics, _rows(state, store, split))


def _rows(state: ModelState, store: Store, split: str, *, most: int | None = None):
    parts = in_order(
        store, split=split, batch_size=BATCH, samples=state.cfg.segments, examples=most
    )
    return map(decode, parts)


def _logistic_regression(state: ModelState, store: Store, split: str) -> np.ndarray:
    """Probabilities [songs, genres] by a regression on the training songs' means."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def table(split: str, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        parts = [
            (
                np.asarray(means(state.cfg, state.statistics, x)),
                np.asarray(labels(state.statistics, x).genre),
            )
            for x in _rows(state, store, split, most=most)
        ]
        x, right = zip(*parts, strict=True)
        return np.concatenate(x), np.concatenate(right)

    x, right = table("train", MOST_FOR_FLOOR)
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    said = np.zeros((store.count(split), len(state.cfg.names)))
    said[:, np.unique(right)] = regression.fit(x, right).predict_proba(table(split)[0])
    return said


def _check_export(folder: pathlib.Path) -> None:
    if folder.is_file() or (folder.is_dir() and (folder / "checkpoints").exists()):
        raise UserError(f"{folder}: --export needs a folder of its own")
    if not folder.absolute().parent.is_dir():
        raise UserError(f"{folder}: --export: no such folder as {folder.absolute().parent}")


def _draw(
    folder: pathlib.Path,
    state: ModelState,
    said: np.ndarray,
    right: np.ndarray,
    checkpoint: str | os.PathLike | None,
    result: dict[str, Any],
) -> list[str]:
    """Write the pictures; their names."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made: {error.strerror}") from error
    names = state.cfg.names
    title = f"{result['songs']} songs of {result['split']}, {result['model']['accuracy']:.1%} right"
    drawn = {
        "confusion.png": lambda path: pictures.draw_confusion(
            path, said.argmax(axis=1), right, names, title=title
        ),
        "precision_recall.png": lambda path: pictures.draw_precision_recall(
            path, said, right, names, title=title
        ),
        "calibration.png": lambda path: pictures.draw_calibration(path, said, right, title=title),
    }
    metrics = pathlib.Path(checkpoint or "") / "metrics.jsonl"
    if metrics.is_file():  # an export has none
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        drawn["learning.png"] = lambda path: pictures.draw_learning(
            path, lines, majority=result["majority"]["accuracy"], title=os.fspath(checkpoint or "")
        )
    for name, draw in drawn.items():
        with replacing(folder / name) as beside:
            draw(beside)
    return list(drawn)
