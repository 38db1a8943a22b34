import matplotlib.image
import numpy as np
import pytest

from mashjax.data.track_picture import draw_track
from mashjax.data.tracks import Track
from mashjax.errors import UserError


def track(segments=40, **known):
    rng = np.random.default_rng(0)
    starts = np.cumsum(rng.uniform(0.1, 0.3, segments))
    chroma = np.full((segments, 12), 0.1, np.float32)
    chroma[:, 7] = 1.0
    timbre = rng.normal(size=(segments, 12)).astype(np.float32)
    return Track("TR1", "A Band", "Song", float(starts[-1]) + 0.2, chroma, timbre, starts, **known)


def test_the_strongest_pitch_class_is_the_brightest_row(tmp_path):
    draw_track(track(tempo_bpm=100.0, key=7, mode=1), tmp_path / "track.png")
    image = matplotlib.image.imread(tmp_path / "track.png")[:, :, :3].mean(axis=2)
    column = image[50:270, 500]  # within the first panel, whose rows go from B down to C
    brightest = np.flatnonzero(column > 0.9)
    assert brightest.size and brightest.mean() / len(column) == pytest.approx(4.5 / 12, abs=0.05)
    assert [path.name for path in tmp_path.iterdir()] == ["track.png"]


@pytest.mark.parametrize("segments", [1, 2])
def test_a_moment_and_silence_are_drawn(tmp_path, segments):
    one = track(segments)
    one.timbre[:], one.chroma[:] = 0, 0
    draw_track(one, tmp_path / "track.png")
    assert matplotlib.image.imread(tmp_path / "track.png").shape == (700, 1200, 4)


def test_a_name_that_no_font_has_is_drawn(tmp_path):
    import dataclasses

    draw_track(dataclasses.replace(track(), title="$\u4e2d\u6587"), tmp_path / "track.png")
    assert (tmp_path / "track.png").is_file()


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    for name in ("track.jpg", "absent/track.png"):
        with pytest.raises(UserError):
            draw_track(track(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
