import dataclasses

import numpy as np
import pytest
from scipy import signal

from mashjax.data.pairs import cut_pair, excerpt_map, plan_pairs
from mashjax.data.songs import Rejected, Song, active, prepare_song, split_songs
from mashjax.data.store import Settings

SR = 22050
SETTINGS = Settings(seconds=6.0)


@dataclasses.dataclass(frozen=True)
class Made:
    """A song source whose stems are given."""

    id: str
    y: tuple[np.ndarray, np.ndarray]

    @property
    def files(self):
        return {}

    def load(self, *, sr):
        assert sr == SR
        return self.y


def prepare(folder, name, y, settings=SETTINGS) -> Song | Rejected:
    return prepare_song(Made(name, y), folder=str(folder), settings=settings)


def test_two_copies_of_a_song_pair_without_loss(song, tmp_path):
    """No stretch, no shift: only the gain and twice 16 bits stand between file and excerpt."""
    y = song(tempo=120.0, seconds=24.0)
    a, b = (prepare(tmp_path, name, y) for name in "ab")
    (example, *_) = cut_pair(a, b, settings=SETTINGS)
    assert example.about["stretch"] == pytest.approx([1, 1], abs=1e-9)
    assert example.about["shift_semitones"] == [0, 0]
    gain = 10 ** (a.about["gain_db"] / 20) * example.about["gain"]
    for k, (start, _) in enumerate(example.about["source"]):
        i = round(start * SR)
        wanted = gain * np.stack(y)[:, i : i + SETTINGS.samples]
        got = example.sources[2 * k : 2 * k + 2]
        assert snr(wanted, got) > 80
        assert snr(wanted.sum(0), got.sum(0)) > 80


