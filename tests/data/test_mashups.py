import dataclasses
import pathlib

import numpy as np
import pytest
import soundfile

from mashjax.audio.stretch import warp
from mashjax.data.mashups import make_mashup
from mashjax.data.store import Settings
from mashjax.errors import UserError

SR = 22050
SETTINGS = Settings(layout="labelled", seconds=6.0)


@dataclasses.dataclass(frozen=True)
class Given:
    id: str
    label: pathlib.Path
    originals: tuple[pathlib.Path, pathlib.Path]

    group = "one"

    @property
    def files(self):
        return {}


@pytest.fixture(scope="module")
def mashup(song, tmp_path_factory) -> tuple[Given, tuple[np.ndarray, np.ndarray]]:
    """20 s: from 5 s of song 1 on, 4 % slower and 6 dB down, over song 2 from 2 s on, up 2."""
    folder = tmp_path_factory.mktemp("mashup")
    first = sum(song(tempo=100.0, seconds=40.0, seed=1, tonic=60))
    second = sum(song(tempo=96.0, seconds=40.0, seed=2, tonic=65))
    line = np.array([0.0, 20.0])
    parts = [
        0.5 * warp(first[None], sr=SR, source_times=5 + line / 1.04, output_times=line)[0],
        warp(second[None], sr=SR, source_times=2 + line, output_times=line, semitones=2.0)[0],
    ]
    paths = [folder / f"{name}.wav" for name in ("mashup", "first", "second")]
    for path, y in zip(paths, (sum(parts), first, second), strict=True):
        soundfile.write(path, y, SR, subtype="FLOAT")
    return Given("m", paths[0], (paths[1], paths[2])), tuple(parts)


def test_both_originals_lie_on_the_mashup_s_timeline_and_at_its_levels(mashup):
    source, parts = mashup
    made = make_mashup(source, settings=SETTINGS)
    assert made.rows.shape == (4, 3, SETTINGS.samples)
    first, second = made.about["originals"]
    assert first["tempo_ratio"] == pytest.approx(1 / 1.04, rel=0.002)
    assert first["start"] == pytest.approx(-5 * 1.04, abs=0.05)
    assert (first["shift_semitones"], second["shift_semitones"]) == (0, 2)
    assert second["start"] == pytest.approx(-2, abs=0.05)
    # Fitted from powers alone: within a decibel where both songs sound all the time.
    assert first["gain_db"] == pytest.approx(-6, abs=1)
    assert second["gain_db"] == pytest.approx(0, abs=1)
    # Three whole examples and 2 s of a fourth, the rest of which is silence.
    assert not made.rows[3, :, 3 * SR :].any()
    label, *found = np.concatenate(list(made.rows), axis=-1)[:, : 20 * SR]
    for y, part in zip(found, parts, strict=True):
        assert envelope_lag(y, part) < 0.02
    spectra = [np.abs(np.fft.rfft(y.reshape(-1, SR // 2))) for y in (label, sum(found))]
    assert np.corrcoef(spectra[0].ravel(), spectra[1].ravel())[0, 1] > 0.9


def test_an_original_that_is_not_in_it_is_named(mashup, song, tmp_path):
    source, _ = mashup
    other = tmp_path / "other.wav"
    soundfile.write(other, sum(song(tempo=90.0, seconds=40.0, seed=9, tonic=61)), SR)
    wrong = dataclasses.replace(source, originals=(source.originals[0], other))
    with pytest.raises(UserError, match=r"other\.wav: the original is not heard in the mashup"):
        make_mashup(wrong, settings=SETTINGS)


def test_the_first_seconds_are_one_example(mashup):
    settings = dataclasses.replace(SETTINGS, seconds=15.0, whole=False)
    made = make_mashup(mashup[0], settings=settings)
    assert made.rows.shape == (1, 3, settings.samples)
    assert made.about["originals"][1]["start"] == pytest.approx(-2, abs=0.05)


def test_a_mashup_of_hours_is_refused(mashup, monkeypatch):
    monkeypatch.setattr(Settings, "rows_per_song", 2)
    settings = dataclasses.replace(SETTINGS, align="none")
    with pytest.raises(UserError, match="at most 0 fit: cut it in parts"):
        make_mashup(mashup[0], settings=settings)


def envelope_lag(x: np.ndarray, y: np.ndarray) -> float:
    """Seconds by which the loudness of `x` is best delayed to match that of `y`."""
    hop = 110
    a, b = (np.abs(z[: len(z) // hop * hop]).reshape(-1, hop).mean(1) for z in (x, y))
    a, b = (np.maximum(np.diff(z), 0) for z in (a, b))
    correlation = np.correlate(a - a.mean(), b - b.mean(), "full")
    return abs(int(correlation.argmax()) - (len(b) - 1)) * hop / SR
