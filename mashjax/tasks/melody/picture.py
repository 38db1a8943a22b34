"""A picture of a melody network's scores: how its measures are spread over the examples."""

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

    figure: Any = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    share = np.linspace(0, 100, len(next(iter(scores.values()))))
    for name, values in scores.items():
        label = f"{name.replace('_', ' ')}: {means[name]['mean']:.3f}"
        axis.plot(share, np.sort(values), label=label)
    axis.set(xlim=(0, 100), ylim=(0, 1.01), xlabel="examples, %, from the lowest")
    axis.set_ylabel("measure of an example")
    axis.legend(fontsize=8, frameon=False)
    axis.grid(alpha=0.3)
    figure.suptitle(title.replace("$", r"\$"), fontsize=10)
    figure.savefig(path, dpi=100, format="png")
