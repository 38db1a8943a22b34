import dataclasses
import itertools

import numpy as np
import pytest
from scipy import signal

from mashjax.data.clips import _active, make_clips, renditions
from mashjax.data.partners import find_partners
from mashjax.data.sources import Made
from mashjax.data.store import Settings
from mashjax.errors import UserError
from mashjax.music.analysis import analyse

SR = 22050
SETTINGS = Settings(seconds=6.0)


@dataclasses.dataclass(frozen=True)
class Given:
    """A song source whose stems are given."""

    id: str
    y: tuple[np.ndarray, np.ndarray]

    @property
    def group(self):
        return self.id

    @property
    def files(self):
        return {}

    def load(self, *, sr):
        assert sr == SR
        return self.y


def clips(name, y, settings=SETTINGS) -> Made:
    return make_clips(Given(name, y), settings=settings)


def common_cell(a: Made, b: Made) -> tuple[int, int]:
    """The first rows of two songs that are in one cell."""
    return next(
        (i, j)
        for (i, x), (j, y) in itertools.product(enumerate(a.examples), enumerate(b.examples))
        if x["cell"] == y["cell"]
    )


@pytest.mark.parametrize(("tempo1", "tempo2"), [(100.0, 106.0), (120.0, 112.0), (84.0, 168.0)])
def test_clips_of_one_cell_share_one_beat_grid_from_a_downbeat_on(song, tempo1, tempo2):
    a = clips("a", song(tempo=tempo1, seconds=30.0, seed=1))
    b = clips("b", song(tempo=tempo2, seconds=30.0, seed=2, tonic=62))
    i, j = common_cell(a, b)
    tempo = a.examples[i]["tempo_bpm"]
    for made, n in ((a, i), (b, j)):
        factor = 2 ** (made.examples[n]["shift_semitones"] / 12)
        for row, frequency in zip(made.rows[n], (3000.0, 6000.0), strict=True):
            times = click_times(row, frequency * factor)
            # Half a grid's beat where the song has two beats to one of the grid.
            period = 60 / tempo / (1 if len(times) < 1.4 * SETTINGS.seconds * tempo / 60 else 2)
            apart = (times + period / 2) % period - period / 2
            # The beat tracker's own error on each song, plus the stretcher's 1 ms.
            assert np.median(np.abs(apart)) < 0.010
            assert np.percentile(np.abs(apart), 95) < 0.020


def test_lead_and_backing_of_one_song_stay_together(song):
    made = clips("a", song(tempo=100.0, seconds=30.0, seed=1))
    assert any(abs(e["stretch"] - 1) > 0.02 for e in made.examples)
    for row, example in zip(made.rows, made.examples, strict=True):
        factor = 2 ** (example["shift_semitones"] / 12)
        lead, backing = (click_times(row[i], factor * (3000.0, 6000.0)[i]) for i in (0, 1))
        assert np.abs(lead[1:-1, None] - backing[None]).min(1).max() < 0.002


def test_a_clip_is_at_its_tempo_and_in_its_key(song):
    """C major at 100 BPM goes to the two tempi around it, and to keys 4 semitones apart."""
    y = song(tempo=100.0, seconds=40.0, seed=3)
    analysis = analyse(sum(y), sr=SR)
    found = renditions(analysis, SETTINGS)
    assert {round(r.tempo_bpm, 2) for r in found} == {95.26, 102.88}
    assert {r.semitones for r in found} == {0}
    up = dataclasses.replace(analysis, key=dataclasses.replace(analysis.key, tonic="D"))
    assert {(r.semitones, r.cell.split(", ")[1]) for r in renditions(up, SETTINGS)} == {
        (-2, "key 0"), (2, "key 1"),
    }  # fmt: skip
    made = clips("a", y)
    for row, example in zip(made.rows, made.examples, strict=True):
        times = click_times(row[0], 3000.0)
        assert np.median(np.diff(times)) == pytest.approx(60 / example["tempo_bpm"], rel=0.004)
        assert example["stretch"] == pytest.approx(100 / example["tempo_bpm"], rel=0.004)


def test_relative_minor_and_halved_tempo_are_the_same_cell(song):
    analysis = analyse(sum(song(tempo=84.0, seconds=20.0)), sr=SR)
    minor = dataclasses.replace(analysis.key, tonic="A", mode="minor")
    other = dataclasses.replace(
        analysis,
        key=minor,
        tempo_bpm=2 * analysis.tempo_bpm,
        beats=np.arange(0, 20, 30 / analysis.tempo_bpm),
    )
    cells = [{r.cell for r in renditions(a, SETTINGS)} for a in (analysis, other)]
    assert cells[0] == cells[1]
    assert {r.beats_per_cell_beat for r in renditions(other, SETTINGS)} == {
        2 * r.beats_per_cell_beat for r in renditions(analysis, SETTINGS)
    }


def test_a_song_is_cut_the_same_whenever_it_is_cut(song):
    y = song(tempo=100.0, seconds=30.0, seed=1)
    first, second = clips("a", y), clips("a", y)
    np.testing.assert_array_equal(first.rows, second.rows)
    assert first.examples == second.examples
    seeded = clips("a", y, dataclasses.replace(SETTINGS, seed=7))
    assert [e["start"] for e in seeded.examples] != [e["start"] for e in first.examples]
    few = clips("a", y, dataclasses.replace(SETTINGS, clips_per_song=2))
    assert len(few.rows) == len(few.harmony) == 2
    assert len({e["cell"] for e in few.examples}) == 2


