"""Notes, and the MIDI files that hold them."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

TICKS_PER_BEAT = 500  # at 120 BPM a tick is a millisecond


@dataclasses.dataclass(frozen=True)
class Note:
    start: float  # seconds
    end: float  # seconds
    pitch: int  # MIDI number
    velocity: int


@dataclasses.dataclass(frozen=True)
class Part:
    """One instrument's notes.

    bends: (seconds, semitones within +-2); controls: (seconds, controller, value).
    """

    program: int
    notes: list[Note]
    volume: int = 100
    reverb: int = 40
    drums: bool = False
    bends: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    controls: list[tuple[float, int, int]] = dataclasses.field(default_factory=list)
    name: str = ""


def write_midi(
    parts: Sequence[Part], path: str | os.PathLike, *, seconds: float, tempo_bpm: float = 120.0
) -> None:
    """Write a type 1 MIDI file of `seconds`; for use within `files.replacing`.

    parts: at most 15 pitched ones, and drums. tempo_bpm: of the file's bars; it does not change
    when a note sounds.
    """
    import mido

    ticks = TICKS_PER_BEAT * tempo_bpm / 60  # a second
    score = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    if tempo_bpm != 120:
        tempo = mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo_bpm))
        score.tracks.append(mido.MidiTrack([tempo]))
    pitched = (channel for channel in range(16) if channel != 9)
    for part in parts:
        channel = 9 if part.drums else next(pitched)
        events: list[tuple[float, int, mido.Message]] = [
            (0.0, 0, mido.Message("program_change", channel=channel, program=part.program)),
            (0.0, 0, mido.Message("control_change", channel=channel, control=7, value=part.volume)),
            (
                0.0,
                0,
                mido.Message("control_change", channel=channel, control=91, value=part.reverb),
            ),
        ]
        for time, control, value in part.controls:
            message = mido.Message("control_change", channel=channel, control=control, value=value)
            events.append((time, 1, message))
        for time, semitones in part.bends:
            pitch = int(np.clip(round(semitones / 2 * 8192), -8192, 8191))
            events.append((time, 2, mido.Message("pitchwheel", channel=channel, pitch=pitch)))
        for note in part.notes:
            on = mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity)
            off = mido.Message("note_off", channel=channel, note=note.pitch, velocity=0)
            events += [(note.start, 3, on), (max(note.end, note.start + 0.03), -1, off)]
        track = mido.MidiTrack()
        if part.name:
            track.append(mido.MetaMessage("track_name", name=part.name))
        now = 0
        for time, _, message in sorted(events, key=lambda e: (round(e[0] * ticks), e[1])):
            tick = max(now, round(time * ticks))
            track.append(message.copy(time=tick - now))
            now = tick
        track.append(mido.MetaMessage("end_of_track", time=max(0, round(seconds * ticks) - now)))
        score.tracks.append(track)
    score.save(path)
