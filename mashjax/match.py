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

index --genres=MODEL, what mashjax.genre evaluate --export wrote or a run, gives every song its
style, too, which then counts a little (0.05) in every score. The library remembers the model;
--genres=none takes the styles away again.

Needs pip install 'mashjax[match]', and for a server 'mashjax[match,postgresql]'.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from mashjax import cli
from mashjax.errors import UserError
from mashjax.music.alignment import Limits

if TYPE_CHECKING:  # the library's modules load SQLAlchemy; --help needs none of it
    from mashjax.library.database import Library

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
    from mashjax.library import styling
    from mashjax.library.exporting import export
    from mashjax.library.indexing import AHEAD, index
    from mashjax.library.telling import indexed_lines

    folder = _one(arguments, "the folder of songs")
    find_plain_songs(folder)  # refused before a library is made for it
    named = FLAGS.genres not in ("", styling.NONE)
    network = styling.network_at(FLAGS.genres) if named else None
    with _library(create=True) as library:
        if not FLAGS.genres:
            network, _ = styling.remembered(library)
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
        ahead = AHEAD if FLAGS.scheduler else FLAGS.workers
        about["genres"] = network.place if network else None
        if network or FLAGS.genres:
            with executor(FLAGS.workers, scheduler=FLAGS.scheduler) as pool:
                without = styling.style_songs(
                    library, network, pool=pool, ahead=ahead, progress=cli.Progress()
                )
            about["left_out"] += map(dataclasses.asdict, without)
        if FLAGS.export:
            with executor(FLAGS.workers, scheduler=FLAGS.scheduler) as pool:
                exported = export(library, FLAGS.export, pool, ahead=ahead)
            about["slices"], about["slices_removed"] = exported.written, exported.removed
            about["left_out"] += map(dataclasses.asdict, exported.left_out)
        _say(
            lambda: {"library": library.name, **about},
            lambda: indexed_lines(library.name, about, exported=FLAGS.export),
        )


def _find(arguments: Sequence[str]) -> None:
    from mashjax.library.finding import find
    from mashjax.library.telling import found_json, found_lines

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
    _say(lambda: found_json(song, found), lambda: found_lines(found))


def _mix(arguments: Sequence[str]) -> None:
    from mashjax.data.layouts.folders import original
    from mashjax.library.arranging import choose, play
    from mashjax.library.finding import find
    from mashjax.library.indexing import root_of
    from mashjax.library.telling import set_lines
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
    output = report["output"]
    written = (
        f"{out}, {out.with_suffix('.cue')}, {out.with_suffix('.json')}, {out.stem}_stems: "
        f"{output['seconds']:.1f} s, {output['lufs']:.1f} LUFS"
    )
    _say(lambda: report, lambda: [*set_lines(song, report), written])


def _rate(arguments: Sequence[str]) -> None:
    from mashjax.library.rating import rate_pair

    if len(arguments) != 2 or not arguments[1].isdecimal():
        raise UserError("rate needs a pair, as find names it, and a number from 1 to 5; see --help")
    pair, rating = arguments[0], int(arguments[1])
    with _library() as library:
        match = rate_pair(library, pair, rating)
    told = match.told()
    _say(
        lambda: {"pair": pair, "rating": rating, "total": told["total"], "parts": told["parts"]},
        lambda: [f"pair {pair}, score {match.total:.3f}: rated {rating}"],
    )


def _learn(arguments: Sequence[str]) -> None:
    from mashjax.library.rating import learn_weights
    from mashjax.library.telling import learned_json, learned_lines

    _none(arguments)
    with _library() as library:
        learned, version = learn_weights(library)
    _say(lambda: learned_json(learned, version), lambda: learned_lines(learned, version))


def _map(arguments: Sequence[str]) -> None:
    from mashjax.library.overview import draw_map, groups_of
    from mashjax.library.telling import group_lines

    _none(arguments)
    out = FLAGS.out or "map.png"
    with _library() as library:
        points, groups = draw_map(library, out, colour=FLAGS.colour)
    about = groups_of(points)
    _say(
        lambda: {
            "out": out,
            "segments": len(points),
            "explained": [round(share, 4) for share in groups.explained],
            "silhouette": round(groups.silhouette, 4),
            "groups": about,
        },
        lambda: [
            f"{out}: {len(points)} segments, {sum(groups.explained):.0%} of what varies",
            *group_lines(about),
        ],
    )


def _status(arguments: Sequence[str]) -> None:
    from mashjax.library.finding import weights_in_use
    from mashjax.library.overview import status
    from mashjax.library.rating import newest_ratings
    from mashjax.library.telling import status_json, status_lines

    _none(arguments)
    with _library() as library:
        found, weights = status(library, days=FLAGS.days), weights_in_use(library)
        ratings = len(newest_ratings(library))
    _say(
        lambda: {"library": library.name, **status_json(found, weights, ratings=ratings)},
        lambda: status_lines(library.name, found, weights, ratings=ratings),
    )


def _say(as_json: Callable[[], dict[str, Any]], as_lines: Callable[[], Iterable[str]]) -> None:
    """What was found, as --json asks for it."""
    if FLAGS.json:
        print(json.dumps(as_json(), indent=1, ensure_ascii=False))
    else:
        print("\n".join(as_lines()))


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
    flags.DEFINE_string("export", "", "index: also keep every segment as wav in this folder")
    flags.DEFINE_string(
        "genres", "", "index: a genre network for the songs' styles, remembered; none: no styles"
    )
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
