"""A library in two dimensions: what sounds alike lies together. As PNG, or as a page of its own."""

import colorsys
import dataclasses
import html
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from mashjax.music.tonality import TONICS

COLOURS = ("key", "tempo", "group")
ENDINGS = (".png", ".html")
RADIUS = 6.0  # of a point, in pixels of the page
WIDTH, HEIGHT, EDGE = 960, 640, 24  # pixels of the page's drawing


@dataclasses.dataclass(frozen=True)
class Point:
    """A segment on the map; start, end: seconds; group: from 0."""

    x: float
    y: float
    song: str
    start: float
    end: float
    tonic: int
    mode: str
    tempo_bpm: float
    group: int

    @property
    def key(self) -> str:
        return f"{TONICS[self.tonic]} {self.mode}"

    @property
    def said(self) -> str:
        """What the page says of it."""
        at = "-".join(f"{round(t) // 60}:{round(t) % 60:02}" for t in (self.start, self.end))
        return f"{self.song}, {at}, {self.key}, {self.tempo_bpm:.0f} BPM, group {self.group + 1}"


def draw(
    points: Sequence[Point], path: str | os.PathLike, *, colour: str, title: str, about: str
) -> None:
    """Write the map to `path`, which ends in .png or .html.

    colour: one of `COLOURS`; the page can change it. title: e.g. the library's name; about: what
    is drawn.
    """
    if os.fspath(path).endswith(".html"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(as_html(points, colour=colour, title=title, about=about))
    else:
        _draw_png(points, path, colour=colour, title=f"{title}: {about}")


def coloured(points: Sequence[Point], by: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Each point's colour (#rrggbb), and a legend: names and their colours."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if by == "key":
        # Neighbours on the circle of fifths, which mix well, look alike; minor keys are darker.
        def of_key(tonic: int, mode: str) -> str:
            fifths = (7 * (tonic + 3 * (mode == "minor"))) % 12
            return to_hex(colorsys.hsv_to_rgb(fifths / 12, 0.75, 0.9 if mode == "major" else 0.55))

        seen = {(p.tonic, p.mode) for p in points}
        ordered = sorted(seen, key=lambda k: (7 * (k[0] + 3 * (k[1] == "minor")) % 12, k[1]))
        legend = [(f"{TONICS[tonic]} {mode}", of_key(tonic, mode)) for tonic, mode in ordered]
        return [of_key(p.tonic, p.mode) for p in points], legend
    if by == "tempo":
        tempi = np.array([p.tempo_bpm for p in points])
        low, high = np.floor(tempi.min()), np.ceil(tempi.max())
        high = max(high, low + 1)
        of_tempo = lambda t: to_hex(colormaps["viridis"](np.log(t / low) / np.log(high / low)))  # noqa: E731
        steps = np.geomspace(low, high, 5)
        return list(map(of_tempo, tempi)), [(f"{t:.0f} BPM", of_tempo(t)) for t in steps]
    of_group = lambda group: to_hex(colormaps["tab10"](group % 10))  # noqa: E731
    groups = sorted({p.group for p in points})
    return [of_group(p.group) for p in points], [(f"group {g + 1}", of_group(g)) for g in groups]


def _draw_png(points: Sequence[Point], path: str | os.PathLike, *, colour: str, title: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(10, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    colours, legend = coloured(points, colour)
    x, y = [p.x for p in points], [p.y for p in points]
    axis.scatter(x, y, s=24, c=colours, alpha=0.8, linewidths=0.3, edgecolors="white")
    for name, shade in legend:
        axis.scatter([], [], s=24, color=shade, label=name)
    axis.set(xticks=[], yticks=[], aspect="equal")
    axis.set_xlabel("1st principal component")
    axis.set_ylabel("2nd principal component")
    axis.set_title(title.replace("$", r"\$"), loc="left", fontsize=11)
    beside = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
    axis.legend(**beside, fontsize=8, frameon=False, title=colour, alignment="left")
    figure.savefig(path, dpi=120, format="png")


def as_html(points: Sequence[Point], *, colour: str, title: str, about: str) -> str:
    """The page: everything is in it, and whatever a song is called is text."""
    shades = {by: coloured(points, by) for by in COLOURS}
    circles = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS:g}" style="'
        + ";".join(f"--{by}:{shades[by][0][i]}" for by in COLOURS)
        + f'"><title>{html.escape(point.said)}</title></circle>'
        for i, (point, (x, y)) in enumerate(zip(points, _on_page(points), strict=True))
    ]
    legends = [
        f'<p class="legend" id="legend-{by}">'
        + "".join(
            f'<span><i style="background:{shade}"></i>{html.escape(name)}</span>'
            for name, shade in shades[by][1]
        )
        + "</p>"
        for by in COLOURS
    ]
    choices = [
        f'<label><input type="radio" name="colour" value="{by}"'
        f"{' checked' if by == colour else ''}> {by}</label>"
        for by in COLOURS
    ]
    return _PAGE.format(
        title=html.escape(title),
        about=html.escape(about),
        colour=colour,
        choices="\n".join(choices),
        legends="\n".join(legends),
        circles="\n".join(circles),
        width=WIDTH,
        height=HEIGHT,
    )


def _on_page(points: Sequence[Point]) -> np.ndarray:
    """Pixels [points, 2], both axes at one scale, y downwards."""
    at = np.array([[p.x, -p.y] for p in points]).reshape(-1, 2)
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
.key circle {{ fill: var(--key) }}
.tempo circle {{ fill: var(--tempo) }}
.group circle {{ fill: var(--group) }}
label {{ margin-right: 1rem }}
.legend {{ display: none; font-size: .85rem }}
.key #legend-key, .tempo #legend-tempo, .group #legend-group {{ display: block }}
.legend span {{ display: inline-block; margin-right: .9rem }}
.legend i {{ display: inline-block; width: .8em; height: .8em; border-radius: 50%;
 margin-right: .3em }}
#said {{ min-height: 1.5em; font-weight: 600 }}
</style>
</head>
<body class="{colour}">
<h1>{title}</h1>
<p>{about}. What sounds alike lies together. Colour: {choices}</p>
<p id="said" aria-live="polite">Point at a segment.</p>
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
