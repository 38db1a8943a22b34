"""Scores of the mashup task, by numbers that are known beforehand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mashjax.tasks import mashup
from mashjax.tasks.mashup.evaluate import MEASURES, lsd, phase_error, phi, si_sdr
from mashjax.tasks.mashup.examples import level_matched
from mashjax.tasks.mashup.masks import AJAR

ESTIMATES = ("sum", "model", "no_rotation", "oracle")


def scores_of(model, *batches):
    return mashup.evaluate(model.cfg, model.params, model.statistics, batches)


@pytest.fixture(scope="module")
def scores(fresh, sources):
    """Of a model before training, [examples] each."""
    return scores_of(fresh, sources, sources)


def test_si_sdr_of_a_known_error():
    rng = np.random.default_rng(0)
    target = rng.normal(size=100000)
    noise = rng.normal(size=100000)
    noise -= target * (noise @ target) / (target @ target)
    noise *= 0.1 * np.linalg.norm(target) / np.linalg.norm(noise)
    assert float(si_sdr(3 * (target + noise), target)) == pytest.approx(20, abs=1e-3)


def test_phi_of_right_random_and_opposite():
    rng = np.random.default_rng(0)
    spectrum = rng.normal(size=(1, 200, 99)) + 1j * rng.normal(size=(1, 200, 99))
    turn = np.exp(1j * rng.uniform(-np.pi, np.pi, spectrum.shape))
    assert float(phi(2 * spectrum, spectrum)[0]) == pytest.approx(0, abs=1e-5)
    assert float(phi(turn * spectrum, spectrum)[0]) == pytest.approx(1, abs=0.03)
    assert float(phi(-spectrum, spectrum)[0]) == pytest.approx(2, abs=1e-5)


def test_the_students_phase_error_of_right_random_and_opposite():
    rng = np.random.default_rng(0)
    target = rng.normal(size=(1, 200, 99)) + 1j * rng.normal(size=(1, 200, 99))
    turn = np.exp(1j * rng.uniform(-np.pi, np.pi, target.shape))
    assert float(phase_error(2 * target, target)[0]) == pytest.approx(0, abs=1e-3)
    assert float(phase_error(turn * target, target)[0]) == pytest.approx(0.5, abs=0.02)
    assert float(phase_error(-1j * target, target)[0]) == pytest.approx(0.5, abs=1e-3)
    assert float(phase_error(-target, target)[0]) == pytest.approx(1, abs=1e-3)


def test_lsd_of_a_gain_of_silence_and_of_one_wrong_bin():
    rng = np.random.default_rng(0)
    spectrum = rng.normal(size=(2, 50, 100)) + 1j * rng.normal(size=(2, 50, 100))
    spectrum /= np.abs(spectrum)
    np.testing.assert_allclose(lsd(spectrum, spectrum), 0, atol=1e-5)
    np.testing.assert_allclose(lsd(2 * spectrum, spectrum), 6.0206, atol=1e-3)
    np.testing.assert_allclose(lsd(0 * spectrum, spectrum), 60, atol=1e-3)
    np.testing.assert_allclose(lsd(1e-5 * spectrum, 0 * spectrum), 0, atol=1e-3)
    # A hundredth of the bins 20 dB too loud, in every other frame: sqrt(400 / 100) / 2.
    wrong = spectrum.copy()
    wrong[:, ::2, 7] *= 10
    np.testing.assert_allclose(lsd(wrong, spectrum), 1, atol=1e-3)


def test_scores_of_a_fresh_model_are_the_plain_sums(scores):
    assert set(scores) == {f"{m}_{e}" for m in MEASURES for e in ESTIMATES} | {"worse_than_sum"}
    assert all(values.shape == (8,) for values in scores.values())
    for measure, tolerance in zip(MEASURES, (1e-2, 1e-3, 1e-2, 2e-2, 1e-2, 1e-2), strict=True):
        # Both masks are 0.95, which only the level-sensitive distance hears: 0.4 dB.
        apart = -20 * np.log10(AJAR + (1 - AJAR) * 0.95) if measure == "lsd" else 0
        plain, model = (scores[f"{measure}_{name}"] for name in ("sum", "model"))
        assert np.abs(model - plain).max() <= apart + tolerance
        np.testing.assert_allclose(scores[f"{measure}_no_rotation"], model, atol=1e-2)
    assert (scores["si_sdr_oracle"] > scores["si_sdr_sum"] + 5).all()
    assert scores["phi_oracle"].mean() < 0.5 * scores["phi_sum"].mean()
    assert (scores["lsd_oracle"] < scores["lsd_sum"]).all()
    np.testing.assert_array_equal(
        scores["worse_than_sum"], scores["si_sdr_model"] < scores["si_sdr_sum"]
    )


def test_each_example_has_its_own_scores(scores, fresh, sources):
    np.testing.assert_allclose(scores["si_sdr_sum"][:4], scores["si_sdr_sum"][4:], atol=1e-4)
    swapped = scores_of(fresh, sources[::-1])
    for name, values in scores.items():
        np.testing.assert_allclose(swapped[name], values[3::-1], atol=1e-3, err_msg=name)


def test_songs_are_compared_with_what_is_wanted_of_them(scores, sources):
    """As they are: a lead against itself and its backing, and the other way round."""
    songs = level_matched(sources)
    for name, song, part in zip(
        ("lead", "backing"), (songs.song1, songs.song2), songs.parts, strict=True
    ):
        expected = si_sdr(song, part)
        np.testing.assert_allclose(scores[f"si_sdr_{name}_sum"][:4], expected, atol=2e-3)
        assert (scores[f"si_sdr_{name}_oracle"] > scores[f"si_sdr_{name}_sum"]).all()


def test_a_louder_share_changes_the_mashup_but_not_its_own_score(cfg, fresh, sources):
    """Masks that are the same in every bin: 0.5 of song 1 and 0.95 of song 2."""
    params = jax.tree.map(lambda leaf: leaf, fresh.params)
    bias = params["magnitude"]["head"]["bias"]
    params["magnitude"]["head"] = {
        "kernel": jnp.zeros_like(params["magnitude"]["head"]["kernel"]),
        "bias": bias.at[: cfg.bands.count].set(0.0),
    }
    scores = mashup.evaluate(cfg, params, fresh.statistics, [sources])
    np.testing.assert_allclose(
        scores["si_sdr_lead_no_rotation"], scores["si_sdr_lead_sum"], atol=2e-3
    )
    songs = level_matched(sources)
    kept1, kept2 = (AJAR + (1 - AJAR) * mask for mask in (0.5, 0.95))
    expected = si_sdr(kept1 * songs.song1 + kept2 * songs.song2, songs.label)
    np.testing.assert_allclose(scores["si_sdr_no_rotation"], expected, atol=2e-3)


def test_scores_of_mashups_without_sources(fresh, sources, mashups):
    """The songs at the levels that they have, no oracle, and no sources to compare with."""
    scores = scores_of(fresh, mashups)
    wanted = {f"{m}_{e}" for m in ("si_sdr", "phi", "phase_error", "lsd") for e in ESTIMATES[:3]}
    assert set(scores) == wanted | {"worse_than_sum"}
    lead1, backing1, lead2, backing2 = np.moveaxis(sources, 1, 0)
    expected = si_sdr(lead1 + backing1 + lead2 + backing2, lead1 + backing2)
    np.testing.assert_allclose(scores["si_sdr_sum"], expected, atol=2e-3)
    np.testing.assert_allclose(scores["si_sdr_model"], expected, atol=1e-2)
    assert set(mashup.derived(scores)) == {"gain"}


def test_what_is_painted_has_no_shares(cfg, sources):
    direct = dataclasses.replace(cfg, linear_bins=257, log_bands=0, head="direct")
    statistics = mashup.statistics(direct, [sources])
    params = mashup.init_model(direct, jax.random.key(0))
    scores = mashup.evaluate(direct, params, statistics, [sources])
    assert {"si_sdr_model", "si_sdr_lead_sum", "si_sdr_lead_oracle"} <= set(scores)
    assert not {"si_sdr_lead_model", "si_sdr_no_rotation"} & set(scores)


def test_what_follows_from_means():
    means = {"si_sdr_sum": 1.0, "si_sdr_model": 4.0, "si_sdr_oracle": 13.0}
    assert mashup.derived(means) == {"gain": 3.0, "oracle_share": 0.25}
    assert mashup.derived(means | {"si_sdr_model": 13.0})["oracle_share"] == 1
    assert np.isnan(mashup.derived(means | {"si_sdr_oracle": 1.0})["oracle_share"])
    resampled = {name: np.array([mean, mean + 1]) for name, mean in means.items()}
    np.testing.assert_allclose(mashup.derived(resampled)["oracle_share"], 0.25)
