"""What the library found, in lines for people and as JSON for programs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mashjax.library.finding import Part, Partner
from mashjax.library.learning import Learned
from mashjax.library.overview import Status
from mashjax.music.tonality import TONICS

Found = Sequence[tuple[Part, Sequence[Partner]]]
"""The parts of a song with their partners, as `finding.find` gives them."""


def indexed_lines(name: str, about: Mapping[str, Any], *, exported: str = "") -> list[str]:
    """about: the fields of an `indexing.Summary`, with "genres", the network of the styles or None,
    and "slices" and "slices_removed" if they were written into the folder `exported`."""
    changes = {
        "described": about["described"],
        "unchanged": about["unchanged"],
        "moved": about["moved"],
        "dropped": about["dropped"],
        "left out": len(about["left_out"]),
    }
    lines = [
        f"{name}: {about['songs']} songs, {about['segments']} segments",
        ", ".join(f"{count} {what}" for what, count in changes.items() if count) or "nothing new",
    ]
    if about["genres"]:
        lines.append(f"styles by {about['genres']}")
    if exported:
        removed = f", {about['slices_removed']} removed" if about["slices_removed"] else ""
        lines.append(f"{exported}: {about['slices']} slices written{removed}")
    return lines + [f"left out {song['id']}: {song['why']}" for song in about["left_out"]]


def found_json(song: str, found: Found) -> dict[str, Any]:
    parts = [
        {**_located(part), "partners": [_told(part, partner) for partner in partners]}
        for part, partners in found
    ]
    return {"song": song, "parts": parts}


def found_lines(found: Found) -> list[str]:
    lines = []
    for part, partners in found:
        lines.append(_heading(part))
        lines += [_line(rank, part, partner) for rank, partner in enumerate(partners, 1)]
        if not partners:
            lines.append("  nothing within the limits: try a greater --max-stretch or --max-shift")
    return lines


def set_lines(song: str, report: Mapping[str, Any]) -> list[str]:
    """What plays when; report: of `arranging.play`."""
    return [
        f"{clock(one['start'])}: {clock(one['part']['start'])} of {song} "
        f"{'over' if one['role'] == 'lead' else 'under'} "
        f"{clock(one['partner']['start'])} of {one['partner']['path']}"
        for one in report["set"]
    ]


def learned_json(learned: Learned, version: int) -> dict[str, Any]:
    about = {"version": version, "in_use": learned.better, "note": learned.note}
    return {**about, **dataclasses.asdict(learned)}


def learned_lines(learned: Learned, version: int) -> list[str]:
    use = "in use" if learned.better else "kept, not in use"
    return [f"version {version} of the weights, {use}: {learned.note}"] + [
        f"  {name:<12}{before:.3f} -> {learned.after[name]:.3f}"
        for name, before in learned.before.items()
    ]


def group_lines(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """groups: as `overview.groups_of` gives them."""
    return [
        f"  group {row['group']}: {row['segments']} segments of {row['songs']} songs, "
        f"{row['tempo_bpm']:.0f} BPM, {row['key']}"
        for row in groups
    ]


def status_json(found: Status, weights: Mapping[str, float], *, ratings: int) -> dict[str, Any]:
    drift = [{**dataclasses.asdict(d), "found": d.found} for d in found.drift]
    about = {**dataclasses.asdict(found), "drift": drift}
    return {**about, "ratings": ratings, "weights": dict(weights)}


def status_lines(
    name: str, found: Status, weights: Mapping[str, float], *, ratings: int
) -> list[str]:
    lines = [
        f"{name}: {found.songs} songs, {found.segments} segments, {ratings} rated pairs",
        ", ".join(f"{part} {weight:.2f}" for part, weight in weights.items()),
    ]
    if found.outdated:
        lines.append(
            f"{found.outdated} songs were described by another version: run match index FOLDER"
        )
    drifted = [d for d in found.drift if d.found]
    lines += [
        f"the {found.new} new songs differ in {d.feature}: {d.before:.2f} -> {d.now:.2f}"
        for d in drifted
    ]
    if found.drift and not drifted:
        lines.append(f"the {found.new} new songs are like the others")
    if found.new and not found.drift:
        lines.append(f"{found.new} new songs: too few, of them or of others, to compare")
    return lines + [
        f"not in the pool: {song}: {', '.join(doubts)}" for song, doubts in found.doubted.items()
    ]


def clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock(83.21)
    '1:23.2'
    """
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def _located(part: Part) -> dict[str, Any]:
    return {"song": part.song, "id": part.id, **part.segment.told()}


def _told(part: Part, partner: Partner) -> dict[str, Any]:
    return {
        "pair": _pair(part, partner),
        **partner.match.told(),
        "why": partner.why,
        "segment": _located(partner.part),
    }


def _pair(part: Part, partner: Partner) -> str | None:
    """How a pair is called; None: the song is not in the library."""
    if part.id is None:
        return None
    return f"{part.id}-{partner.part.id}-{partner.match.role}"


def _heading(part: Part) -> str:
    s = part.segment
    return (
        f"part {s.number}: {_span(part)}, {s.bars} bars, {s.tempo_bpm:.1f} BPM, "
        f"{TONICS[s.tonic]} {s.mode}"
    )


def _line(rank: int, part: Part, partner: Partner) -> str:
    match, pair = partner.match, _pair(part, partner)
    scores = ", ".join(f"{name} {value:.2f}" for name, value in match.parts.items())
    return (
        f"  {rank}. {partner.part.song} {_span(partner.part)}: {partner.why}\n"
        f"     {'under' if match.role == 'lead' else 'over'} yours from bar {match.offset_bars:g}, "
        f"stretched {match.stretch_percent:+.1f} %, shifted {match.shift_semitones:+.2f} semitones"
        f"{f', pair {pair}' if pair else ''}\n"
        f"     score {match.total:.3f}: {scores}"
    )


def _span(part: Part) -> str:
    return f"{clock(part.segment.start)}-{clock(part.segment.end)}"
