import numpy as np
import pytest

from mashjax.audio.stft import StftSettings
from mashjax.mixing.render import render
from mashjax.mixing.sections import arrange, choose, join
from mashjax.mixing.taste import Section
from mashjax.music.structure import Phrases
from mashjax.tasks.mashup import Masks

SR = 22050
STFT = StftSettings(sample_rate=SR, n_fft=2048, hop_length=512)
BANDS = np.array([0.0, 550, 650, 10000])
BAND_HZ, VOICE_HZ = (220, 330), (880, 1320)  # what the masks below tell apart


def phrases(count: int, *, seconds: float = 4.0, novelty: float = 1.0) -> Phrases:
    return Phrases(
        edges=seconds * np.arange(count + 1), novelty=np.full(count - 1, novelty), beat=0.5, bars=8
    )


def roles(seconds: float) -> tuple[Masks, Masks]:
    """Masks that keep what is above 600 Hz of the song that leads, what is below of the other."""
    frames = STFT.frames(round(seconds * SR))
    low, high = (np.tile(np.float32(x), (frames, 1)) for x in ([1, 1, 0, 0], [0, 0, 1, 1]))
    times = np.arange(frames) / STFT.frame_rate
    return (
        Masks(high, low, 0 * low, 0 * low, times, BANDS),
        Masks(low, high, 0 * low, 0 * low, times, BANDS),
    )


def tones(hz: tuple[float, ...], seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * SR)) / SR
    return sum(0.1 * np.sin(2 * np.pi * f * t) for f in hz).astype(np.float32)


def power(y: np.ndarray, hz: float) -> float:
    """The power of a tone of `hz` in `y` [samples]."""
    t = np.arange(len(y)) / SR
    return 2 * np.abs(np.mean(y * np.exp(-2j * np.pi * hz * t))) ** 2


@pytest.mark.parametrize("first", [1, 2])
def test_leads_alternate_where_the_songs_take_turns(first):
    """Song 1 sings in the first half, song 2 in the second; or the other way round."""
    bands = [tones(BAND_HZ, 16), tones((247, 370), 16)]
    voices = [tones(VOICE_HZ, 16), tones((988, 1480), 16)]
    half = 8 * SR
    voices[first - 1][half:] = 0
    voices[2 - first][:half] = 0
    songs = np.stack(bands) + np.stack(voices)
    masks, sections = arrange(songs, roles(16), phrases(4), lead=1, stft_settings=STFT)
    assert sections == [Section(0.0, 8.0, first), Section(8.0, 16.0, 3 - first)]
    mix = render(songs[:, None], sr=SR, masks=masks, stft_settings=STFT).sum(axis=(0, 1))
    early, late = mix[SR : 7 * SR], mix[9 * SR : 15 * SR]
    hz = ((BAND_HZ[0], VOICE_HZ[0]), (247, 988))
    for part, lead in ((early, first), (late, 3 - first)):
        (band, voice), (other_band, other_voice) = hz[lead - 1], hz[2 - lead]
        for heard in (voice, other_band):
            assert power(part, heard) == pytest.approx(0.005, rel=0.01)
        for gone in (band, other_voice):
            assert power(part, gone) < 0.005e-4


def test_a_lead_changes_only_where_it_is_clearly_better():
    three = phrases(3)
    stay = [Section(0.0, 12.0, 1)]
    assert choose(np.array([[0.5, 0.5, 0.5], [0.5, 0.7, 0.5]]), three, lead=1) == stay
    change = [Section(0.0, 4.0, 1), Section(4.0, 8.0, 2), Section(8.0, 12.0, 1)]
    assert choose(np.array([[0.5, 0.2, 0.5], [0.1, 0.9, 0.1]]), three, lead=1) == change
    same = phrases(3, novelty=0.0)  # the music goes on: changes cost more
    assert choose(np.array([[0.5, 0.2, 0.5], [0.1, 0.9, 0.1]]), same, lead=1) == stay


def test_without_a_reason_the_given_song_leads():
    for lead in (1, 2):
        worth = np.full((2, 3), 0.5)
        assert choose(worth, phrases(3), lead=lead) == [Section(0.0, 12.0, lead)]
        worth[2 - lead] += 0.2  # 0.6 phrases in all: worth a change at the beginning
        assert choose(worth, phrases(3), lead=lead) == [Section(0.0, 12.0, 3 - lead)]


def test_fades_keep_the_power_and_are_over_when_a_section_begins():
    one, two = roles(8)
    both = np.ones_like(one.mask1)
    sections = [Section(0.0, 4.0, 1), Section(4.0, 8.0, 2)]
    masks = join((one, two), sections, fade=0.5)
    np.testing.assert_allclose(masks.mask1**2 + masks.mask2**2, 1, atol=1e-6)
    before, after = masks.times <= 3.5, masks.times >= 4
    np.testing.assert_array_equal(masks.mask1[before], one.mask1[before])
    np.testing.assert_array_equal(masks.mask1[after], two.mask1[after])
    halfway = np.abs(masks.times - 3.75).argmin()
    assert masks.mask1[halfway, 0] ** 2 == pytest.approx(0.5, abs=0.05)
    # What both roles let through is not touched.
    is_open = Masks(both, both, 0 * both, 0 * both, one.times, BANDS)
    np.testing.assert_allclose(join((is_open, is_open), sections, fade=0.5).mask1, 1, atol=1e-6)


def test_song_2_may_begin():
    one, two = roles(4)
    masks = join((one, two), [Section(0.0, 4.0, 2)], fade=0.5)
    np.testing.assert_array_equal(masks.mask1, two.mask1)
