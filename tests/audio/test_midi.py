import mido
import pytest

from mashjax.audio.midi import Note, Part, write_midi


@pytest.mark.parametrize("tempo", [120.0, 93.5])
def test_notes_are_where_they_were_whatever_the_tempo(tmp_path, tempo):
    notes = [Note(0.5, 1.0, 60, 80), Note(1.25, 3.0, 64, 90)]
    write_midi([Part(0, notes, name="Melody")], tmp_path / "a.mid", seconds=4.0, tempo_bpm=tempo)
    file = mido.MidiFile(tmp_path / "a.mid")
    assert file.length == pytest.approx(4.0, abs=2e-3)
    now, found = 0.0, []
    for message in file:
        now += message.time
        if message.type == "note_on" and message.velocity:
            found.append((now, message.note, message.velocity))
    assert [x[1:] for x in found] == [(60, 80), (64, 90)]
    assert [x[0] for x in found] == pytest.approx([0.5, 1.25], abs=2e-3)
    names = [m.name for track in file.tracks for m in track if m.type == "track_name"]
    assert names == ["Melody"]


def test_a_file_without_notes_is_valid(tmp_path):
    write_midi([Part(0, [])], tmp_path / "a.mid", seconds=2.0)
    file = mido.MidiFile(tmp_path / "a.mid")
    assert file.length == pytest.approx(2.0)
    assert not [m for m in file if m.type.startswith("note")]
