import numpy as np
import pytest

from mashjax.audio.files import Clip
from mashjax.mixing.sets import Piece, lay

SR = 22050
BEAT = 0.5


def tone(hz: float, seconds: float, *, sr: int = SR, level: float = 0.2) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * sr)) / sr).astype(np.float32)


def clicks(beats: np.ndarray, seconds: float, *, sr: int = SR) -> np.ndarray:
    y = np.zeros(round(seconds * sr), np.float32)
    y[np.round(beats * sr).astype(int)] = 0.8
    return y


def power(y: np.ndarray, hz: float) -> float:
    t = np.arange(y.shape[-1]) / SR
    return 2 * np.abs(np.mean(y * np.exp(-2j * np.pi * hz * t), axis=-1)) ** 2


def beats(first: float, count: int, *, every: float = BEAT) -> np.ndarray:
    return first + every * np.arange(count + 1)


def test_a_song_that_goes_on_is_left_as_it_is():
    rng = np.random.default_rng(0)
    main = Clip(rng.normal(0, 0.1, (2, 20 * SR)).astype(np.float32), SR)
    partner = Clip(tone(440, 30)[None], SR)
    pieces = [
        Piece(beats(2.0, 8), 0, beats(0.3, 8), 0.0),
        Piece(beats(6.0, 8), 0, beats(9.1, 8), 0.0),
    ]
    tracks = lay(main, [partner], pieces)
    assert tracks.starts == [0.0, 4.0]
    np.testing.assert_allclose(tracks.beats, beats(0.0, 16))
    np.testing.assert_array_equal(tracks.main.y, main.y[:, 2 * SR : 10 * SR])


def test_partners_sound_in_their_piece_at_their_pitch_and_one_loudness():
    """220 Hz a fourth up, then 500 Hz at a tenth of the level; between them one beat of both."""
    main = Clip(tone(100, 30)[None], SR)
    partners = [
        Clip(tone(220, 20)[None], SR),
        Clip(tone(500, 20, sr=44100, level=0.02)[None], 44100),
    ]
    pieces = [
        Piece(beats(0.0, 8), 0, beats(2.0, 8), 5.0),
        Piece(beats(9.0, 8), 1, beats(3.0, 8), 0.0),
    ]
    tracks = lay(main, partners, pieces)
    y = tracks.partners.y[0]
    early, late = y[: 3 * SR], y[round(4.0 * SR) : 7 * SR]
    up = 220 * 2 ** (5 / 12)
    assert power(early, up) > 100 * power(early, 500)
    assert power(late, 500) > 1e3 * power(late, up)
    assert power(late, 500) == pytest.approx(power(early, up), rel=0.3)
    fading = y[round(3.5 * SR) : 4 * SR]
    for hz in (up, 500):
        assert 0.2 < power(fading, hz) / power(late, 500) < 0.8
    # The main song jumps from 4 s to 9 s; both are 100 Hz.
    assert np.abs(tracks.main.y).max() < 0.2 * np.sqrt(2) + 0.01


@pytest.mark.parametrize("every", [0.46, 0.54])
def test_a_partners_beats_fall_on_the_songs(every):
    """Of a partner that is 8 % faster or slower, in the second piece, and of one that drifts."""
    main = Clip(tone(100, 30)[None], SR)
    drifting = 3.0 + np.cumsum(np.concatenate([[0.0], np.linspace(0.45, 0.53, 12)]))
    partner = Clip(clicks(beats(1.0, 40, every=every), 30)[None], SR)
    other = Clip(clicks(drifting, 30)[None], SR)
    pieces = [
        Piece(beats(0.0, 12), 1, drifting, 0.0),
        Piece(beats(6.0, 12), 0, 1.0 + every * np.arange(4, 17), 0.0),
    ]
    tracks = lay(main, [partner, other], pieces)
    y = np.abs(tracks.partners.y[0])
    for number, at in enumerate(tracks.beats[1:-1], 1):
        near = y[round((at - 0.1) * SR) : round((at + 0.1) * SR)]
        found = at - 0.1 + near.argmax() / SR
        assert found == pytest.approx(at, abs=0.008), number
