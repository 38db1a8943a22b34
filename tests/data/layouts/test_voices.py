import importlib.util
import pathlib

import numpy as np
import pytest
import soundfile

from mashjax.audio.midi import Note
from mashjax.data.layouts.singer import sing
from mashjax.data.layouts.voices import find_voices, listen, sing_with, world
from mashjax.errors import UserError

SR = 22050

if importlib.util.find_spec("pyworld") is None:
    pytest.skip("needs pyworld, which is compiled where it is installed", allow_module_level=True)


def melody(pitches: list[int], *, seconds: float) -> list[Note]:
    return [Note(i * seconds, (i + 1) * seconds, p, 90) for i, p in enumerate(pitches)]


@pytest.fixture(scope="module")
def voice(tmp_path_factory) -> pathlib.Path:
    """A recording at 16 kHz: twenty syllables, in place of somebody who speaks."""
    rng = np.random.default_rng(0)
    notes = [Note(0.4 * i, 0.4 * i + 0.3, int(rng.integers(46, 52)), 90) for i in range(20)]
    path = tmp_path_factory.mktemp("voices") / "speaker.wav"
    soundfile.write(path, sing(notes, seconds=8.2, sr=16000, rng=rng), 16000)
    return path


def test_the_syllables_of_a_recording_are_found(voice):
    heard = listen(voice, SR)
    assert 15 <= len(heard.syllables) <= 25
    assert np.all(np.diff(heard.syllables, axis=1) >= 0)
    assert abs((heard.pitch - 48.5 + 6) % 12 - 6) < 4  # the singer chose its octave
    assert heard.log_envelope.shape == heard.aperiodicity.shape
    # What a recording of 16 kHz lacks is breath, and less than what it has.
    assert heard.aperiodicity[:, -20:].min() > 0.9
    assert heard.log_envelope[:, -20:].mean() < heard.log_envelope[:, 20:60].mean() - 2


@pytest.mark.parametrize("seed", range(3))
def test_a_recorded_voice_holds_the_melody_s_notes(voice, seed):
    pitches = [60, 64, 62, 67, 65, 59]
    rng = np.random.default_rng(seed)
    y = sing_with(voice, melody(pitches, seconds=1.0), seconds=6.0, sr=SR, rng=rng)
    assert len(y) == 6 * SR
    assert y.dtype == np.float32
    assert np.abs(y).max() == pytest.approx(0.9, abs=1e-6)
    hertz, times = world().harvest(y.astype(np.float64), SR)
    cents = []
    for i, pitch in enumerate(pitches):
        found = np.median(hertz[(times > i + 0.3) & (times < i + 0.8) & (hertz > 0)])
        apart = 12 * np.log2(found / 440) + 69 - pitch
        cents.append(100 * (apart - 12 * np.round(apart / 12)))
    assert np.median(np.abs(cents)) < 40


def test_it_is_silent_between_phrases(voice):
    notes = [Note(1.0, 2.0, 62, 90), Note(5.0, 6.0, 62, 90)]
    y = sing_with(voice, notes, seconds=8.0, sr=SR, rng=np.random.default_rng(0))
    level = np.sqrt(np.mean(y[int(1.1 * SR) : int(1.9 * SR)] ** 2))
    for begin, end in ((0, 0.4), (3.8, 4.6)):
        quiet = np.sqrt(np.mean(y[int(begin * SR) : int(end * SR)] ** 2))
        assert 20 * np.log10(quiet / level + 1e-9) < -25


def test_one_seed_is_one_performance(voice):
    notes = melody([60, 62], seconds=0.5)
    first, again, other = (
        sing_with(voice, notes, seconds=1.0, sr=SR, rng=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_is_no_voice_is_refused(tmp_path, voice):
    assert find_voices(voice.parent) == (voice,)
    with pytest.raises(UserError, match="holds no recording"):
        find_voices(tmp_path)
    noise = tmp_path / "noise.wav"
    soundfile.write(noise, 0.1 * np.random.default_rng(0).standard_normal(3 * SR), SR)
    with pytest.raises(UserError, match=r"noise\.wav: has \d syllables"):
        listen(noise, SR)
