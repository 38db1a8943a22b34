import numpy as np
import pytest

from mashjax.audio.loudness import loudness
from mashjax.library.describing import describe

KEYS = (9, "minor"), (0, "major")  # relatives, which the made song does not decide between


@pytest.fixture(scope="module")
def described(sung, sr, model):
    return describe(sung, sr=sr, model=model)


def test_a_song_is_known(described, sung, sr):
    assert described.seconds == pytest.approx(sung.shape[1] / sr)
    assert (described.sample_rate, described.channels) == (sr, 2)
    assert described.tempo_bpm == pytest.approx(104, rel=0.003)
    assert (described.tonic, described.mode) in KEYS
    assert described.beats_per_bar == 4
    assert described.doubts == ()


def test_segments_are_whole_bars_from_a_downbeat(described):
    bar = 4 * 60 / 104
    assert sum(s.bars for s in described.segments) >= 8
    for number, s in enumerate(described.segments):
        assert s.number == number
        assert s.bars in (4, 8, 16)
        assert abs(s.start / bar - round(s.start / bar)) * bar < 0.03
        assert s.end - s.start == pytest.approx(s.bars * bar, abs=0.03)
        assert s.tempo_bpm == pytest.approx(104, rel=0.003)
        assert len(s.chroma) == len(s.rhythm) == len(s.lead) == 4 * s.bars
        np.testing.assert_allclose(np.diff(s.beats), bar / 4, atol=0.02)
        np.testing.assert_allclose(s.beats[[0, -1]], [s.start, s.end], atol=1e-4)
        assert (s.tonic, s.mode) in KEYS


def test_a_segments_loudness_is_its_own(described, sung, sr):
    for s in described.segments:
        part = sung[:, round(s.start * sr) : round(s.end * sr)]
        assert s.loudness_lufs == pytest.approx(loudness(part, sr=sr), abs=1e-6)


def test_segments_of_one_song_have_embeddings_alike(described):
    embeddings = np.array([s.embedding for s in described.segments])
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert embeddings.shape[1] == 64 and (embeddings @ embeddings.T).min() > 0.3


def test_the_lead_is_where_the_voice_is(described):
    bars = np.concatenate([s.lead.reshape(-1, 4).mean(axis=1) for s in described.segments])
    first = round(described.segments[0].start / (4 * 60 / 104))
    sings = np.arange(first, first + len(bars)) >= 2
    assert bars[sings].mean() > 0.4
    assert described.segments[-1].voice > 0.8
    if not sings.all():
        assert bars[~sings].mean() < 0.1


def test_level_moves_spectra_and_loudness_only(described, sung, sr, model):
    quiet = describe(sung / 8, sr=sr, model=model)
    for loud, soft in zip(described.segments, quiet.segments, strict=True):
        assert soft.loudness_lufs == pytest.approx(loud.loudness_lufs - 18.06, abs=0.05)
        assert np.abs(soft.timbre - loud.timbre).max() < 1.0
        assert np.abs(soft.chroma - loud.chroma).max() < 1e-3 * loud.chroma.max()
        assert soft.brightness_hz == pytest.approx(loud.brightness_hz, rel=1e-3)
        loudest = loud.lead_spectrum > -50
        assert loud.lead_spectrum[loudest] - soft.lead_spectrum[loudest] == pytest.approx(
            18.06, abs=0.1
        )


@pytest.mark.parametrize("sound", ["silence", "noise", "drone"])
def test_what_has_no_beat_has_no_segments_and_says_why(model, sound):
    t = np.arange(22050 * 8) / 22050
    rng = np.random.default_rng(0)
    y = {
        "silence": 0 * t,
        "noise": 0.1 * rng.normal(size=len(t)),
        "drone": 0.2 * np.sin(2 * np.pi * 110 * t),
    }[sound]
    song = describe(y[None].astype(np.float32), sr=22050, model=model)
    assert song.segments == () and song.tempo_bpm is None
    assert song.doubts == ("no beat was found",)


def test_three_bars_are_too_short_for_a_segment(sung, sr, model):
    song = describe(sung[:, : 7 * sr], sr=sr, model=model)
    assert song.segments == ()
    assert "shorter than four bars" in song.doubts
