"""Pictures of what a network says: how far its probabilities can be trusted, where it is wrong."""

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
    """Write a PNG: how often songs are named rightly against how probable that was said to be.

    scores: of each example, as `evaluate` gives them; means: "mean", "low" and "high" of each.
    """
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(6, 6), layout="constrained")
    axis = figure.subplots()
    draw_reliability(axis, scores["confidence"], scores["accuracy"] > 0)
    figure.suptitle(title.replace("$", r"\$"), fontsize=10)
    figure.savefig(path, dpi=100, format="png")


def draw_reliability(axis: Any, confidence: np.ndarray, right: np.ndarray) -> None:
    """On an axis: bars of the share that is right among songs of like confidence, [songs] each."""
    tenth = np.clip((10 * confidence).astype(int), 0, 9)
    count = np.bincount(tenth, minlength=10)
    share = np.bincount(tenth, right, 10) / np.maximum(count, 1)
    middles = np.arange(10) / 10 + 0.05
    axis.bar(middles, share, width=0.09, color="tab:blue", alpha=0.75)
    for x, y, n in zip(middles, share, count, strict=True):
        if n:
            axis.text(x, y + 0.01, str(n), ha="center", fontsize=7)
    axis.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    axis.set(xlim=(0, 1), ylim=(0, 1.06), xlabel="probability said", ylabel="share right")
    axis.grid(alpha=0.3)
