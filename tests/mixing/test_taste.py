import numpy as np
import pytest

from mashjax.mixing.taste import MARGIN_DB, SILENCE_DB, Section, band_db, level_times, weigh

SR = 8000
LEAD_HZ, BACKING_HZ = 1000, 800  # in the middle of the band, whose edges are soft
SUNG = (4.0, 8.0)  # seconds of `made` in which the lead is heard


def tone(hz: float, db: float, seconds: float = 12.0) -> np.ndarray:
    """A sine [1, samples] whose power is `db`."""
    t = np.arange(round(seconds * SR)) / SR
    return (np.sqrt(2) * 10 ** (db / 20) * np.sin(2 * np.pi * hz * t)).astype(np.float32)[None]


def made(lead_db: float, backing_db: float) -> np.ndarray:
    """Parts [2, 1, samples]: a lead that is heard for a while, a backing throughout."""
    lead = tone(LEAD_HZ, lead_db)
    lead[:, : round(SUNG[0] * SR)] = lead[:, round(SUNG[1] * SR) :] = 0
    return np.stack([lead, tone(BACKING_HZ, backing_db)])


def weighed(parts, *, lead=1, duck=6.0, balance=0.0, songs=None):
    seconds = parts.shape[2] / SR
    return weigh(
        parts if songs is None else songs,
        parts,
        sr=SR,
        sections=[Section(0.0, seconds, lead)],
        duck=duck,
        balance=balance,
    )


def middle(times: np.ndarray) -> np.ndarray:
    """Frames whose windows lie in the sung part."""
    return (times > SUNG[0] + 0.2) & (times < SUNG[1] - 0.2)


def rms_db(x: np.ndarray, start: float, stop: float) -> float:
    piece = x[..., round(start * SR) : round(stop * SR)].astype(np.float64)
    return 10 * np.log10(np.mean(piece**2) + 1e-30)


def test_levels_are_of_the_band_where_voices_live():
    inside, below = band_db(tone(1000, -20), sr=SR), band_db(tone(40, -20), sr=SR)
    np.testing.assert_allclose(inside[3:-3], -20, atol=0.1)
    assert below[3:-3].max() < -45  # 2.3 octaves below the edge at 12 dB an octave
    assert level_times(len(inside), sr=SR)[0] == 0.04
    assert np.all(band_db(np.zeros((2, SR), np.float32), sr=SR) == SILENCE_DB)


def test_levels_do_not_depend_on_blocks(monkeypatch):
    y = np.random.default_rng(0).normal(0, 0.1, (2, 5 * SR)).astype(np.float32)
    whole = band_db(y, sr=SR, minus=y / 2)
    monkeypatch.setattr("mashjax.mixing.taste._BLOCK", 3000)
    np.testing.assert_allclose(band_db(y, sr=SR, minus=y / 2), whole, atol=1e-6)


@pytest.mark.parametrize(
    ("lead_db", "wanted"),
    [(-20, 0.0), (-23, 2.0), (-25, 4.0), (-27, 6.0), (-40, 0.0)],  # the last one is no lead
)
def test_the_backing_makes_way_as_far_as_the_lead_needs_it(lead_db, wanted):
    parts = made(lead_db, -22.0)
    mixed, levels = weighed(parts)
    now = middle(levels.times)
    np.testing.assert_allclose(levels.ducked_db[1, now], wanted, atol=0.15)
    np.testing.assert_array_equal(levels.ducked_db[0], 0)
    assert rms_db(mixed[1], 5, 7) == pytest.approx(-22 - wanted, abs=0.15)
    for start, stop in ((0, 3), (9, 12)):  # the lead pauses
        assert rms_db(mixed[1], start, stop) == pytest.approx(-22, abs=0.01)
    np.testing.assert_array_equal(mixed[0], parts[0])


