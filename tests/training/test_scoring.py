"""Means and their intervals, where they are known."""

import numpy as np
import pytest

from mashjax.data.store import open_store
from mashjax.tasks import mashup
from mashjax.training import scoring
from mashjax.training.scoring import Scores


def scores(model, *, songs=None, plain=0.0, oracle=10.0):
    """Of given SI-SDRs of the model; the plain sum and the oracle as said."""
    model = np.asarray(model, float)
    plain, oracle = np.broadcast_to(plain, model.shape), np.broadcast_to(oracle, model.shape)
    values = {"si_sdr_model": model, "si_sdr_sum": plain, "si_sdr_oracle": oracle}
    songs = [str(n) for n in range(len(model))] if songs is None else songs
    return Scores("mashup", values | {"worse_than_sum": model < plain}, songs)


def test_the_interval_of_a_constant_is_that_constant():
    means = scores([5.0] * 7).means()
    assert means["si_sdr_model"] == {"mean": 5.0, "low": 5.0, "high": 5.0}
    assert means["gain"] == {"mean": 5.0, "low": 5.0, "high": 5.0}
    assert means["oracle_share"] == {"mean": 0.5, "low": 0.5, "high": 0.5}


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    """Of 400 songs of one example: 1.96 standard errors to either side."""
    values = np.random.default_rng(1).normal(3, 2, 400)
    found = scores(values).means()["si_sdr_model"]
    error = 1.96 * values.std() / 20
    assert found["mean"] == pytest.approx(values.mean(), abs=1e-4)
    # 2000 draws know a percentile within 4 % of the half width.
    assert found["mean"] - found["low"] == pytest.approx(error, rel=0.1)
    assert found["high"] - found["mean"] == pytest.approx(error, rel=0.1)
    assert found == scores(values).means()["si_sdr_model"]


def test_examples_of_a_song_are_no_news():
    """Ten alike of each song: the interval is that of the songs, not three times narrower."""
    values = np.random.default_rng(2).normal(3, 2, 50)
    songs = [str(n) for n in range(50)]
    once = scores(values).means()
    ten = scores(np.repeat(values, 10), songs=np.repeat(songs, 10).tolist()).means()
    assert once == ten


def test_songs_weigh_by_their_examples():
    """The mean is over examples; of two songs, the ends are those of each alone."""
    found = scores([1.0, 1.0, 1.0, 5.0], songs=["a", "a", "a", "b"]).means()["si_sdr_model"]
    assert found == {"mean": 2.0, "low": 1.0, "high": 5.0}


def test_the_share_is_a_ratio_of_means():
    """Of single examples, one of which leaves the oracle next to nothing, it would be 100."""
    found = scores([1.0, 5.0], oracle=[0.005, 10.0]).means()["oracle_share"]
    assert found["mean"] == pytest.approx(6 / 10.005, abs=1e-4)
    assert scores([5.0] * 4, plain=10.0).means()["oracle_share"]["mean"] is None
    assert scores([10.0] * 4).means()["oracle_share"]["mean"] == 1


def test_a_single_song_has_no_interval():
    found = scores([1.0, 3.0], songs=["a", "a"]).means()
    assert found["si_sdr_model"] == {"mean": 2.0, "low": None, "high": None}


def test_counts():
    found = scores([-1.0, 1.0, -2.0], songs=["a", "b", "b"])
    assert found.counts == {"examples": 3, "songs": 2, "worse_than_sum": 2}
    assert "worse_than_sum" not in found.means()


def test_validation_has_the_plain_means_of_all_its_names(store, tiny):
    import jax

    model = tiny.model
    params = mashup.init_model(model, jax.random.key(0))
    statistics = {
        "mean": np.zeros(model.bands.count, np.float32),
        "scale": np.ones(model.bands.count, np.float32),
    }
    opened = open_store(store)
    quick = scoring.evaluate(tiny, params, statistics, opened, split="valid", examples=3)
    whole = scoring.score(tiny, params, statistics, opened, split="valid", examples=3)
    assert quick.pop("examples") == whole.counts["examples"] == 3
    assert quick.pop("worse_than_sum") == whole.counts["worse_than_sum"]
    means = whole.means()
    assert {name.rpartition("_")[0] for name in quick} >= {"si_sdr", "phi"}
    assert all(quick[name] == pytest.approx(means[name]["mean"], abs=1e-3) for name in quick)
    assert whole.songs == [e["song"] for e in opened.examples("valid")[:3]]
