"""Inference in blocks: no seam, one compiled shape, any length; and what `load` refuses."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mashjax.audio.stft import istft, stft
from mashjax.errors import UserError
from mashjax.nn.weights import Weights, read_weights, write_weights
from mashjax.tasks import mashup
from mashjax.tasks.mashup.examples import transform
from mashjax.tasks.mashup.masks import AJAR, eased
from mashjax.tasks.mashup.model import apply
from mashjax.tasks.mashup.predict import in_blocks


@pytest.fixture(scope="module")
def songs(synthesise):
    sources = synthesise(5, batch=1, seconds=8.0)[0]
    return sources[0] + sources[1], sources[2] + sources[3]


def level(spectrum):
    """Of each frame, in dB; digital silence counts as -80 dB."""
    return 10 * np.log10(np.sum(np.abs(spectrum) ** 2, -1) + 1e-4)


def test_a_fresh_model_is_a_clean_overlay(cfg, fresh, songs):
    masks = mashup.predict(fresh, *songs)
    kept = [
        np.asarray(istft(_filtered(cfg, y, mask), n_fft=512, hop_length=128, length=len(y)))
        for y, mask in zip(songs, (masks.mask1, masks.mask2), strict=True)
    ]
    plain, mixed = songs[0] + songs[1], kept[0] + kept[1]
    scale = (mixed @ plain) / (plain @ plain)
    assert scale == pytest.approx(AJAR + (1 - AJAR) * cfg.first_mask, abs=1e-3)
    assert 10 * np.log10(np.sum((scale * plain) ** 2) / np.sum((mixed - scale * plain) ** 2)) > 40
    assert (masks.rotation1 == 0).all()


@pytest.mark.parametrize("xp", [np, jnp])
def test_masks_are_eased(xp):
    mask = np.array([[0.0, 1.0], [0.0, 0.7], [0.6, 0.4], [0.0, 1.0]], np.float32)
    mean = np.array([[0.0, 0.9], [0.2, 0.7], [0.2, 0.7], [0.2, 0.8]])
    found = eased(xp.asarray(mask))
    assert isinstance(found, xp.ndarray)
    np.testing.assert_allclose(found, AJAR + (1 - AJAR) * mean, atol=1e-6)
    np.testing.assert_allclose(eased(xp.stack([mask] * 2))[1], found, atol=1e-6)


def _filtered(cfg, y, mask):
    spectrum = np.asarray(stft(y, n_fft=512, hop_length=128))
    at = np.arange(spectrum.shape[1]) * 8000 / 512
    return spectrum * [np.interp(at, cfg.bands.frequencies, frame) for frame in mask]


def in_one_piece(state, y1, y2):
    """What the networks say when they run over whole songs, as in training."""
    cfg = state.cfg
    songs = np.stack([y / np.sqrt(np.mean(y**2)) for y in (y1, y2)])
    spectra = transform(cfg, songs)[..., : cfg.bands.bins]
    run = jax.jit(lambda params, song1, song2: apply(cfg, params, state.statistics, song1, song2))
    return [np.asarray(part[0]) for part in run(state.params, spectra[:1], spectra[1:])]


def test_blocks_have_no_seam(cfg, lively, songs):
    """501 frames in blocks of 160 are those of one piece: 0.1 dB would be heard, 1e-4 is not."""
    blocked = mashup.predict(lively, *songs)
    mask1, mask2, rotation1, rotation2 = in_one_piece(lively, *songs)
    assert len(blocked.times) > 3 * cfg.block_frames
    assert mask1.std() > 0.05, "masks that never move show nothing"
    mask1, mask2 = eased(mask1), eased(mask2)
    np.testing.assert_allclose(blocked.mask1, mask1, atol=1e-4)
    np.testing.assert_allclose(blocked.mask2, mask2, atol=1e-4)
    linear = cfg.bands.linear
    np.testing.assert_allclose(blocked.rotation1[:, :linear], rotation1, atol=1e-3)
    np.testing.assert_allclose(blocked.rotation2[:, :linear], rotation2, atol=1e-3)
    for y, ours, whole in ((songs[0], blocked.mask1, mask1), (songs[1], blocked.mask2, mask2)):
        difference = level(_filtered(cfg, y, ours)) - level(_filtered(cfg, y, whole))
        assert np.abs(difference).max() < 0.1


def test_two_halves_on_their_own_have_a_seam(cfg, lively, songs):
    """The control: where no state is handed on, the level jumps."""
    middle = 2 * cfg.block_frames * cfg.hop_length
    second = mashup.predict(lively, *(y[middle:] for y in songs)).mask1
    whole = mashup.predict(lively, *songs).mask1[2 * cfg.block_frames :]
    y = songs[0][middle:]
    difference = level(_filtered(cfg, y, second)) - level(_filtered(cfg, y, whole))
    assert np.abs(difference).max() > 0.1


def test_every_length_runs_through_one_compiled_shape(cfg, lively, songs):
    state = dataclasses.replace(lively)
    for samples in (1, 100, 8000, 20479, 20480, 64000):
        masks = mashup.predict(state, songs[0][:samples], songs[1][:samples])
        frames = 1 + samples // cfg.hop_length
        assert masks.mask1.shape == masks.rotation2.shape == (frames, cfg.bands.count)
        assert masks.times[-1] == pytest.approx((frames - 1) * 128 / 8000)
        for values in (masks.mask1, masks.mask2):
            assert (values >= 0).all()
            assert (values <= 1).all()
        assert np.abs(masks.rotation1).max() <= np.pi
    assert state.features._cache_size() == state.result._cache_size() == 1
    for network in state.networks:
        assert network._bridge._cache_size() == network._decode[0]._cache_size() == 1


def test_levels_do_not_matter(lively, songs):
    masks = mashup.predict(lively, *songs)
    quieter = mashup.predict(lively, songs[0] * np.float32(0.01), songs[1] * np.float32(5))
    np.testing.assert_allclose(masks.mask1, quieter.mask1, atol=1e-3)
    np.testing.assert_allclose(masks.mask2, quieter.mask2, atol=1e-3)


def test_silence_gives_numbers(lively):
    silence = np.zeros(5000, np.float32)
    masks = mashup.predict(lively, silence, silence)
    assert np.isfinite(masks.mask1).all()
    assert np.isfinite(masks.rotation2).all()


def test_songs_of_two_lengths_are_refused(lively, songs):
    with pytest.raises(ValueError, match="one length"):
        mashup.predict(lively, songs[0], songs[1][:-1])


def test_the_direct_head_paints(cfg, songs, sources):
    bins = 129
    direct = dataclasses.replace(
        cfg, n_fft=256, hop_length=64, linear_bins=bins, log_bands=0, head="direct"
    )
    params = mashup.init_model(direct, jax.random.key(0))
    state = mashup.ModelState(direct, params, mashup.statistics(direct, [sources]), {})
    painting = mashup.predict_direct(state, *songs)
    frames = direct.stft.frames(len(songs[0]))
    assert painting.magnitude.shape == painting.phase.shape == (frames, bins)
    # Before training: the mean log-magnitude, in the scale of an STFT of a song of RMS 1.
    mean = 10 ** (state.statistics["mean"] / 2) * (0.375 * 256) ** 0.5
    np.testing.assert_allclose(painting.magnitude[3], mean, rtol=1e-4)
    _, parts = jax.jit(
        lambda params: mashup.loss_fn(
            direct,
            params,
            state.statistics,
            sources,
            jax.random.split(jax.random.key(0), len(sources)),
            frames=180,
        )
    )(params)
    # Phases of nothing but zeros against phases from everywhere: 1 = random.
    assert float(parts["phase"]) == pytest.approx(1, abs=0.05)
    with pytest.raises(ValueError, match="no masks"):
        mashup.predict(state, *songs)
    with pytest.raises(ValueError, match="log_bands=16 must be 0"):
        mashup.init_model(dataclasses.replace(cfg, head="direct"), jax.random.key(0))


@pytest.fixture
def saved(tmp_path, lively):
    params = jax.tree.map(np.asarray, lively.params)
    metadata = {"task": "mashup", "config": {"model": dataclasses.asdict(lively.cfg)}, "step": 3}
    weights = Weights(params, lively.statistics, metadata)
    write_weights(tmp_path / "w", weights)
    return tmp_path / "w", weights


def loaded(folder):
    return mashup.from_weights(read_weights(folder), name=str(folder))


def test_a_loaded_model_says_the_same(saved, lively, songs):
    state = loaded(saved[0])
    assert state.cfg == lively.cfg
    ours, theirs = in_blocks(state, *songs), in_blocks(lively, *songs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_load_refuses(saved, tmp_path):
    folder, weights = saved

    def refuses(match, **metadata):
        changed = json.loads(json.dumps(weights.metadata))
        changed["config"]["model"] |= metadata.pop("model", {})
        write_weights(folder, dataclasses.replace(weights, metadata=changed | metadata))
        with pytest.raises(UserError, match=match) as refusal:
            loaded(folder)
        assert "\n" not in str(refusal.value)
        assert str(folder) in str(refusal.value)

    refuses("a checkpoint of the task 'genre', not of 'mashup'", task="genre")
    # Another STFT: 33 bins cannot hold 40 linear ones and 16 bands.
    refuses("settings cannot be read|do not fit", model={"n_fft": 64})
    refuses(r"should be \(50, 12\) and is \(56, 12\)", model={"linear_bins": 34})
    refuses("settings cannot be read", model={"colour": "red"})
    with pytest.raises(UserError, match="not a checkpoint"):
        loaded(tmp_path)