def test_clips_are_cut_where_lead_and_backing_play(song):
    lead, backing = song(tempo=110.0, seconds=40.0)
    quiet = lead.copy()
    quiet[: 20 * SR] = 0
    made = clips("a", (quiet, backing))
    for row, example in zip(made.rows, made.examples, strict=True):
        assert example["start"] > 20 - SETTINGS.seconds / 2 - 0.3
        rms = np.sqrt((row**2).mean(-1))
        assert rms.min() > 0.1 * rms.max()
    quiet[:] = 0
    quiet[:SR] = lead[:SR]
    with pytest.raises(UserError, match="no 6 s in which both its lead and its backing"):
        clips("c", (quiet, backing))


def test_songs_come_at_the_settings_loudness_and_never_clip(song):
    y = song(tempo=110.0, seconds=24.0)
    for row in clips("a", y).rows:
        # LUFS of steady music is its RMS within K-weighting's few dB.
        assert 10 * np.log10((row.sum(0) ** 2).mean()) == pytest.approx(-18, abs=6)
    loud = clips("a", y, dataclasses.replace(SETTINGS, loudness=3.0))
    assert np.abs(loud.rows).max(axis=(1, 2)) == pytest.approx(0.99, abs=1e-6)
    assert all(e["gain_db"] < 0 for e in loud.examples)


def test_unusable_songs_are_rejected_with_the_reason(song):
    y = song(tempo=110.0, seconds=24.0)
    with pytest.raises(UserError, match=r"lasts 5\.0 s; an example needs 6 s"):
        clips("a", tuple(x[: 5 * SR] for x in y))
    with pytest.raises(UserError, match="is silent"):
        clips("b", tuple(0 * x for x in y))
    slow = np.sin(np.pi * np.linspace(0, 1, 24 * SR)) ** 2
    tone = (slow * np.sin(np.arange(24 * SR) * 0.05) * 0.1).astype(np.float32)
    with pytest.raises(UserError, match="has no beat"):
        clips("c", (tone, tone))


def test_active_hops_are_those_near_the_loud_ones():
    y = np.zeros(3 * SR)
    y[SR : 2 * SR] = np.random.default_rng(0).normal(0, 0.1, SR)
    y[2 * SR :] = y[SR : 2 * SR] * 10 ** (-40 / 20)
    (found,) = _active(y[None], sr=SR)
    assert not found[:10].any()
    assert found[10:20].all()
    assert not found[20:].any()


def test_the_same_chords_are_better_partners_than_others(song):
    """Of the songs in one cell, the one with the same chords in the same bars comes first."""
    made = [
        clips(name, song(tempo=108.0, seconds=30.0, seed=seed, tonic=tonic))
        for name, seed, tonic in (("a", 1, 60), ("b", 2, 60))
    ]
    examples = [e for m in made for e in m.examples]
    harmony = [h for m in made for h in m.harmony]
    partners = find_partners(
        [e["cell"] for e in examples], [e["song"] for e in examples], harmony, most=8
    )
    bar = 4 * 60 / 108
    for i, best in enumerate(partners[:, 0]):
        assert examples[i]["song"] != examples[best]["song"]
        phases = [round(examples[k]["start"] / bar) % 4 for k in (i, best)]
        reachable = {round(examples[k]["start"] / bar) % 4 for k in partners[i] if k >= 0}
        assert phases[0] == phases[1] or phases[0] not in reachable


def test_partners_of_a_large_cell_are_those_of_a_direct_search():
    rng = np.random.default_rng(0)
    n, cells = 2500, [f"cell {i % 2}" for i in range(2500)]
    songs = [f"song {i // 5}" for i in range(n)]
    vectors = rng.normal(size=(n, 4, 12))
    vectors /= np.linalg.norm(vectors, axis=(1, 2), keepdims=True)
    partners = find_partners(cells, songs, list(vectors), most=3)
    for i in (0, 1, 1111, 2498):
        likeness = np.tensordot(vectors, vectors[i])
        for k in range(n):
            if songs[k] == songs[i] or cells[k] != cells[i]:
                likeness[k] = -np.inf
        wanted = np.argsort(-likeness)[:3]
        np.testing.assert_allclose(likeness[partners[i]], likeness[wanted], atol=2e-4)
    lonely = find_partners(["a", "a", "b"], ["x", "x", "y"], list(vectors[:3]), most=2)
    assert (lonely == -1).all()


def click_times(y: np.ndarray, frequency: float) -> np.ndarray:
    """Seconds of the clicks at `frequency` in `y`: centres of its envelope's bursts."""
    band = np.array([0.93, 1.07]) * frequency / (SR / 2)
    sos = signal.butter(4, band, "bandpass", output="sos")
    envelope = np.abs(signal.hilbert(signal.sosfiltfilt(sos, y)))
    smooth = signal.windows.hann(round(0.01 * SR))
    envelope = np.convolve(envelope, smooth / smooth.sum(), "same")
    peaks, _ = signal.find_peaks(envelope, height=0.3 * envelope.max(), distance=round(0.2 * SR))
    return peaks / SR
