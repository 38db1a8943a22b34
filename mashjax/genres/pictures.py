"""Where a network is wrong, how sure it may be, and how it learned: as PNG."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from mashjax.tasks.genre.picture import draw_reliability

MANY = 12  # genres of which each has a curve and a name of its own


def draw_confusion(
    path: str | os.PathLike,
    named: np.ndarray,
    right: np.ndarray,
    genres: Sequence[str],
    *,
    title: str,
) -> None:
    """Shares of each right genre (a row) that are named as each; int [songs] both."""
    count = np.zeros((len(genres), len(genres)))
    np.add.at(count, (right, named), 1)
    share = count / np.maximum(count.sum(axis=1, keepdims=True), 1)
    size = min(14.0, 3.5 + 0.45 * len(genres))
    figure = _figure(size + 1, size)
    axis = figure.subplots()
    image = axis.imshow(share, vmin=0, vmax=1, cmap="Blues")
    if len(genres) <= 2 * MANY:
        for (row, column), x in np.ndenumerate(share):
            if x >= 0.005:
                shade = "white" if x > 0.6 else "black"
                axis.text(column, row, f"{100 * x:.0f}", ha="center", va="center", color=shade,
                          fontsize=8)  # fmt: skip
    labels = [name.replace("$", r"\$") for name in genres]
    axis.set_xticks(range(len(genres)), labels, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(range(len(genres)), labels, fontsize=8)
    axis.set_xlabel("named as")
    axis.set_ylabel("is")
    figure.colorbar(image, ax=axis, shrink=0.8, label="share of the row")
    _save(figure, path, title)


def draw_precision_recall(
    path: str | os.PathLike,
    probabilities: np.ndarray,
    right: np.ndarray,
    genres: Sequence[str],
    *,
    title: str,
) -> None:
    """One curve for each genre, the most frequent ones where there are many, and all together."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure = _figure(8, 6)
    axis = figure.subplots()
    count = np.bincount(right, minlength=len(genres))
    for number in [k for k in np.argsort(-count, kind="stable")[:MANY] if count[k]]:
        is_it, p = right == number, probabilities[:, number]
        precision, recall, _ = precision_recall_curve(is_it, p)
        area = average_precision_score(is_it, p)
        name = genres[number].replace("$", r"\$")
        axis.plot(recall, precision, linewidth=1.1, label=f"{name}: {area:.2f}")
    everything = np.eye(len(genres))[right].ravel()
    precision, recall, _ = precision_recall_curve(everything, probabilities.ravel())
    axis.plot(recall, precision, color="black", linewidth=2, label="all together")
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axis.grid(alpha=0.3)
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False,
                title="average precision")  # fmt: skip
    _save(figure, path, title)


def draw_calibration(
    path: str | os.PathLike, probabilities: np.ndarray, right: np.ndarray, *, title: str
) -> None:
    """How often songs are named rightly against how probable that was said to be."""
    figure = _figure(6, 6)
    named = probabilities.argmax(axis=1)
    draw_reliability(figure.subplots(), probabilities.max(axis=1), named == right)
    _save(figure, path, title)


def draw_learning(
    path: str | os.PathLike, lines: Sequence[dict[str, Any]], *, majority: float, title: str
) -> None:
    """Loss and accuracy over the steps; lines: of a run's metrics.jsonl."""
    figure = _figure(9, 4)
    left, centre = figure.subplots(1, 2)
    train = [line for line in lines if "loss" in line]
    valid = [line for line in lines if "valid" in line]
    steps = [line["step"] for line in train]
    checked = [line["step"] for line in valid]
    left.plot(steps, [line["loss"] for line in train], label="training loss")
    score = [-line["valid"]["log_probability"] for line in valid]
    left.plot(checked, score, "o-", label="validation, genre alone")
    centre.plot(steps, [line["accuracy"] for line in train], alpha=0.5, label="training batches")
    centre.plot(checked, [line["valid"]["accuracy"] for line in valid], "o-", label="validation")
    centre.axhline(majority, color="black", linewidth=0.8, linestyle=":", label="commonest genre")
    for axis, what in ((left, "cross-entropy, nats"), (centre, "share right")):
        axis.set(xlabel="step", ylabel=what)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, frameon=False)
    _save(figure, path, title)


def _figure(width: float, height: float) -> Any:
    """Of so many inches, which no window will show."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: str | os.PathLike, title: str) -> None:
    figure.suptitle(title.replace("$", r"\$"), fontsize=10)
    figure.savefig(path, dpi=110, format="png")
