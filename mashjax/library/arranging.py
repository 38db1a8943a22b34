"""From chosen partners to a mashup: what plays with what, and the files that tell others of it."""

import dataclasses
import io
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mashjax.audio import files
from mashjax.data.layouts.folders import original
from mashjax.errors import UserError
from mashjax.library.comparing import Match
from mashjax.library.finding import Part, Partner
from mashjax.library.segments import Segment
from mashjax.mixing.outputs import Outputs, write
from mashjax.mixing.pipeline import Options, make_mashup
from mashjax.mixing.sets import Piece, Tracks, lay

CUE_FRAMES = 75  # a second, of a cue sheet


@dataclasses.dataclass(frozen=True)
class Choice:
    """A part of the song, a segment of another one, in the file `path`, and how they match."""

    part: Segment
    partner: Segment
    path: pathlib.Path
    match: Match


def choose(
    found: Sequence[tuple[Part, Sequence[Partner]]],
    *,
    song: pathlib.Path,
    root: pathlib.Path,
    pick: int,
    count: int,
) -> list[Choice]:
    """What to play of what was found for the parts of a song.

    Args:
      found: parts with their partners, best first; see `finding.find`.
      song: how messages call the song; root: the folder that partners' paths begin at.
      pick: of all pairs, in the order of their scores, the how manieth; 1 is the best.
      count: so many parts in the song's order, those with the best partners, each with its best
        that plays in no other; 1: the picked pair alone. All have the role of the best.

    Raises:
      UserError: there are not so many.
    """
    pairs = [(part, partner) for part, partners in found for partner in partners]
    pairs.sort(key=lambda pair: -pair[1].match.total)
    if len(pairs) < pick:
        raise UserError(
            f"{song}: {len(pairs)} pairs were found within the limits, so there is no pick {pick}: "
            "try a greater --max-stretch or --max-shift, or index more songs"
        )
    chosen = pairs[pick - 1 : pick]
    for part, partner in pairs if count > 1 else []:
        fits = partner.match.role == chosen[0][1].match.role
        parts, partners = {p.segment.number for p, _ in chosen}, {p.part.id for _, p in chosen}
        if fits and part.segment.number not in parts and partner.part.id not in partners:
            chosen.append((part, partner))
    if len(chosen) < count:
        raise UserError(
            f"{song}: {len(chosen)} of its {len(found)} parts have a partner of their own: ask for "
            f"--set={len(chosen)}, or index more songs"
        )
    chosen = sorted(chosen[:count], key=lambda pair: pair[0].segment.number)
    return [
        Choice(part.segment, other.part.segment, root / original(other.part.song), other.match)
        for part, other in chosen
    ]


def play(
    song: pathlib.Path,
    choices: Sequence[Choice],
    *,
    out: pathlib.Path,
    options: Options,
    progress: Callable[[str], None] = lambda stage: None,
) -> dict[str, Any]:
    """Mix parts of a song, one after another, each with its partner, at the song's tempo and pitch.

    Writes `out`; beside it its cue sheet (.cue), its report (.json) and a folder of aligned stems
    with a tempo map (_stems). All roles must be the same; it decides who leads.

    Returns:
      The report of the mix, with the choices in "set".

    Raises:
      UserError: a file that cannot be used, or an output that cannot be written.
    """
    paths = list(dict.fromkeys(choice.path for choice in choices))
    cue, report = out.with_suffix(".cue"), out.with_suffix(".json")
    stems = out.with_name(f"{out.stem}_stems")
    others = {cue: b"", stems / "tempo.mid": b""}  # their contents come later
    outputs = Outputs(out=out, stems=stems, report=report, others=others)
    outputs.check([song, *paths])
    progress("laying out the parts")
    main = files.read(song)
    _check_length(song, main.seconds, [choice.part for choice in choices])
    clips = [files.read(path) for path in paths]
    for path, clip in zip(paths, clips, strict=True):
        _check_length(path, clip.seconds, [c.partner for c in choices if c.path == path])
    pieces = [piece(choice, partner=paths.index(choice.path)) for choice in choices]
    tracks = lay(main, clips, pieces)
    lead = "1" if choices[0].match.role == "lead" else "2"
    mashup = make_mashup(
        lambda k: (tracks.main, tracks.partners)[k],
        names=(os.fspath(song), " + ".join(map(os.fspath, paths))),
        options=dataclasses.replace(options, align="none", lead=lead),
        accept=outputs.accept,
        progress=progress,
    )
    mashup.report["set"] = [_told(*one) for one in zip(choices, pieces, tracks.starts, strict=True)]
    titles = [f"{song.stem} x {choice.path.stem}" for choice in choices]
    others = {
        cue: cue_sheet(out, titles, tracks.starts).encode(),
        stems / "tempo.mid": tempo_map(tracks, titles, beats_per_bar=choices[0].part.beats_per_bar),
    }
    progress("writing")
    write(mashup, dataclasses.replace(outputs, others=others))
    return mashup.report


