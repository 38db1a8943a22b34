"""Features, losses and scores of the mashup task, by numbers that are known beforehand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mashjax.tasks import mashup
from mashjax.tasks.mashup import masks
from mashjax.tasks.mashup.evaluate import phi, si_sdr
from mashjax.tasks.mashup.examples import level_matched, log_magnitude


def filters_of(cfg, example, *, mask1, mask2, rotation=0.0):
    shape = example.song1.shape[:2]
    mask = lambda value: jnp.full((*shape, cfg.bands.count), value)  # noqa: E731
    turn = jnp.full((*shape, cfg.bands.linear), rotation)
    return masks.Filters(mask(mask1), mask(mask2), turn, turn)


def test_songs_are_level_matched_and_sources_keep_their_share(cfg, sources):
    song1, song2, lead1, backing2 = level_matched(cfg, sources, None)
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(song1), -1)), 1, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(song2), -1)), 1, rtol=1e-5)
    ratio = sources[:, 0].std(-1) / (sources[:, 0] + sources[:, 1]).std(-1)
    np.testing.assert_allclose(lead1.std(-1), ratio, rtol=1e-3)
    louder = level_matched(cfg, sources * np.float32(7), None)
    np.testing.assert_allclose(louder, [song1, song2, lead1, backing2], rtol=1e-4, atol=1e-5)


def test_gains_are_drawn_within_their_range(cfg, sources):
    _, _, lead1, _ = level_matched(cfg, sources, None)
    drawn = [level_matched(cfg, sources, jax.random.key(k)) for k in range(8)]
    leads = np.array([np.abs(d[2]).max(-1) / np.abs(d[0]).max(-1) for d in drawn])
    plain = np.abs(lead1).max(-1) / np.abs(level_matched(cfg, sources, None)[0]).max(-1)
    decibels = 20 * np.log10(leads / plain)
    assert np.abs(decibels).max() <= 2 * cfg.gain_db
    assert decibels.std() > 0.5


def test_white_noise_of_rms_1_has_0_db_in_every_band(cfg):
    noise = np.random.default_rng(0).normal(size=(1, 4, 80000)).astype(np.float32)
    logs = mashup.statistics(cfg, [noise])["mean"]
    # The log's mean lies 2.5 dB below the power's (exponential distribution: Euler's gamma) where
    # a band is one bin, and approaches it where a band averages many.
    assert logs[1 : cfg.bands.linear].mean() == pytest.approx(-0.25, abs=0.03)
    assert -0.25 < logs[-1] < 0


def test_silence_is_the_floor(cfg):
    silence = jnp.zeros((1, 3, cfg.bands.bins), jnp.complex64)
    np.testing.assert_allclose(log_magnitude(cfg, silence), cfg.floor_db / 10, atol=1e-5)


def test_the_loss_of_the_right_answer_is_zero(cfg, example):
    """Songs that are nothing but what is wanted of them, kept whole."""
    pure = example._replace(lead1=example.song1, backing2=example.song2)
    loss, _ = masks.loss(cfg, {}, filters_of(cfg, example, mask1=1.0, mask2=1.0), pure)
    assert float(loss) < 1e-5


def test_the_losses_of_known_mistakes(cfg, example):
    pure = example._replace(lead1=example.song1, backing2=example.song2)
    cost = lambda **wrong: masks.loss(cfg, {}, filters_of(cfg, example, **wrong), pure)[1]  # noqa: E731
    # Half of either song is missing, and so half of each source and half of the mashup.
    half = cost(mask1=0.5, mask2=0.5)
    mashup_l1 = np.mean(
        [np.abs(part(example.song1 + example.song2)) for part in (np.real, np.imag)]
    )
    songs_l1 = sum(
        np.mean([np.abs(part(song)) for part in (np.real, np.imag)])
        for song in (example.song1, example.song2)
    )
    expected = 0.5 * (1 + songs_l1 / mashup_l1)
    assert float(half["complex"]) == pytest.approx(expected, rel=1e-4)
    assert float(half["compressed"]) == pytest.approx(1 - 0.5**0.3, abs=5e-3)
    assert float(half["phase"]) == pytest.approx(0, abs=1e-5)
    # A quarter turn: cos is 0.
    turned = cost(mask1=1.0, mask2=1.0, rotation=np.pi / 2)
    assert float(turned["phase"]) == pytest.approx(1, abs=1e-4)


def test_each_network_learns_from_its_own_loss(cfg, lively, sources):
    def part(name):
        def loss(params):
            return mashup.loss_fn(cfg, params, lively.statistics, sources, jax.random.key(0))[1][
                name
            ]

        return loss

    @jax.jit
    def norms(params):
        grads = {name: jax.grad(part(name))(params) for name in ("complex", "compressed", "phase")}
        size = lambda tree: sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(tree))  # noqa: E731
        return {name: {net: size(g) for net, g in grad.items()} for name, grad in grads.items()}

    found = norms(lively.params)
    for name in ("complex", "compressed"):
        assert found[name]["phase"] == 0
        assert found[name]["magnitude"] > 1e-3
    assert found["phase"]["magnitude"] == 0
    assert found["phase"]["phase"] > 1e-4


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


def test_scores_of_a_fresh_model_are_the_plain_sums(cfg, fresh, sources):
    scores = mashup.evaluate(cfg, fresh.params, fresh.statistics, [sources, sources])
    assert scores["examples"] == 8
    assert scores["si_sdr_model"] == pytest.approx(scores["si_sdr_sum"], abs=1e-2)
    assert scores["si_sdr_model"] == pytest.approx(scores["si_sdr_no_rotation"], abs=1e-3)
    assert scores["phi_model"] == pytest.approx(scores["phi_sum"], abs=1e-3)
    assert scores["si_sdr_oracle"] > scores["si_sdr_sum"] + 8
    assert scores["phi_oracle"] < 0.5 * scores["phi_sum"]
