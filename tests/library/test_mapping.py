"""The map as a picture and as a page."""

import html.parser
import re

import numpy as np
import pytest

from mashjax.library.mapping import COLOURS, Point, coloured, draw


class Page(html.parser.HTMLParser):
    """Collects tags with their attributes, and what the circles are called."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.titles: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data):
        if self._inside[-2:] == ["circle", "title"]:
            self.titles.append(data)


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return [
        Point(*rng.normal(size=2), f"song {k % 4}", 8.0 * k, 8.0 * k + 8, k % 12,
              "minor" if k % 3 else "major", 90.0 + k, k % 5)
        for k in range(40)
    ]  # fmt: skip


def test_a_page_says_every_segment(points, tmp_path):
    draw(points, tmp_path / "map.html", colour="tempo", title="mine", about="40 segments")
    text = (tmp_path / "map.html").read_text()
    page = Page(text)
    assert page.titles == [p.said for p in points]
    assert page.titles[1] == "song 1, 0:08-0:16, C# minor, 91 BPM, group 2"
    circles = [attributes for tag, attributes in page.tags if tag == "circle"]
    for circle, point in zip(circles, points, strict=True):
        assert 0 < float(circle["cx"]) < 960 and 0 < float(circle["cy"]) < 640
        shades = dict(part.split(":") for part in circle["style"].split(";"))
        assert shades["--tempo"] == coloured([point, *points], "tempo")[0][0]
    # Up on the map is up on the page.
    highest = max(range(40), key=lambda k: points[k].y)
    assert float(circles[highest]["cy"]) == min(float(c["cy"]) for c in circles)
    assert '<body class="tempo">' in text
    assert not re.search(r"https?://|src=|href=|@import|url\(", text)


def test_what_a_song_is_called_is_text(points, tmp_path):
    name = "</title><script>alert('1')</script>\"&amp; {title}"
    odd = Point(**{**vars(points[0]), "song": name})
    draw([odd, points[1]], tmp_path / "map.html", colour="key", title=f"<b>{name}", about=name)
    page = Page((tmp_path / "map.html").read_text())
    assert page.titles[0].startswith(name)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "b" not in {tag for tag, _ in page.tags}


@pytest.mark.parametrize("colour", COLOURS)
def test_a_picture_shows_every_colour_of_its_legend(points, colour, tmp_path):
    from matplotlib.image import imread

    draw(points, tmp_path / "map.png", colour=colour, title="mine $1$", about="40 segments")
    pixels = np.round(255 * imread(tmp_path / "map.png")[..., :3]).astype(int).reshape(-1, 3)
    present = {"#%02x%02x%02x" % tuple(pixel) for pixel in np.unique(pixels, axis=0)}  # noqa: UP031
    legend = coloured(points, colour)[1]
    assert len(legend) == len(dict(legend)) >= 5
    assert {shade for _, shade in legend} <= present


def test_fifths_and_relative_keys_look_alike(points):
    def shade(tonic: int, mode: str) -> str:
        return coloured([Point(**{**vars(points[0]), "tonic": tonic, "mode": mode})], "key")[0][0]

    def hue(tonic: int, mode: str) -> float:
        from matplotlib.colors import rgb_to_hsv, to_rgb

        return float(rgb_to_hsv(to_rgb(shade(tonic, mode)))[0])

    assert hue(0, "major") == pytest.approx(hue(9, "minor"), abs=0.01)  # C and A minor
    assert abs(hue(7, "major") - hue(0, "major")) == pytest.approx(1 / 12, abs=0.01)
    assert abs(hue(6, "major") - hue(0, "major")) == pytest.approx(1 / 2, abs=0.01)
    assert len({shade(t, m) for t in range(12) for m in ("major", "minor")}) == 24
