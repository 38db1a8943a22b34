"""The mashup networks with a Transformer: they learn, their masks move with the songs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mashjax.data.augment import Augment
from mashjax.errors import UserError
from mashjax.tasks import mashup
from mashjax.tasks.mashup.config import Network
from mashjax.tasks.mashup.model import init_model


@pytest.fixture(scope="module")
def attentive(cfg):
    sizes = {"hidden": 32, "attention": 8, "window": 8, "head": 64, "encoder": "transformer"}
    return dataclasses.replace(
        cfg,
        magnitude=Network(embedding=12, **sizes),
        phase=Network(embedding=8, bidirectional=False, layers=1, **sizes),
        augment=Augment(gain_db=0, inverted=0, tilt_db=0, pitch_semitones=0),
    )


def test_it_learns_one_batch_by_heart(attentive, statistics, sources):
    sources, keys = sources[:2], jax.random.split(jax.random.key(0), 2)
    tx = optax.adam(5e-3)

    @jax.jit
    def step(params, opt_state):
        def loss_of(params):
            return mashup.loss_fn(attentive, params, statistics, sources, keys, frames=60)[0]

        loss, gradient = jax.value_and_grad(loss_of)(params)
        updates, opt_state = tx.update(gradient, opt_state)
        finite = jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient)]).all()
        return optax.apply_updates(params, updates), opt_state, loss, finite

    params = jax.jit(init_model, static_argnums=0)(attentive, jax.random.key(0))
    opt_state = tx.init(params)
    losses = []
    for _ in range(100):
        params, opt_state, loss, finite = step(params, opt_state)
        assert finite
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 4


def test_masks_move_with_the_songs(attentive, statistics, synthesise):
    """By 57 frames of 501, so that blocks begin elsewhere in the music: they leave no seam."""
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: np.float32(rng.normal(size=leaf.shape) / leaf.shape[0] ** 0.5),
        jax.eval_shape(lambda: init_model(attentive, jax.random.key(0))),
    )
    state = mashup.ModelState(attentive, params, statistics, {})
    sources = synthesise(5, batch=1, seconds=8.0)[0]
    songs = [sources[0] + sources[1], sources[2] + sources[3]]
    by, edge = 57, 60  # what is heard: (2 + 1 + 2) * 8 frames, and a few of the STFT's
    masks = mashup.predict(state, *songs)
    later = mashup.predict(state, *(np.roll(y, by * attentive.hop_length) for y in songs))
    assert masks.mask1[edge:-edge].std() > 0.05, "masks that never move show nothing"
    for name in ("mask1", "mask2", "rotation1", "rotation2"):
        before, after = getattr(masks, name), getattr(later, name)
        np.testing.assert_allclose(
            after[by + edge : -edge], before[edge : -by - edge], atol=1e-4, err_msg=name
        )


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"encoder": "gru"}, "encoder='gru': say lstm or transformer"),
        ({"encoder": "transformer", "layers": 0}, "layers=0, .* one layer or more"),
        ({"encoder": "transformer", "attention": 7}, "attention=7: .* even width"),
    ],
)
def test_what_cannot_be_is_one_line(setting, said):
    with pytest.raises(UserError, match=said) as refusal:
        init_model(mashup.Config(magnitude=Network(**setting)), jax.random.key(0))
    assert "\n" not in str(refusal.value)


def test_settings_saved_before_there_was_a_choice_are_those_of_an_lstm():
    cfg = mashup.Config()
    fields = dataclasses.asdict(cfg)
    for network in (fields["magnitude"], fields["phase"]):
        del network["encoder"], network["layers"]
    assert mashup.config_from_dict(fields) == cfg
    assert cfg.magnitude.encoder == "lstm"
