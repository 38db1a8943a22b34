import jax
import numpy as np
import pytest

from mashjax.data.control import written
from mashjax.tasks import melody
from mashjax.tasks.melody.examples import sung
from mashjax.tasks.melody.recording import expressive, recorded, scooped

SR, FRAMES = 16000, 200
CFG = melody.Config()
N = FRAMES * CFG.hop_length
KEYS = jax.random.split(jax.random.key(0), 8)


@pytest.fixture(scope="module")
def batch():
    """Eight times: rest, note 60, note 64 at once, each a sine and a second partial."""
    spans = [(4000, 16000, 60), (16000, N - 2000, 64)]
    pitch, voiced = np.zeros(N), np.zeros(N, bool)
    for a, b, note in spans:
        pitch[a:b], voiced[a:b] = note, True
    turn = 2 * np.pi * np.cumsum(440 * 2 ** ((pitch - 69) / 12)) / SR
    y = 0.1 * (np.sin(turn) + 0.5 * np.sin(2 * turn)) * voiced
    track = written(spans, pitch, voiced)
    return tuple(np.tile(x.astype(np.float32), (8, 1)) for x in (y, track))


def pitch_of(y, at):
    """MIDI number of the strongest partial in 64 ms around a sample."""
    part = y[at - 512 : at + 512] * np.hanning(1024)
    return 69 + 12 * np.log2(np.abs(np.fft.rfft(part, 2**16)).argmax() * SR / 2**16 / 440)


def test_a_scoop_is_heard_and_told(batch):
    y, track = map(np.asarray, scooped(CFG, *batch, KEYS))
    wanted = sung(CFG, track, frames=FRAMES)
    pitch, note = np.asarray(wanted.pitch), np.asarray(wanted.note)
    assert set(np.unique(note)) == {0, 60, 64}
    begins = [np.flatnonzero(row == 1) for row in np.asarray(wanted.onset)]
    assert all(len(row) == 2 for row in begins)
    away = np.abs(pitch - note)
    assert 0.2 < (away.max(axis=1) > 0.3).mean() < 1  # some singers scoop
    for one, first in enumerate(row[0] for row in begins):
        for frame in (first + 8, first + 60):
            said = pitch[one, frame - 3 : frame + 4].mean()
            assert pitch_of(y[one], frame * CFG.hop_length) == pytest.approx(said, abs=0.35)
        assert away[one, first + 60] < 0.05


def test_what_is_not_scooped_stays_as_it_is(batch):
    y, track = map(np.asarray, scooped(CFG, *batch, KEYS))
    still = np.abs(np.asarray(sung(CFG, track, frames=FRAMES).pitch) % 1).max(axis=1) < 0.01
    assert still.any()
    np.testing.assert_allclose(y[still][:, :-200], batch[0][still][:, :-200], atol=2e-3)
    np.testing.assert_array_equal(track[still][:, :-200], batch[1][still][:, :-200])


def test_notes_swell_but_do_not_move(batch):
    y = np.asarray(expressive(CFG, *batch, KEYS))
    assert not y[:, :3900].any()
    early, late = (np.sqrt((y[:, a : a + 400] ** 2).mean(1)) for a in (16200, 26000))
    assert (early < 0.7 * late).any()
    assert not (early < 0.7 * late).all()


def test_a_recording_has_noise_and_a_room(batch):
    y = np.asarray(recorded(CFG, batch[0], KEYS))
    assert y.shape == batch[0].shape and np.isfinite(y).all()
    rest, tail = ((y[:, a:b] ** 2).mean(1) / (y**2).mean(1) for a, b in ((500, 3500), (-1500, -1)))
    assert (rest > 0).all() and (10 * np.log10(rest) < -8).all()
    assert (tail > 2 * rest).any()  # the room goes on after the note
    assert not np.asarray(recorded(CFG, np.zeros((8, N), np.float32), KEYS) > 0.01).any()