@pytest.mark.parametrize(("tempo1", "tempo2"), [(100.0, 106.0), (120.0, 112.0), (84.0, 168.0)])
def test_leads_and_backings_of_a_pair_share_one_beat_grid(song, tmp_path, tempo1, tempo2):
    a = prepare(tmp_path, "a", song(tempo=tempo1, seconds=30.0, seed=1))
    b = prepare(tmp_path, "b", song(tempo=tempo2, seconds=30.0, seed=2, tonic=62))
    examples = cut_pair(a, b, settings=SETTINGS)
    assert not isinstance(examples, Rejected)
    for example in examples:
        shifts = example.about["shift_semitones"]
        clicks = [
            click_times(y, 2 ** (shifts[k // 2] / 12) * (3000.0, 6000.0)[k % 2])
            for k, y in enumerate(example.sources)
        ]
        slower = clicks[1] if tempo1 < tempo2 else clicks[3]
        for other in clicks:
            apart = np.abs(slower[1:-1, None] - other[None]).min(1)
            # The beat tracker's own error on each song, plus the stretcher's 1 ms.
            assert np.median(apart) < 0.010
            assert np.percentile(apart, 95) < 0.020


def test_lead_and_backing_of_one_song_stay_together(song, tmp_path):
    a = prepare(tmp_path, "a", song(tempo=100.0, seconds=30.0, seed=1))
    b = prepare(tmp_path, "b", song(tempo=108.0, seconds=30.0, seed=2))
    example = cut_pair(a, b, settings=SETTINGS)[0]
    shifts = example.about["shift_semitones"]
    for k in (0, 2):
        factor = 2 ** (shifts[k // 2] / 12)
        lead, backing = (
            click_times(example.sources[k + i], factor * (3000.0, 6000.0)[i]) for i in (0, 1)
        )
        assert np.abs(lead[1:-1, None] - backing[None]).min(1).max() < 0.002


def test_a_pair_is_the_same_whenever_it_is_cut(song, tmp_path):
    a = prepare(tmp_path, "a", song(tempo=100.0, seconds=30.0, seed=1))
    b = prepare(tmp_path, "b", song(tempo=108.0, seconds=30.0, seed=2))
    first, second = (cut_pair(a, b, settings=SETTINGS) for _ in range(2))
    for x, y in zip(first, second, strict=True):
        np.testing.assert_array_equal(x.sources, y.sources)
        assert x.about == y.about


def test_excerpts_are_cut_where_everybody_plays(song, tmp_path):
    lead, backing = song(tempo=110.0, seconds=40.0)
    quiet = lead.copy()
    quiet[: 20 * SR] = 0
    a, b = prepare(tmp_path, "a", (quiet, backing)), prepare(tmp_path, "b", (lead, backing))
    for example in cut_pair(a, b, settings=SETTINGS):
        assert example.about["source"][0][0] > 20 - SETTINGS.seconds / 2 - 0.2
        rms = np.sqrt((example.sources**2).mean(-1))
        assert rms.min() > 0.1 * rms.max()
    quiet[:] = 0
    quiet[:SR] = lead[:SR]
    nothing = cut_pair(prepare(tmp_path, "c", (quiet, backing)), b, settings=SETTINGS)
    assert isinstance(nothing, Rejected)
    assert nothing.why == "no excerpt of the overlap has both leads and both backings"


def test_no_source_of_an_example_clips(song, tmp_path):
    y = song(tempo=110.0, seconds=24.0)
    loud = dataclasses.replace(SETTINGS, loudness=3.0)
    a, b = (prepare(tmp_path, name, y, loud) for name in "ab")
    example = cut_pair(a, b, settings=loud)[0]
    assert np.abs(example.sources).max() == pytest.approx(0.99, abs=1e-6)
    assert example.about["gain"] < 1


def test_unusable_songs_are_rejected_with_the_reason(song, tmp_path):
    y = song(tempo=110.0, seconds=24.0)
    short = tuple(x[: 5 * SR] for x in y)
    assert "lasts 5.0 s; needs 12 s" in prepare(tmp_path, "a", short).why
    assert prepare(tmp_path, "b", tuple(0 * x for x in y)).why == "is silent"
    slow = np.sin(np.pi * np.linspace(0, 1, 24 * SR)) ** 2
    tone = (slow * np.sin(np.arange(24 * SR) * 0.05) * 0.1).astype(np.float32)
    assert prepare(tmp_path, "c", (tone, tone)).why == "has no beat that could be found"


def test_pairs_are_near_in_tempo_and_bounded_in_number(song, tmp_path):
    base = prepare(tmp_path, "base", song(tempo=100.0, seconds=24.0))
    tempi = [90.0, 95.0, 100.0, 105.0, 130.0, 180.0, 52.0]
    songs = [dataclasses.replace(base, id=str(t), tempo_bpm=t) for t in tempi]
    settings = dataclasses.replace(SETTINGS, pairs_per_song=2)
    pairs = plan_pairs(songs, settings=settings)
    names = [frozenset((a.id, b.id)) for a, b in pairs]
    assert len(set(names)) == len(names)
    assert all(sum(i in name for name in names) <= 2 for i in map(str, tempi))
    assert not any("130.0" in name for name in names)
    for a, b in pairs:
        ratio = np.log2(a.tempo_bpm / b.tempo_bpm)
        assert abs(ratio - round(ratio)) <= np.log2(1.1)
    everyone = plan_pairs(songs, settings=dataclasses.replace(SETTINGS, pairs_per_song=10))
    assert {frozenset((a.id, b.id)) for a, b in everyone} >= {
        frozenset(("90.0", "180.0")),
        frozenset(("52.0", "105.0")),
        frozenset(("95.0", "100.0")),
    }


def test_splits_are_disjoint_stable_and_about_a_twentieth():
    ids = [f"song {i}" for i in range(2000)]
    splits = split_songs(ids)
    counts = {s: list(splits.values()).count(s) for s in ("train", "valid", "test")}
    # Binomial(2000, .05): 100 +- 10.
    assert 60 < counts["test"] < 140
    assert 60 < counts["valid"] < 140
    some = split_songs(ids[:1000])
    assert all(splits[i] == split for i, split in some.items())
    assert set(split_songs(ids[:11]).values()) == {"train"}
    few = list(split_songs(ids[:14]).values())
    assert (few.count("test"), few.count("valid")) == (2, 2)


def test_an_excerpt_of_a_time_map_keeps_its_line():
    source = np.array([1.0, 2.0, 3.1, 4.0])
    output = np.array([0.0, 1.0, 2.0, 3.0])
    cut = excerpt_map((source, output), start=0.5, stop=2.5)
    np.testing.assert_allclose(cut[0], [1.5, 2.0, 3.1, 3.55])
    np.testing.assert_allclose(cut[1], [0.5, 1.0, 2.0, 2.5])
    np.testing.assert_allclose(excerpt_map((source, output), start=1.0, stop=2.0)[0], [2.0, 3.1])


def test_active_hops_are_those_near_the_loud_ones():
    y = np.zeros(3 * SR)
    y[SR : 2 * SR] = np.random.default_rng(0).normal(0, 0.1, SR)
    y[2 * SR :] = y[SR : 2 * SR] * 10 ** (-40 / 20)
    found = active(y, sr=SR)
    assert not found[:10].any()
    assert found[10:20].all()
    assert not found[20:].any()


def snr(wanted: np.ndarray, got: np.ndarray) -> float:
    return float(10 * np.log10((wanted**2).sum() / ((got - wanted) ** 2).sum()))


def click_times(y: np.ndarray, frequency: float) -> np.ndarray:
    """Seconds of the clicks at `frequency` in `y`: centres of its envelope's bursts."""
    band = np.array([0.93, 1.07]) * frequency / (SR / 2)
    sos = signal.butter(4, band, "bandpass", output="sos")
    envelope = np.abs(signal.hilbert(signal.sosfiltfilt(sos, y)))
    smooth = signal.windows.hann(round(0.01 * SR))
    envelope = np.convolve(envelope, smooth / smooth.sum(), "same")
    peaks, _ = signal.find_peaks(envelope, height=0.3 * envelope.max(), distance=round(0.2 * SR))
    return peaks / SR
