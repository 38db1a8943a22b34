"""Find which parts of which songs mix.

    python -m mashjax.match index FOLDER       describe its songs; again: what has changed
    python -m mashjax.match find SONG          for each part of it, what mixes with it, and why
    python -m mashjax.match mix SONG           the best pair as a mashup; --set=N: N parts of SONG,
                                               each with a partner of its own, one after another
    python -m mashjax.match rate PAIR 1..5     what you think of a pair that find names, 5 is best
    python -m mashjax.match learn              weigh the score's parts as your ratings do
    python -m mashjax.match map                draw the library: what sounds alike lies together
    python -m mashjax.match status             songs, doubts, drift of new songs, weights

--library: a file, or postgresql://user@host/database. Songs are wav, mp3, flac or ogg files; SONG
need not be in the library. index goes on where it was interrupted.

Needs pip install 'mashjax[match]', and for a server 'mashjax[match,postgresql]'.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from mashjax import cli
from mashjax.errors import UserError
from mashjax.music.alignment import Limits

if TYPE_CHECKING:  # the library's modules load SQLAlchemy; --help needs none of it
    from mashjax.library.database import Library
    from mashjax.library.finding import Part, Partner

FLAGS = flags.FLAGS


def main(arguments: Sequence[str]) -> None:
    verb = arguments[0] if arguments else ""
    if verb not in VERBS:
        raise UserError(f"say one of {', '.join(VERBS)}; see --help")
    VERBS[verb](arguments[1:])


def _index(arguments: Sequence[str]) -> None:
    from tqdm import tqdm

    from mashjax.data.executors import executor
    from mashjax.data.layouts.plain_songs import find_plain_songs
    from mashjax.library.exporting import export
    from mashjax.library.indexing import AHEAD, index

    folder = _one(arguments, "the folder of songs")
    find_plain_songs(folder)  # refused before a library is made for it
    with _library(create=True) as library:
        with tqdm(unit=" songs", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            summary = index(
                folder,
                library,
                workers=FLAGS.workers,
                scheduler=FLAGS.scheduler,
                progress=progress,
            )
        about: dict[str, Any] = dataclasses.asdict(summary)
        if FLAGS.export:
            ahead = AHEAD if FLAGS.scheduler else FLAGS.workers
            with executor(FLAGS.workers, scheduler=FLAGS.scheduler) as pool:
                about["slices"], left_out = export(library, FLAGS.export, pool, ahead=ahead)
            about["left_out"] += map(dataclasses.asdict, left_out)
        if FLAGS.json:
            _print_json({"library": library.name, **about})
        else:
            print(_told_of_index(library.name, about))


def _told_of_index(name: str, about: dict[str, Any]) -> str:
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
    if "slices" in about:
        lines.append(f"{FLAGS.export}: {about['slices']} slices written")
    lines += [f"left out {song['id']}: {song['why']}" for song in about["left_out"]]
    return "\n".join(lines)


def _find(arguments: Sequence[str]) -> None:
    from mashjax.library.finding import find

    song = _one(arguments, "the song")
    with _library() as library:
        found = find(
            song,
            library,
            role=FLAGS.role,
            limits=Limits(FLAGS.max_stretch, FLAGS.max_shift),
            diagonals=FLAGS.diagonals,
            top=FLAGS.top,
        )
    if FLAGS.json:
        parts = [
            {**_described(part), "partners": [_told(part, p) for p in partners]}
            for part, partners in found
        ]
        _print_json({"song": song, "parts": parts})
    else:
        for part, partners in found:
            print(_heading(part))
            for rank, partner in enumerate(partners, 1):
                print(_line(rank, part, partner))
            if not partners:
                print("  nothing within the limits: try a greater --max-stretch or --max-shift")


def _mix(arguments: Sequence[str]) -> None:
    from mashjax.data.layouts.folders import original
    from mashjax.library.arranging import choose, play
    from mashjax.library.finding import find
    from mashjax.library.indexing import root_of
    from mashjax.mixing.pipeline import Options

    song, progress = _one(arguments, "the song"), cli.Progress()
    limits = Limits(FLAGS.max_stretch, FLAGS.max_shift)
    with _library() as library:
        progress("searching the library")
        found = find(
            song,
            library,
            role=FLAGS.role,
            limits=limits,
            diagonals=FLAGS.diagonals,
            top=max(FLAGS.top, FLAGS.pick, FLAGS.set),
        )
        root = root_of(library)
    path = pathlib.Path(song)
    if not path.is_file():
        path = root / original(found[0][0].song)
    choices = choose(found, song=path, root=root, pick=FLAGS.pick, count=FLAGS.set)
    out = pathlib.Path(FLAGS.out or "mashup.wav")
    report = play(path, choices, out=out, options=Options(limits=limits), progress=progress)
    if FLAGS.json:
        _print_json(report)
        return
    for one in report["set"]:
        print(
            f"{_clock(one['start'])}: {_clock(one['part']['start'])} of {song} "
            f"{'over' if one['role'] == 'lead' else 'under'} "
            f"{_clock(one['partner']['start'])} of {one['partner']['path']}"
        )
    output = report["output"]
    print(
        f"{out}, {out.with_suffix('.cue')}, {out.with_suffix('.json')}, {out.stem}_stems: "
        f"{output['seconds']:.1f} s, {output['lufs']:.1f} LUFS"
    )


def _rate(arguments: Sequence[str]) -> None:
    from mashjax.library.rating import rate_pair

    if len(arguments) != 2 or not arguments[1].isdecimal():
        raise UserError("rate needs a pair, as find names it, and a number from 1 to 5; see --help")
    pair, rating = arguments[0], int(arguments[1])
    with _library() as library:
        match = rate_pair(library, pair, rating)
    if FLAGS.json:
        parts = {name: round(value, 4) for name, value in match.parts.items()}
        _print_json(
            {"pair": pair, "rating": rating, "total": round(match.total, 4), "parts": parts}
        )
    else:
        print(f"pair {pair}, score {match.total:.3f}: rated {rating}")


def _learn(arguments: Sequence[str]) -> None:
    from mashjax.library.rating import learn_weights

    _none(arguments)
    with _library() as library:
        learned, version = learn_weights(library)
    if FLAGS.json:
        about = {"version": version, "in_use": learned.better, "note": learned.note}
        _print_json({**about, **dataclasses.asdict(learned)})
    else:
        use = "in use" if learned.better else "kept, not in use"
        print(f"version {version} of the weights, {use}: {learned.note}")
        for name, before in learned.before.items():
            print(f"  {name:<12}{before:.3f} -> {learned.after[name]:.3f}")


def _map(arguments: Sequence[str]) -> None:
    from mashjax.library.overview import draw_map, groups_of

    _none(arguments)
    out = FLAGS.out or "map.png"
    with _library() as library:
        points, groups = draw_map(library, out, colour=FLAGS.colour)
    about = groups_of(points)
    if FLAGS.json:
        shares = [round(share, 4) for share in groups.explained]
        silhouette = round(groups.silhouette, 4)
        found = {"segments": len(points), "explained": shares, "silhouette": silhouette}
        _print_json({"out": out, **found, "groups": about})
    else:
        print(f"{out}: {len(points)} segments, {sum(groups.explained):.0%} of what varies")
        for row in about:
            songs = f"{row['segments']} segments of {row['songs']} songs"
            print(f"  group {row['group']}: {songs}, {row['tempo_bpm']:.0f} BPM, {row['key']}")


def _status(arguments: Sequence[str]) -> None:
    from mashjax.library.finding import weights_in_use
    from mashjax.library.overview import status
    from mashjax.library.rating import newest_ratings

    _none(arguments)
    with _library() as library:
        found, weights = status(library, days=FLAGS.days), weights_in_use(library)
        ratings = len(newest_ratings(library))
    if FLAGS.json:
        drift = [{**dataclasses.asdict(d), "found": d.found} for d in found.drift]
        about = {**dataclasses.asdict(found), "drift": drift, "ratings": ratings}
        _print_json({"library": library.name, **about, "weights": dict(weights)})
        return
    print(
        f"{library.name}: {found.songs} songs, {found.segments} segments, {ratings} rated pairs\n"
        + ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())
    )
    if found.outdated:
        print(f"{found.outdated} songs were described by another version: run match index FOLDER")
    if found.drift:
        drifted = [d for d in found.drift if d.found]
        for d in drifted:
            print(f"the {found.new} new songs differ in {d.feature}: {d.before:.2f} -> {d.now:.2f}")
        if not drifted:
            print(f"the {found.new} new songs are like the others")
    elif found.new:
        print(f"{found.new} new songs: too few, of them or of others, to compare")
    for song, doubts in found.doubted.items():
        print(f"not in the pool: {song}: {', '.join(doubts)}")


def _described(part: "Part") -> dict[str, Any]:
    """A segment, for JSON."""
    from mashjax.music.tonality import TONICS

    s = part.segment
    return {
        "song": part.song,
        "id": part.id,
        "number": s.number,
        "start": round(s.start, 3),
        "end": round(s.end, 3),
        "bars": s.bars,
        "beats_per_bar": s.beats_per_bar,
        "tempo_bpm": round(s.tempo_bpm, 2),
        "key": {
            "tonic": TONICS[s.tonic],
            "mode": s.mode,
            "confidence": round(s.key_confidence, 3),
        },
        "loudness_lufs": round(s.loudness_lufs, 1),
        "voice": round(s.voice, 3),
    }


def _told(part: "Part", partner: "Partner") -> dict[str, Any]:
    """A partner, for JSON."""
    return {
        "pair": _pair(part, partner),
        **partner.match.told(),
        "why": partner.why,
        "segment": _described(partner.part),
    }


def _pair(part: "Part", partner: "Partner") -> str | None:
    """How a pair is called; None: the song is not in the library."""
    if part.id is None:
        return None
    return f"{part.id}-{partner.part.id}-{partner.match.role}"


def _heading(part: "Part") -> str:
    about = _described(part)
    return (
        f"part {about['number']}: {_span(part)}, {about['bars']} bars, "
        f"{about['tempo_bpm']:.1f} BPM, {about['key']['tonic']} {about['key']['mode']}"
    )


def _line(rank: int, part: "Part", partner: "Partner") -> str:
    match, pair = partner.match, _pair(part, partner)
    scores = ", ".join(f"{name} {value:.2f}" for name, value in match.parts.items())
    return (
        f"  {rank}. {partner.part.song} {_span(partner.part)}: {partner.why}\n"
        f"     {'under' if match.role == 'lead' else 'over'} yours from bar {match.offset_bars:g}, "
        f"stretched {match.stretch_percent:+.1f} %, shifted {match.shift_semitones:+.2f} semitones"
        f"{f', pair {pair}' if pair else ''}\n"
        f"     score {match.total:.3f}: {scores}"
    )


def _span(part: "Part") -> str:
    return f"{_clock(part.segment.start)}-{_clock(part.segment.end)}"


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def _print_json(about: dict[str, Any]) -> None:
    print(json.dumps(about, indent=1, ensure_ascii=False))


def _none(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"what is {arguments[0]!r}? The rest of it are --flags; see --help")


def _one(arguments: Sequence[str], what: str) -> str:
    if len(arguments) != 1:
        raise UserError(f"needs {what}, and got {len(arguments)} names; see --help")
    return arguments[0]


@contextlib.contextmanager
def _library(*, create: bool = False) -> "Iterator[Library]":
    from mashjax.library.database import open_library

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    with contextlib.closing(open_library(FLAGS.library, create=create, say=say)) as library:
        yield library


VERBS: dict[str, Callable[[Sequence[str]], None]] = {
    "index": _index,
    "find": _find,
    "mix": _mix,
    "rate": _rate,
    "learn": _learn,
    "map": _map,
    "status": _status,
}


def _define_flags() -> None:
    flags.DEFINE_string("library", "mashjax.library", "a file, or postgresql://user@host/database")
    flags.DEFINE_bool("json", False, "print JSON")
    flags.DEFINE_integer("workers", os.cpu_count() or 1, "index: processes of this machine", 1)
    flags.DEFINE_string("scheduler", "", "index: address of a Dask scheduler: tcp://host:port")
    flags.DEFINE_string("export", "", "index: also write every segment into this folder, as wav")
    flags.DEFINE_enum(
        "role", "any", ["lead", "backing", "any"], "find, mix: what SONG gives to the pair"
    )
    flags.DEFINE_float(
        "max_stretch", Limits.max_stretch, "find, mix: how far tempos may be apart", 0.0, 1.0
    )
    flags.DEFINE_float(
        "max_shift", Limits.max_shift, "find, mix: semitones each song may move", 0.0, 6.0
    )
    flags.DEFINE_bool(
        "diagonals", False, "find, mix: keys a fifth and a mode away count as related"
    )
    flags.DEFINE_integer("pick", 1, "mix: which pair, of all in the order of their scores", 1)
    flags.DEFINE_integer("set", 1, "mix: so many parts of SONG, one after another", 1)
    flags.DEFINE_string(
        "out",
        None,
        "mix: the mashup, mashup.wav; map: a .png, or a page of its own, .html: map.png",
    )
    flags.DEFINE_enum("colour", "group", ["key", "tempo", "group"], "map: what colours say")
    flags.DEFINE_float(
        "days", 1.0, "status: new is what came so many days before the newest song", 0.0
    )
    flags.DEFINE_integer("top", 3, "find: partners for each part", 1, 100)


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
