"""A library in two dimensions: what sounds alike lies together. As PNG, or as a page of its own."""

import colorsys
import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from mashjax.library.charts import Chart, Shades, draw_chart
from mashjax.music.tonality import TONICS

COLOURS = ("key", "tempo", "group")


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
    chart = Chart(
        at=np.array([[p.x, p.y] for p in points]).reshape(-1, 2),
        said=[p.said for p in points],
        shades={by: coloured(points, by) for by in COLOURS},
        title=title,
        about=about,
        axes=("1st principal component", "2nd principal component"),
        what="segment",
    )
    draw_chart(chart, path, colour=colour)


def coloured(points: Sequence[Point], by: str) -> Shades:
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
