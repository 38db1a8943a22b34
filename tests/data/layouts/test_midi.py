import os
import pathlib
import shutil

import mido
import numpy as np
import pytest

from mashjax.audio import fluidsynth as rendering
from mashjax.audio.fluidsynth import render
from mashjax.audio.midi import Note, Part
from mashjax.data.layouts.arrange import arrange, chord_pitches
from mashjax.data.layouts.midi import MidiSong, find_midi_songs, read_score
from mashjax.errors import UserError

SR = 22050
SOUNDFONT = os.environ.get("MASHJAX_SOUNDFONT", "/usr/share/sounds/sf2/FluidR3_GM.sf2")
needs_fluidsynth = pytest.mark.skipif(
    shutil.which("fluidsynth") is None or not pathlib.Path(SOUNDFONT).is_file(),
    reason="needs the program fluidsynth and a soundfont (MASHJAX_SOUNDFONT)",
)
BEAT = 0.5


@pytest.fixture
def folder(pop909) -> pathlib.Path:
    """A song of 64 beats, "007"."""
    return pop909


def test_notes_fall_on_the_annotated_beats_through_tempo_changes(folder):
    score = read_score(folder / "007")
    for notes in (score.melody, score.bridge, score.piano):
        np.testing.assert_allclose([n.start for n in notes], np.arange(64) * BEAT, atol=1e-9)
    assert [n.pitch for n in score.melody[:6]] == [67, 68, 69, 70, 71, 67]
    np.testing.assert_array_equal(score.downbeats, np.arange(0, 65, 4))
    assert score.chords[1] == (2.0, 4.0, "A:min7/b3")


@pytest.mark.parametrize(
    ("name", "pitches"),
    [
        ("C:maj", [0, 4, 7]),
        ("Bb:min7/b3", [10, 13, 17]),
        ("F#:sus4(b7)", [6, 11, 13]),
        ("B:dim", [11, 14, 17]),
        ("D:7", [2, 6, 9]),
    ],
)
def test_chord_names_give_their_triads(name, pitches):
    assert chord_pitches(name) == pitches


def test_an_arrangement_keeps_the_melody_and_follows_beats_and_chords(folder):
    score = read_score(folder / "007")
    programs, drummed = set(), 0
    for seed in range(30):
        (lead,), backing = arrange(score, rng=np.random.default_rng(seed))
        assert [n.start for n in lead.notes] == [n.start for n in score.melody]
        shifts = {n.pitch - m.pitch for n, m in zip(lead.notes, score.melody, strict=True)}
        assert len(shifts) == 1
        assert shifts.pop() % 12 == 0
        programs.add(lead.program)
        for part in backing:
            assert all(0 <= n.pitch < 128 and 0 < n.velocity < 128 for n in part.notes)
            if 32 <= part.program < 40 and not part.drums:  # the bass plays roots and fifths
                for n in part.notes:
                    root = {0: 0, 1: 9}[int((n.start + 1e-6) // 2) % 3]
                    assert (n.pitch - root) % 12 in (0, 7)
            if part.drums:
                drummed += 1
                grid = np.array([n.start for n in part.notes]) / (BEAT / 4)
                # Sixteenths, with the drummer's 3 ms of unsteadiness.
                assert np.abs(grid - np.round(grid)).max() * BEAT / 4 < 0.015
    assert len(programs) > 8
    assert 15 <= drummed < 30


def test_what_is_missing_is_said_in_one_line(folder, tmp_path, monkeypatch):
    font = tmp_path / "font.sf2"
    with pytest.raises(UserError, match="needs --soundfont=FILE"):
        find_midi_songs(folder, soundfonts=[], seed=0)
    font.write_bytes(b"RIFF")
    with pytest.raises(UserError, match="no such folder"):
        find_midi_songs(tmp_path / "absent", soundfonts=[str(font)], seed=0)
    monkeypatch.setattr(rendering.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="apt-get install fluidsynth"):
        find_midi_songs(folder, soundfonts=[str(font)], seed=0)


def test_damaged_song_folders_are_named(folder):
    song = folder / "007"
    chords = (song / "chord_midi.txt").read_text()
    (song / "chord_midi.txt").write_text("0.0 C:maj")
    with pytest.raises(UserError, match=r"chord_midi\.txt is not a table"):
        read_score(song)
    (song / "chord_midi.txt").write_text(chords)
    (song / "beat_midi.txt").write_text("0 1 1\n1 0 0\n")
    with pytest.raises(UserError, match="2 rows of 3; needs 16"):
        read_score(song)
    score = mido.MidiFile(song / "007.mid")
    score.tracks = [t for t in score.tracks if t.name != "MELODY"]
    score.save(song / "007.mid")
    with pytest.raises(UserError, match="no notes in a track MELODY"):
        read_score(song)
    (song / "007.mid").write_bytes(b"not midi")
    with pytest.raises(UserError, match="not a readable MIDI file"):
        read_score(song)


def test_a_song_is_its_own_group(folder):
    assert MidiSong("007", folder / "007", (), 0).group == "007"


@needs_fluidsynth
def test_rendered_notes_sound_when_and_as_high_as_written():
    notes = [Note(0.5 * i + 0.25, 0.5 * i + 0.5, 69, 100) for i in range(8)]
    y = render([Part(80, notes, reverb=0)], seconds=5.0, sr=SR, soundfont=SOUNDFONT)
    assert len(y) == 5 * SR
    envelope = np.convolve(np.abs(y), np.ones(110) / 110, "same")
    rises = np.flatnonzero((envelope[1:] > 0.02) & (envelope[:-1] <= 0.02)) / SR
    first = [rises[np.searchsorted(rises, n.start - 0.02)] - n.start for n in notes]
    # FluidSynth acts on events in blocks of 64 samples (1.5 ms); a square lead starts at once.
    assert np.abs(first).max() < 0.015
    tone = y[int(0.3 * SR) : int(0.45 * SR)]
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone)), 1 << 17))
    octaves = np.log2(np.argmax(spectrum) * SR / (1 << 17) / 440)
    assert abs(1200 * (octaves - round(octaves))) < 15


@needs_fluidsynth
def test_a_song_is_rendered_alike_every_time_and_its_lead_carries_the_melody(folder):
    song = MidiSong("007", folder / "007", (SOUNDFONT,), 0)
    lead, backing = song.load(sr=SR)
    again = song.load(sr=SR)
    np.testing.assert_array_equal(lead, again[0])
    np.testing.assert_array_equal(backing, again[1])
    assert len(lead) == len(backing)
    level = [np.sqrt(np.mean(y**2)) for y in (lead, backing)]
    assert abs(20 * np.log10(level[0] / level[1])) < 12
    other = MidiSong("007", folder / "007", (SOUNDFONT,), 1).load(sr=SR)
    assert not np.array_equal(lead, other[0])


@needs_fluidsynth
def test_a_broken_soundfont_is_named(tmp_path):
    font = tmp_path / "broken.sf2"
    font.write_bytes(b"RIFF nothing")
    with pytest.raises(UserError, match=r"cannot play with .*broken\.sf2"):
        render([Part(0, [Note(0, 1, 60, 90)])], seconds=1.0, sr=SR, soundfont=str(font))
