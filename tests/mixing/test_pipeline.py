"""Taste in the whole pipeline, under the network that ships."""

import json

import numpy as np
import pytest

from mashjax.audio.files import Clip
from mashjax.audio.loudness import master
from mashjax.audio.resample import resample, to_mono
from mashjax.errors import UserError
from mashjax.mixing import taste
from mashjax.mixing.demo import SR
from mashjax.mixing.model import load_model
from mashjax.mixing.pipeline import Mashup, Options, make_mashup
from mashjax.mixing.render import render
from mashjax.tasks.mashup import predict

RATE = 22050


@pytest.fixture(scope="module")
def mashed(demo_songs):
    """A function: options -> mashup of 4 s of both demo songs, as they are."""
    clips = [Clip(resample(y[:, 5 * SR : 9 * SR], sr_in=SR, sr_out=RATE), RATE) for y in demo_songs]
    model = load_model()  # loaded, and compiled, once

    def mashed(**options) -> Mashup:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mashjax.mixing.masking.load_model", lambda checkpoint: model)
            return make_mashup(
                lambda k: clips[k], names=("a", "b"), options=Options(align="none", **options)
            )

    return mashed


@pytest.mark.parametrize("lead", [1, 2])
def test_without_taste_a_mashup_is_what_the_network_said(mashed, lead):
    mashup = mashed(lead=str(lead), duck=0.0)
    model = load_model()
    order = [lead - 1, 2 - lead]
    mono = [resample(to_mono(mashup.songs[k]), sr_in=RATE, sr_out=RATE) for k in order]
    masks = predict(model, *mono)
    parts = render(mashup.songs[order], sr=RATE, masks=masks, stft_settings=model.cfg.stft)
    np.testing.assert_array_equal(mashup.parts, parts[order])
    np.testing.assert_array_equal(mashup.y, master(parts[order].sum(axis=0), sr=RATE).y)


def test_ducked_parts_sum_to_the_unmastered_mix(mashed, monkeypatch):
    monkeypatch.setattr(taste, "MARGIN_DB", 30.0)  # more than the demo's voice has
    plain, ducked = mashed(lead="1", duck=0.0), mashed(lead="1")
    assert np.max(ducked.report["levels"]["ducked_db"][1]) == 6
    np.testing.assert_array_equal(ducked.parts[0], plain.parts[0])
    assert np.sum(ducked.parts[1] ** 2) < 0.5 * np.sum(plain.parts[1] ** 2)
    np.testing.assert_array_equal(ducked.y, master(ducked.parts.sum(axis=0), sr=RATE).y)
    before, after = (np.array(m.report["levels"]["lead_over_backing_db"]) for m in (plain, ducked))
    active = np.array([x is not None for x in before])
    gained = after[active].astype(float) - before[active].astype(float)
    np.testing.assert_allclose(gained, 6, atol=0.11)  # both are rounded
    json.dumps(ducked.report, allow_nan=False)


def test_dry_is_the_overlay(mashed):
    dry = mashed(wet=0.0, arrange="sections")
    error = np.sum((dry.parts - dry.songs) ** 2) / np.sum(dry.songs**2)
    assert error < 1e-9  # what the STFT's float32 leaves
    half = mashed(wet=0.5, duck=0.0)
    whole = mashed(duck=0.0)
    for k in range(2):
        energy = [np.sum(m.parts[k] ** 2) for m in (dry, half, whole)]
        assert energy[0] > energy[1] > energy[2]


def test_an_overlay_knows_no_leads(mashed):
    overlay = mashed(masks="none")
    np.testing.assert_array_equal(overlay.parts, overlay.songs)
    assert np.max(overlay.report["levels"]["removed_db"]) == -100
    only = mashed(masks="none", balance=1.0)
    np.testing.assert_array_equal(only.parts[0], 0)
    assert only.report["mask"]["song2_share"][50] == 1


def test_sections_cover_the_mashup(mashed):
    report = mashed(arrange="sections", lead="2").report
    assert report["sections"] == [{"start": 0.0, "end": 4.0, "lead": 2}]
    assert "song 2 leads throughout" in report["alignment"]["why"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"balance": 1.5}, "balance is 1.5: say -1 to 1"),
        ({"wet": -0.1}, "wet is -0.1: say 0 to 1"),
        ({"wet": float("nan")}, "wet is nan: say 0 to 1"),
        ({"duck": 30.0}, "duck is 30: say 0 to 24"),
        ({"arrange": "parts"}, "arrange is 'parts': say full or sections"),
        ({"arrange": "sections", "masks": "none"}, "sections need the masks"),
    ],
)
def test_what_is_out_of_range_is_refused(options, says):
    with pytest.raises(UserError) as refusal:
        Options(**options)
    assert says in str(refusal.value) and "\n" not in str(refusal.value)
