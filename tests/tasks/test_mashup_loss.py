"""Features and losses of the mashup task, by numbers that are known beforehand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mashjax.tasks import mashup
from mashjax.tasks.mashup import direct as head
from mashjax.tasks.mashup import masks
from mashjax.tasks.mashup.examples import level_matched, log_magnitude, make_example, varied

FRAMES = 90  # of the sources' 94: the rest is slack for the augmentation


def filters_of(cfg, example, *, mask1, mask2, rotation=0.0):
    shape = example.song1.shape[:2]
    mask = lambda value: jnp.full((*shape, cfg.bands.count), value)  # noqa: E731
    turn = jnp.full((*shape, cfg.bands.linear), rotation)
    return masks.Filters(mask(mask1), mask(mask2), turn, turn)


def rms(y):
    return np.sqrt(np.mean(np.square(y), -1))


def test_songs_are_level_matched_and_sources_keep_their_share(sources):
    song1, song2, (lead1, backing2) = level_matched(sources)
    np.testing.assert_allclose(rms(song1), 1, rtol=1e-5)
    np.testing.assert_allclose(rms(song2), 1, rtol=1e-5)
    ratio = sources[:, 0].std(-1) / (sources[:, 0] + sources[:, 1]).std(-1)
    np.testing.assert_allclose(lead1.std(-1), ratio, rtol=1e-3)
    louder = level_matched(sources * np.float32(7))
    for ours, theirs in zip(jax.tree.leaves(louder), (song1, song2, lead1, backing2), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_mashup_keeps_the_levels_of_its_originals(mashups):
    """The second original is half as loud in it: one factor for all, and a mean RMS of 1."""
    mashups = mashups.copy()
    mashups[:, 2] *= 0.5 * (rms(mashups[:, 1]) / rms(mashups[:, 2]))[:, None]
    songs = level_matched(mashups)
    np.testing.assert_allclose(rms(songs.song1), 4 / 3, rtol=1e-4)
    np.testing.assert_allclose(rms(songs.song2), 2 / 3, rtol=1e-4)
    np.testing.assert_allclose(
        rms(songs.label) / rms(songs.song1), rms(mashups[:, 0]) / rms(mashups[:, 1]), rtol=1e-4
    )
    assert len(songs.parts) == 1


def test_only_what_a_label_allows_is_augmented(cfg, sources, mashups):
    """Leads and backings of a pair vary on their own; a mashup goes with its originals."""
    vary = jax.jit(
        lambda y, seed: varied(
            cfg, y, jax.random.split(jax.random.key(seed), len(y)), frames=FRAMES
        )
    )
    drawn = [vary(sources, seed) for seed in range(4)]
    balance = np.array([rms(y[:, 0]) / rms(y[:, 1]) for y in drawn])
    decibels = 20 * np.log10(balance / (rms(sources[:, 0]) / rms(sources[:, 1])))
    assert decibels.std() > 0.5
    y = vary(mashups, 0)
    assert y.shape == (4, 3, (FRAMES - 1) * cfg.hop_length)
    other = vary(0.5 * mashups[:, [1, 2, 0]], 0)
    np.testing.assert_allclose(other, 0.5 * y[:, jnp.array([1, 2, 0])], atol=1e-6)


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
    pure = example._replace(parts=(example.song1, example.song2))
    loss, _ = masks.loss(cfg, {}, filters_of(cfg, example, mask1=1.0, mask2=1.0), pure)
    assert float(loss) < 1e-5


def test_the_losses_of_known_mistakes(cfg, example):
    pure = example._replace(parts=(example.song1, example.song2))
    cost = lambda **wrong: masks.loss(cfg, {}, filters_of(cfg, example, **wrong), pure)[1]  # noqa: E731
    # Half of either song is missing, and so half of each source and half of the mashup.
    half = cost(mask1=0.5, mask2=0.5)

    def l1(spectrum):
        return np.mean([np.abs(part(spectrum)) for part in (np.real, np.imag)], axis=(0, 2, 3))

    songs_l1 = l1(example.song1) + l1(example.song2)
    expected = 0.5 * np.mean(1 + songs_l1 / l1(example.song1 + example.song2))
    assert float(half["complex"]) == pytest.approx(expected, rel=1e-4)
    assert float(half["compressed"]) == pytest.approx(1 - 0.5**0.3, abs=5e-3)
    assert float(half["phase"]) == pytest.approx(0, abs=1e-5)
    # A quarter turn: cos is 0.
    turned = cost(mask1=1.0, mask2=1.0, rotation=np.pi / 2)
    assert float(turned["phase"]) == pytest.approx(1, abs=1e-4)


def test_a_mashup_alone_is_compared_as_a_whole(cfg, example):
    """Shares may be wrong as long as their sum is right; what both turn, the sum has turned."""
    halves = example._replace(
        song1=example.song1, song2=example.song1, parts=(1.5 * example.song1,)
    )
    uneven = masks.loss(cfg, {}, filters_of(cfg, example, mask1=1.0, mask2=0.5), halves)[1]
    assert max(map(float, uneven.values())) < 1e-5
    cost = lambda **wrong: masks.loss(cfg, {}, filters_of(cfg, example, **wrong), halves)[1]  # noqa: E731
    silent = cost(mask1=0.5, mask2=0.25)
    assert float(silent["complex"]) == pytest.approx(0.5, abs=1e-4)
    assert float(silent["compressed"]) == pytest.approx(1 - 0.5**0.3, abs=5e-3)
    turned = cost(mask1=1.0, mask2=0.5, rotation=np.pi / 2)
    assert float(turned["phase"]) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", ["sources", "mashups"])
def test_each_network_learns_from_its_own_loss(cfg, kind, request):
    """Masks are the magnitude network's, rotations the phase network's."""
    example = make_example(cfg, request.getfixturevalue(kind))
    rng = np.random.default_rng(0)
    shape = (*example.song1.shape[:2], cfg.bands.count)
    turn = rng.uniform(-2, 2, (2, *shape[:2], cfg.bands.linear))
    filters = masks.Filters(*map(np.float32, (*rng.uniform(0.1, 0.9, (2, *shape)), *turn)))

    @jax.jit
    def sizes(filters):
        losses = lambda filters: masks.loss(cfg, {}, filters, example)[1]  # noqa: E731
        return jax.tree.map(
            lambda gradient: jnp.sum(jnp.abs(gradient)), jax.jacrev(losses)(filters)
        )

    found = sizes(filters)
    for name in ("complex", "compressed"):
        assert min(found[name].mask1, found[name].mask2) > 0.1
        assert found[name].rotation1 == found[name].rotation2 == 0
    assert found["phase"].mask1 == found["phase"].mask2 == 0
    assert min(found["phase"].rotation1, found["phase"].rotation2) > 0.1


def test_the_phase_loss_does_not_reach_the_magnitude_network(cfg, lively, sources):
    """The phase network sees the masks, but they are no way back."""

    def phase(params):
        keys = jax.random.split(jax.random.key(0), len(sources))
        frames = cfg.stft.frames(sources.shape[-1]) // 2
        loss = mashup.loss_fn(cfg, params, lively.statistics, sources, keys, frames=frames)
        return loss[1]["phase"]

    gradients = jax.jit(jax.grad(phase))(lively.params)
    size = {
        name: sum(float(jnp.abs(g).sum()) for g in jax.tree.leaves(gradients[name]))
        for name in ("magnitude", "phase")
    }
    assert size["magnitude"] == 0
    assert size["phase"] > 1e-3


def test_the_direct_head_learns_from_mashups(cfg, mashups):
    direct = dataclasses.replace(cfg, linear_bins=257, log_bands=0, head="direct")
    statistics = mashup.statistics(direct, [mashups])
    example = make_example(direct, mashups)
    painting = head.Painting(log_magnitude(direct, example.label), jnp.angle(example.label))
    loss, _ = head.loss(direct, statistics, painting, example)
    assert float(loss) < 1e-5
