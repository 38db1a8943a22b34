"""Points in two dimensions, in colours that can be changed: as PNG, or as a page of its own."""

import dataclasses
import html
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

ENDINGS = (".png", ".html")
RADIUS = 6.0  # of a point, in pixels of the page
WIDTH, HEIGHT, EDGE = 960, 640, 24  # pixels of the page's drawing

Shades = tuple[list[str], list[tuple[str, str]]]
"""Each point's colour (#rrggbb), and a legend: names and their colours."""


@dataclasses.dataclass(frozen=True)
class Chart:
    """What is drawn.

    at: [points, 2]; said: what the page says of each; shades: ways to colour them, by name, a
    word; title, about: above it; axes: what both dimensions are; what: a point is one.
    """

    at: np.ndarray
    said: Sequence[str]
    shades: dict[str, Shades]
    title: str
    about: str
    axes: tuple[str, str]
    what: str


def draw_chart(chart: Chart, path: str | os.PathLike, *, colour: str) -> None:
    """Write it to `path`, which ends in .png or .html, with `colour`, one of `chart.shades`."""
    if os.fspath(path).endswith(".html"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(as_html(chart, colour=colour))
    else:
        _draw_png(chart, path, colour=colour)


def _draw_png(chart: Chart, path: str | os.PathLike, *, colour: str) -> None:
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(10, 7), layout="constrained")
    axis = figure.subplots()
    colours, legend = chart.shades[colour]
    axis.scatter(*chart.at.T, s=24, c=colours, alpha=0.8, linewidths=0.3, edgecolors="white")
    for name, shade in legend:
        axis.scatter([], [], s=24, color=shade, label=name)
    axis.set(xticks=[], yticks=[])
    axis.set_aspect("equal", adjustable="datalim")
    axis.set_xlabel(chart.axes[0])
    axis.set_ylabel(chart.axes[1])
    axis.set_title(f"{chart.title}: {chart.about}".replace("$", r"\$"), loc="left", fontsize=11)
    beside = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
    axis.legend(**beside, fontsize=8, frameon=False, title=colour, alignment="left")
    figure.savefig(path, dpi=120, format="png")


def as_html(chart: Chart, *, colour: str) -> str:
    """The page: everything is in it, and whatever a point is called is text."""
    circles = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS:g}" style="'
        + ";".join(f"--{by}:{shades[i]}" for by, (shades, _) in chart.shades.items())
        + f'"><title>{html.escape(said)}</title></circle>'
        for i, (said, (x, y)) in enumerate(zip(chart.said, _on_page(chart.at), strict=True))
    ]
    rules = [
        f".{by} circle {{ fill: var(--{by}) }} .{by} #legend-{by} {{ display: block }}"
        for by in chart.shades
    ]
    legends = [
        f'<p class="legend" id="legend-{by}">'
        + "".join(
            f'<span><i style="background:{shade}"></i>{html.escape(name)}</span>'
            for name, shade in legend
        )
        + "</p>"
        for by, (_, legend) in chart.shades.items()
    ]
    choices = [
        f'<label><input type="radio" name="colour" value="{by}"'
        f"{' checked' if by == colour else ''}> {by}</label>"
        for by in chart.shades
    ]
    return _PAGE.format(
        title=html.escape(chart.title),
        about=html.escape(chart.about),
        what=chart.what,
        colour=colour,
        choices="\n".join(choices),
        rules="\n".join(rules),
        legends="\n".join(legends),
        circles="\n".join(circles),
        width=WIDTH,
        height=HEIGHT,
    )


def _on_page(at: np.ndarray) -> np.ndarray:
    """Pixels [points, 2], both axes at one scale, y downwards."""
    at = np.asarray(at, float).reshape(-1, 2) * [1, -1]
    low, size = at.min(axis=0), np.maximum(np.ptp(at, axis=0), 1e-9)
    room = np.array([WIDTH, HEIGHT]) - 2 * EDGE
    scale = (room / size).min()
    return EDGE + (room - size * scale) / 2 + (at - low) * scale


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 0 auto; padding: 1.5rem; max-width: 62rem;
 color: #222; background: #fff }}
h1 {{ font-size: 1.2rem; margin: 0 }}
svg {{ width: 100%; height: auto; border: 1px solid #ddd; background: #fafafa }}
circle {{ fill-opacity: .85; stroke: #fff; stroke-width: .6 }}
circle:hover {{ stroke: #000; stroke-width: 2 }}
label {{ margin-right: 1rem; white-space: nowrap }}
.legend {{ display: none; font-size: .85rem }}
{rules}
.legend span {{ display: inline-block; margin-right: .9rem }}
.legend i {{ display: inline-block; width: .8em; height: .8em; border-radius: 50%;
 margin-right: .3em }}
#said {{ min-height: 1.5em; font-weight: 600 }}
</style>
</head>
<body class="{colour}">
<h1>{title}</h1>
<p>{about}. What sounds alike lies together.</p>
<p>Colour: {choices}</p>
<p id="said" aria-live="polite">Point at a {what}.</p>
<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}">
{circles}
</svg>
{legends}
<script>
const said = document.getElementById("said");
document.querySelectorAll("input[name=colour]").forEach(input =>
  input.addEventListener("change", () => {{ document.body.className = input.value; }}));
document.querySelector("svg").addEventListener("pointerover", event => {{
  const name = event.target.querySelector("title");
  if (name) said.textContent = name.textContent;
}});
</script>
</body>
</html>
"""