def test_what_is_reported_is_what_is_heard():
    parts = made(-25, -22)
    before = weighed(parts, duck=0)[1].lead_over_backing_db
    mixed, levels = weighed(parts)
    after = levels.lead_over_backing_db
    now = middle(levels.times)
    np.testing.assert_allclose(before[now], -3, atol=0.15)
    np.testing.assert_allclose(after[now], MARGIN_DB, atol=0.15)
    heard = band_db(mixed[0], sr=SR)[now] - band_db(mixed[1], sr=SR)[now]
    np.testing.assert_allclose(after[now], heard, atol=0.1)
    assert np.isnan(after[levels.times < SUNG[0] - 0.3]).all()


def test_ducking_is_a_fade_that_is_down_before_the_lead():
    _, levels = weighed(made(-24, -16))
    ducked = levels.ducked_db[1]
    assert ducked[np.abs(levels.times - SUNG[0]).argmin()] == pytest.approx(6, abs=0.01)
    assert np.abs(np.diff(ducked)).max() < 1.0  # 6 dB in 0.56 s: 0.86 dB in a frame


def test_duck_is_the_most_and_nothing_is_touched_without_it():
    parts = made(-27, -21)
    assert weighed(parts, duck=3.0)[1].ducked_db.max() == pytest.approx(3.0)
    kept = parts.copy()
    untouched, levels = weighed(parts, duck=0.0)
    np.testing.assert_array_equal(untouched, kept)
    assert levels.ducked_db.max() == 0
    weighed(parts, duck=6.0, balance=0.5)
    np.testing.assert_array_equal(parts, kept)


def test_the_song_that_leads_is_the_one_that_is_heard():
    parts = made(-27, -21)[::-1]
    _, levels = weighed(parts, lead=2)
    assert levels.ducked_db[0].max() == pytest.approx(6, abs=0.01)
    assert levels.ducked_db[1].max() == 0
    assert np.nanmin(levels.lead_over_backing_db[middle(levels.times)]) > -1


def test_each_section_has_its_lead():
    """Both parts sound throughout, song 2 6 dB above: only under song 1's lead it makes way."""
    parts = np.stack([tone(LEAD_HZ, -26), tone(BACKING_HZ, -20)])
    sections = [Section(0.0, 6.0, 1), Section(6.0, 12.0, 2)]
    _, levels = weigh(parts, parts, sr=SR, sections=sections, duck=6.0, balance=0.0)
    np.testing.assert_allclose(levels.ducked_db[1, levels.times < 6], 6, atol=1e-6)
    np.testing.assert_array_equal(levels.ducked_db[1, levels.times > 7], 0)
    np.testing.assert_array_equal(levels.ducked_db[0], 0)
    late = levels.lead_over_backing_db[levels.times > 7]
    np.testing.assert_allclose(late[:-3], 6, atol=0.1)


@pytest.mark.parametrize(
    ("balance", "wanted"),
    [(-1, (3.01, None)), (-0.5, (1.76, -3.01)), (0, (0, 0)), (1, (None, 3.01))],
)
def test_balance_weighs_the_songs_powers(balance, wanted):
    parts = np.stack([tone(LEAD_HZ, -20), tone(BACKING_HZ, -20)])
    mixed, levels = weighed(parts, duck=0.0, balance=balance)
    for k, gain in enumerate(wanted):
        if gain is None:
            np.testing.assert_array_equal(mixed[k], 0)
        else:
            assert rms_db(mixed[k], 1, 11) == pytest.approx(-20 + gain, abs=0.01)
            np.testing.assert_allclose(levels.part_db[k, 3:-3], -20 + gain, atol=0.1)


def test_nothing_makes_way_for_a_lead_that_is_turned_off():
    parts = made(-27, -21)
    mixed, levels = weighed(parts, balance=1.0)
    assert levels.ducked_db.max() == 0
    np.testing.assert_allclose(mixed[1], np.sqrt(2) * parts[1], rtol=1e-6)


def test_what_the_masks_took_out_is_shown():
    """The backing song's own voice, as loud as its band, is gone from its part."""
    parts = made(-20, -22)
    voice = tone(900, -24)
    _, levels = weighed(parts, songs=parts + np.stack([0 * voice, voice]))
    np.testing.assert_allclose(levels.removed_db[1, 3:-3], -24, atol=0.1)
    assert levels.removed_db[0].max() == SILENCE_DB
