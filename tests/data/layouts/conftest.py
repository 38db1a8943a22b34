"""A song as POP909 has them."""

import pathlib

import mido
import pytest

BEAT = 0.5


@pytest.fixture
def pop909(tmp_path) -> pathlib.Path:
    """A folder with a song of 64 beats, 0.5 s each: its tempo is said to be 60, 120 from beat 8."""
    song = tmp_path / "songs" / "007"
    song.mkdir(parents=True)
    score = mido.MidiFile(ticks_per_beat=480)
    tempo = mido.MidiTrack(
        [
            mido.MetaMessage("set_tempo", tempo=1_000_000, time=0),
            mido.MetaMessage("set_tempo", tempo=500_000, time=4 * 480),
        ]
    )
    score.tracks += [tempo]
    for name, pitch in (("MELODY", 67), ("BRIDGE", 60), ("PIANO", 48)):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        for beat in range(64):
            ticks = 240 if beat < 8 else 480
            on = mido.Message("note_on", note=pitch + beat % 5, velocity=90)
            off = mido.Message("note_on", note=pitch + beat % 5, velocity=0, time=ticks)
            track += [on, off]
        score.tracks.append(track)
    score.save(song / "007.mid")
    lines = [f"{i * BEAT} {float(i % 2 == 0)} {float(i % 4 == 0)}" for i in range(65)]
    (song / "beat_midi.txt").write_text("\n".join(lines))
    chords = [f"{i * 2.0}\t{i * 2.0 + 2}\t{('C:maj', 'A:min7/b3', 'N')[i % 3]}" for i in range(16)]
    (song / "chord_midi.txt").write_text("\n".join(chords))
    return tmp_path / "songs"
