"""A picture of an autoencoder's scores: every example beside the principal components."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np


def draw_scores(
    scores: Mapping[str, np.ndarray],
    means: Mapping[str, Mapping[str, float | None]],
    path: str | os.PathLike,
    *,
    title: str,
) -> None:
    """Write a PNG.

    scores: of each example, as `evaluate` gives them; means: "mean", "low" and "high" of each.
    """
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(6, 6), layout="constrained")
    axis = figure.subplots()
    pca, model = (100 * scores[f"explained_{name}"] for name in ("pca", "model"))
    low, high = np.min([pca, model]) - 1, 100
    axis.plot([low, high], [low, high], color="black", linewidth=0.8)
    worse = scores["worse_than_pca"]
    for some, colour, label in ((~worse, "tab:blue", "better"), (worse, "tab:red", "worse")):
        style = {"s": 12, "color": colour, "alpha": 0.6, "linewidths": 0}
        axis.scatter(pca[some], model[some], label=f"{label}: {some.sum()}", **style)
    axis.plot(
        100 * (means["explained_pca"]["mean"] or np.nan),
        100 * (means["explained_model"]["mean"] or np.nan),
        "k+",
        markersize=14,
        label="mean",
    )
    axis.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axis.set_xlabel("principal components: variance explained, %")
    axis.set_ylabel("autoencoder: variance explained, %")
    axis.legend(fontsize=8, frameon=False)
    axis.grid(alpha=0.3)
    figure.suptitle(title.replace("$", r"\$"), fontsize=10)
    figure.savefig(path, dpi=100, format="png")
