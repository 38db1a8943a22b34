"""What people have: folders of stems, songs, mashups or MIDI, found and loaded."""
