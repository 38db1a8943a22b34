"""The command. What the network hears is replaced here, but for the last tests: they ask it."""

import io
import json

import mido
import numpy as np
import pytest
import soundfile

from mashjax.audio.files import Clip
from mashjax.audio.loudness import loudness, true_peak
from mashjax.audio.midi import Note
from mashjax.audio.piano import play
from mashjax.audio.resample import resample
from mashjax.errors import UserError
from mashjax.melody import melody
from mashjax.mixing import hearing
from mashjax.mixing.demo import SR, demo_parts
from mashjax.mixing.hearing import Heard
from mashjax.mixing.pipeline import Options as MixOptions
from mashjax.mixing.pipeline import make_mashup

SUNG = [Note(0.31, 0.55, 60, 80), Note(0.81, 1.3, 63, 90), Note(1.5, 1.56, 64, 70)]
SUNG += [Note(1.56, 2.4, 67, 80)]


@pytest.fixture
def hears(monkeypatch):
    """Lets the network hear given notes."""

    def set_notes(notes):
        heard = Heard(notes, np.arange(300) * 0.01, np.full(300, np.nan))
        monkeypatch.setattr(hearing, "hear", lambda y, **_: heard)

    set_notes(SUNG)
    return set_notes


@pytest.fixture
def voice(tmp_path):
    """Writes a sound and returns its path."""

    def write(seconds=3.0, *, sr=22050, channels=1, level=0.1):
        t = np.arange(round(seconds * sr)) / sr
        y = level * np.sin(2 * np.pi * 220 * t)
        soundfile.write(tmp_path / "voice.wav", np.stack([y] * channels, axis=1), sr)
        return tmp_path / "voice.wav"

    return write


def played(content):
    now, found = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(content)):
        now += message.time
        if message.type == "note_on" and message.velocity:
            found.append((round(now, 2), message.note))
    return found


@pytest.mark.parametrize(("sr", "channels"), [(8000, 1), (44100, 2), (48000, 6)])
def test_the_piano_is_as_long_as_the_voice(hears, voice, tmp_path, sr, channels):
    path = voice(3.0 + 1 / sr, sr=sr, channels=channels)
    y, report = melody(path, out=tmp_path / "piano.wav", midi=tmp_path / "piano.mid")
    written, rate = soundfile.read(tmp_path / "piano.wav", always_2d=True)
    assert (rate, *written.T.shape) == (sr, channels, 3 * sr + 1) == (sr, *y.shape)
    assert loudness(written.T, sr=sr) == pytest.approx(-14, abs=0.2)
    assert true_peak(written.T, sr=sr) <= -0.99
    assert report["output"]["lufs"] == pytest.approx(-14, abs=0.2)
    assert played((tmp_path / "piano.mid").read_bytes()) == [
        (0.31, 60),
        (0.81, 63),
        (1.5, 64),
        (1.56, 67),
    ]


def test_notes_sound_where_they_were_sung(hears, voice):
    hears([Note(1.0, 1.5, 69, 80)])
    y, _ = melody(voice(sr=44100))
    assert np.abs(y[0, : 44100 - 10]).max() < 1e-6
    piece = y[0, 44100 : 44100 + 2205]
    assert np.abs(piece).max() > 0.05


def test_all_that_can_be_asked(hears, voice, tmp_path):
    _, report = melody(
        voice(8.0),
        midi=tmp_path / "a.mid",
        plot=tmp_path / "a.png",
        report=tmp_path / "a.json",
        key="C:minor",
        transpose=12,
        simplify=0.5,
        chords=True,
        quantise="1/16",
    )
    assert [note["pitch"] for note in report["notes"]] == [72, 75, 79]
    assert [note["name"] for note in report["notes"]] == ["C5", "D#5", "G5"]
    assert "no beat was found" in report["decisions"]["quantise"]
    assert report["decisions"]["key"] == "to the scale of C minor"
    assert report["left_hand"] and len(played((tmp_path / "a.mid").read_bytes())) == 3 + len(
        report["left_hand"]
    )
    assert json.loads((tmp_path / "a.json").read_text())["found"] == "3 notes"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_notes_are_quantised_to_the_beats_of_the_song(hears, tmp_path):
    sr, beat = 22050, 0.5
    y = np.zeros(round(20 * sr), np.float32)
    rng = np.random.default_rng(0)
    for k in range(38):
        start = round((0.25 + k * beat) * sr)
        click = rng.normal(size=2000) * np.exp(-np.arange(2000) / 300)
        y[start : start + 2000] += 0.3 * click
    soundfile.write(tmp_path / "clicks.wav", y, sr)
    starts = 0.25 + beat / 4 * np.array([0, 3, 8, 13, 20, 31])
    hears([Note(float(s) + 0.03, float(s) + 0.2, 60, 80) for s in starts])
    _, report = melody(tmp_path / "clicks.wav", quantise="1/16")
    assert "one tempo" in report["decisions"]["quantise"]
    assert [n["start"] for n in report["notes"]] == pytest.approx(starts, abs=0.02)