def piece(choice: Choice, *, partner: int) -> Piece:
    """The beats that both share; those of a song half as fast as the other are halved."""
    part, other, match = choice.part, choice.partner, choice.match
    fold = (1 + match.stretch_percent / 100) * part.tempo_bpm / other.tempo_bpm
    own = _divided(part.beats, 2 if fold < 0.75 else 1)
    its = _divided(other.beats, 2 if fold > 1.5 else 1)
    per_bar = part.beats_per_bar * (len(own) - 1) // (len(part.beats) - 1)
    offset = round(match.offset_bars * per_bar)
    first, last = max(0, offset), min(len(own), offset + len(its))
    return Piece(
        beats=own[first:last],
        partner=partner,
        partner_beats=its[first - offset : last - offset],
        semitones=match.shift_semitones,
    )


def cue_sheet(out: pathlib.Path, titles: Sequence[str], starts: Sequence[float]) -> str:
    """A cue sheet of `out`: a track from each of `starts` (seconds) on."""
    kind = {".mp3": "MP3", ".wav": "WAVE"}.get(out.suffix.lower(), "WAVE")
    lines = [f"FILE {_quoted(out.name)} {kind}"]
    for number, (title, start) in enumerate(zip(titles, starts, strict=True), 1):
        minutes, frames = divmod(round(start * CUE_FRAMES), 60 * CUE_FRAMES)
        seconds, frames = divmod(frames, CUE_FRAMES)
        lines += [
            f"  TRACK {number:02} AUDIO",
            f"    TITLE {_quoted(title)}",
            f"    INDEX 01 {minutes:02}:{seconds:02}:{frames:02}",
        ]
    return "\n".join(lines) + "\n"


def tempo_map(tracks: Tracks, titles: Sequence[str], *, beats_per_bar: int) -> bytes:
    """A MIDI file without notes: the tempo of every beat, the meter, and where each part begins."""
    import mido

    midi = mido.MidiFile(type=0, ticks_per_beat=480)
    events = [(0, mido.MetaMessage("time_signature", numerator=beats_per_bar, denominator=4))]
    before = None
    for beat, seconds in enumerate(np.diff(tracks.beats)):
        tempo = round(float(seconds) * 1e6)
        if before is None or abs(tempo - before) > 1:
            events.append((beat, mido.MetaMessage("set_tempo", tempo=tempo)))
            before = tempo
    for title, start in zip(titles, tracks.starts, strict=True):
        name = title.encode("latin-1", "replace").decode("latin-1")  # all that MIDI's text knows
        beat = int(np.abs(tracks.beats - start).argmin())
        events.append((beat, mido.MetaMessage("marker", text=name)))
    track = mido.MidiTrack()
    now = 0
    for beat, event in sorted(events, key=lambda event: event[0]):
        track.append(event.copy(time=480 * (beat - now)))
        now = beat
    track.append(mido.MetaMessage("end_of_track", time=480 * (len(tracks.beats) - 1 - now)))
    midi.tracks.append(track)
    content = io.BytesIO()
    midi.save(file=content)
    return content.getvalue()


def _check_length(path: pathlib.Path, seconds: float, segments: Sequence[Segment]) -> None:
    if any(segment.end > seconds + 0.1 for segment in segments):
        raise UserError(f"{path}: is shorter than when it was indexed; run match index again")


def _divided(beats: np.ndarray, divide: int) -> np.ndarray:
    n = len(beats) - 1
    return np.interp(np.arange(n * divide + 1) / divide, np.arange(n + 1), beats)


def _told(choice: Choice, piece: Piece, start: float) -> dict[str, Any]:
    """What plays from `start` (seconds of the set) on, for the report."""
    own, its = piece.beats.astype(float), piece.partner_beats.astype(float)
    return {
        "start": round(start, 3),
        "part": {"start": round(own[0], 3), "end": round(own[-1], 3)},
        "partner": {
            "path": os.fspath(choice.path),
            "start": round(its[0], 3),
            "end": round(its[-1], 3),
        },
        **choice.match.told(),
    }


def _quoted(text: str) -> str:
    """Within quotes, of which a cue sheet's text has none, on one line."""
    return '"' + " ".join(text.replace('"', "'").split()) + '"'
