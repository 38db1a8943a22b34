"""A picture of a network's scores: every pair beside the plain sum, and means with intervals."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

NAMES = {
    "sum": ("plain sum", "0.65"),
    "no_rotation": ("masks alone", "tab:cyan"),
    "model": ("model", "tab:blue"),
    "oracle": ("oracle mask", "tab:green"),
}
"""The estimates' names and colours."""

GROUPS = {
    "si_sdr": "mashup",
    "si_sdr_lead": "lead of song 1",
    "si_sdr_backing": "backing of song 2",
}


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

    figure: Any = Figure(figsize=(12, 6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.15])
    _draw_pairs(left.subplots(), scores["si_sdr_sum"], scores["si_sdr_model"])
    above, below = right.subfigures(2, 1, height_ratios=[1.2, 1])
    axis = above.subplots()
    _draw_means(axis, means, [name for name in GROUPS if f"{name}_sum" in means], decimals=1)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_ylabel("SI-SDR, dB")
    axis.set_title("Means and their 95 % intervals: higher is better", loc="left", fontsize=10)
    axis.legend(fontsize=8, ncols=4, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1))
    distance, phase = below.subplots(1, 2)
    _draw_means(distance, means, ["lsd"], decimals=1)
    distance.set_title("Log-spectral distance, dB: lower is better", loc="left", fontsize=10)
    _draw_means(phase, means, ["phi"], decimals=3)
    phase.set_title("Phase error, 1 - cos: lower is better", loc="left", fontsize=10)
    figure.suptitle(title.replace("$", r"\$"), fontsize=11)
    figure.savefig(path, dpi=100, format="png")


def _draw_pairs(axis: Any, plain: np.ndarray, model: np.ndarray) -> None:
    """Each pair's SI-SDR with the model over that without."""
    worse = model < plain
    low, high = np.min([plain, model]), np.max([plain, model])
    low, high = low - 0.05 * (high - low) - 0.5, high + 0.05 * (high - low) + 0.5
    axis.plot([low, high], [low, high], color="black", linewidth=0.8)
    size = float(np.clip(4000 / len(plain), 6, 40))
    for some, colour, label in (
        (~worse, "tab:blue", "better than the plain sum"),
        (worse, "tab:red", "worse"),
    ):
        label = f"{label}: {some.sum()}"
        axis.scatter(
            plain[some], model[some], s=size, color=colour, alpha=0.6, linewidths=0, label=label
        )
    axis.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axis.set_xlabel("plain sum, SI-SDR in dB")
    axis.set_ylabel("model, SI-SDR in dB")
    axis.set_title("Every pair", loc="left", fontsize=10)
    axis.legend(fontsize=8, ncols=2, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1))
    axis.grid(alpha=0.3)


def _draw_means(
    axis: Any, means: Mapping[str, Mapping[str, Any]], measures: list[str], *, decimals: int
) -> None:
    """A group of bars for each measure, a bar for each estimate of which it is known."""
    known = [name for name in NAMES if f"{measures[0]}_{name}" in means]
    width = 0.8 / len(known)
    for k, name in enumerate(known):
        label, colour = NAMES[name]
        places = [n for n, measure in enumerate(measures) if f"{measure}_{name}" in means]
        found = [means[f"{measures[n]}_{name}"] for n in places]
        x = np.array(places) + (k - (len(known) - 1) / 2) * width
        # None, of a single song, becomes NaN, which is not drawn.
        y, low, high = (np.array([s[of] for s in found], float) for of in ("mean", "low", "high"))
        axis.bar(x, y, 0.9 * width, color=colour, label=label)
        axis.errorbar(x, y, [y - low, high - y], fmt="none", ecolor="black", capsize=3, linewidth=1)
        for at, value, top in zip(x, y, np.fmax(high, np.maximum(y, 0)), strict=True):
            said, above = f"{value:.{decimals}f}", (0, 2)
            axis.annotate(
                said, (at, top), above, textcoords="offset points", ha="center", fontsize=8
            )
    axis.set_xticks(range(len(measures)), [GROUPS.get(measure, "") for measure in measures])
    axis.tick_params(axis="x", length=0)
    axis.margins(y=0.15)
    axis.spines[["top", "right"]].set_visible(False)