def test_where_nothing_is_sung_there_is_silence(hears, voice, tmp_path):
    hears([])
    path = voice()
    out, midi = tmp_path / "piano.wav", tmp_path / "piano.mid"
    _, report = melody(path, out=out, midi=midi, chords=True, plot=tmp_path / "a.png")
    assert report["found"] == "no voice found"
    assert report["output"]["lufs"] is None
    written, _ = soundfile.read(out)
    assert len(written) == 3 * 22050 and not written.any()
    assert played(midi.read_bytes()) == []
    for written in (out, midi):
        written.unlink()
    with pytest.raises(UserError, match="no voice found"):
        melody(path, out=out, midi=midi, strict=True)
    assert not out.exists() and not midi.exists()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"key": "H:minor"}, "H:minor"),
        ({"key": "D minor"}, "D:minor"),
        ({"quantise": "1/3"}, "1/3"),
        ({"simplify": 2.0}, "0 to 1"),
        ({"transpose": 100}, "-48 to 48"),
        ({"source": "song"}, "voice or mix"),
        ({"soundfont": "absent.sf2"}, "no such soundfont"),
        ({"midi": "a.txt"}, "unknown ending"),
        ({"midi": "absent/a.mid"}, "does not exist"),
        ({"checkpoint": "absent"}, "no such checkpoint"),
    ],
)
def test_mistakes_are_told_in_a_line(voice, tmp_path, monkeypatch, asked, message):
    path = voice(0.5)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        melody(path, out=tmp_path / "piano.wav", **asked)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "piano.wav").exists()


def test_the_voice_is_not_overwritten(voice):
    path = voice()
    with pytest.raises(UserError, match="overwrite"):
        melody(path, out=path)


def test_a_mashup_whose_lead_is_a_piano(hears, demo_songs):
    notes = [Note(k / 2, k / 2 + 0.4, 60 + k % 5, 80) for k in range(6)]
    rate = SR // 2
    clips = [Clip(y[:, 5 * SR : 8 * SR : 2].copy(), rate) for y in demo_songs]

    def mashup():
        options = MixOptions(lead="1", align="none", melody=True)
        return make_mashup(lambda k: clips[k], names=("a", "b"), options=options)

    hears(notes)
    piano, backing = mashup().parts
    played = play(notes, samples=piano.shape[1], sr=rate)
    cosine = (piano * played).sum() / np.linalg.norm(piano) / np.linalg.norm(played)
    assert cosine > 0.99
    assert np.abs(backing).max() > 0.01
    hears([])
    with pytest.raises(UserError, match="a: no voice found"):
        mashup()


@pytest.mark.parametrize("asked", [{"masks": "none"}, {"arrange": "sections"}])
def test_a_piano_needs_the_lead_of_one_song(asked):
    with pytest.raises(UserError, match="melody"):
        MixOptions(melody=True, **asked)


def test_the_network_that_ships_hears_the_demos_voice(tmp_path):
    y = resample(demo_parts(1)[0].mean(axis=0)[5 * SR : 13 * SR], sr_in=SR, sr_out=16000)
    soundfile.write(tmp_path / "voice.wav", y, 16000)
    _, report = melody(tmp_path / "voice.wav")
    # Quarters at 104 BPM from the third bar on; `demo.py` says which.
    sung = [76, 79, 76, 74, 71, 74, 72, None, 69, 72, 76, 74]
    starts = np.arange(8, 20) * 60 / 104 - 5
    inside = [(t, p) for t, p in zip(starts, sung, strict=True) if p and 0 < t < 7.5]
    found = [
        any(abs(n["start"] - t) < 0.08 and n["pitch"] == p for n in report["notes"])
        for t, p in inside
    ]
    assert np.mean(found) >= 0.7
