"""Say what a song is, from its harmony, its timbre and its words.

    python -m mashjax.genre features SONG      what is read or computed of it
    python -m mashjax.genre plot SONG          its chroma and timbre over time, as a picture

With a network that mashjax.train made with configs/genre_*.py, of a store of --layout=genre:

    python -m mashjax.genre evaluate --checkpoint=RUN --data=STORE [--plots=DIR] [--export=DIR]
    python -m mashjax.genre predict SONG... --checkpoint=DIR     the most probable genres
    python -m mashjax.genre embed --checkpoint=DIR --data=STORE [--out=FILE] [--map=FILE]
    python -m mashjax.genre similar SONG --checkpoint=DIR --library=FILE

evaluate prints accuracy, macro-F1, average precision, calibration and popularity beside what the
commonest genre and logistic regression have; --plots: confusion, precision-recall, calibration and
learning curves. --export: the network for use, with the temperature of its probabilities and the
threshold below which predict says "unknown". embed writes vectors (.npy or .parquet) and a map
(.png or .html). similar compares with the songs of a library of mashjax.match, by sound alone.

SONG is a file of the Million Song Dataset (.h5), or wav, mp3, flac or ogg. --lyrics: a musiXmatch
file, or a folder of text files named after tracks; of a sound file, song.txt beside song.mp3, too.

Needs pip install 'mashjax[genre]'.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from mashjax import cli
from mashjax.errors import UserError

if TYPE_CHECKING:  # --help needs none of it
    from mashjax.data.tracks import Track

FLAGS = flags.FLAGS


def main(arguments: Sequence[str]) -> None:
    verb = arguments[0] if arguments else ""
    if verb not in VERBS:
        raise UserError(f"say one of {', '.join(VERBS)}; see --help")
    VERBS[verb](arguments[1:])


def _features(arguments: Sequence[str]) -> None:
    about = _told(_track(arguments))
    if FLAGS.json:
        print(json.dumps(about, indent=1, ensure_ascii=False))
    else:
        for name, value in (about | about.pop("counts")).items():
            print(f"{name:<16}{'not known' if value is None else value}")


def _plot(arguments: Sequence[str]) -> None:
    from mashjax.data.track_picture import draw_track

    out = FLAGS.out or "track.png"
    track = _track(arguments)
    draw_track(track, out)
    print(f"{out}: {len(track.starts)} segments of {track.seconds:.1f} s")


def _track(arguments: Sequence[str]) -> "Track":
    from mashjax.data.layouts.tracks import read_track

    if len(arguments) != 1:
        raise UserError(f"needs one song, and got {len(arguments)} names; see --help")
    return read_track(arguments[0], lyrics=tuple(FLAGS.lyrics))


def _told(track: "Track") -> dict[str, Any]:
    """What is known of a track, for JSON: key 0..11 from C, mode 0 minor, 1 major."""
    words = None if track.words is None else len(track.words)
    sung = None if track.words is None else sum(track.words.values())
    return {
        "track_id": track.track_id,
        "artist": track.artist or None,
        "title": track.title,
        "seconds": round(track.seconds, 5),
        "segments": len(track.starts),
        "tempo_bpm": track.tempo_bpm,
        "key": track.key,
        "mode": track.mode,
        "time_signature": track.time_signature,
        "popularity": track.popularity,
        "counts": {
            "chroma": list(track.chroma.shape),
            "timbre": list(track.timbre.shape),
            "words": words,
            "words_sung": sung,
        },
    }


def _evaluate(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"what is {arguments[0]!r}? evaluate has --flags only")
    if not FLAGS.data:
        raise UserError("--data= is missing: a store of mashjax.preprocess --layout=genre")
    from mashjax.genres.evaluating import evaluate

    result = evaluate(
        FLAGS.checkpoint,
        data=FLAGS.data,
        split=FLAGS.split,
        step=FLAGS.step,
        plots=FLAGS.plots,
        export=FLAGS.export,
        progress=cli.Progress(),
    )
    print(json.dumps(result, indent=1, ensure_ascii=False))


def _predict(arguments: Sequence[str]) -> None:
    from mashjax.data.layouts.tracks import read_track

    if not arguments:
        raise UserError("predict needs songs; see --help")
    tracks = [read_track(path, lyrics=tuple(FLAGS.lyrics)) for path in arguments]
    from mashjax.genres.models import read_model
    from mashjax.genres.telling import told

    state = read_model(FLAGS.checkpoint, step=FLAGS.step)
    if not state.calibrated and FLAGS.threshold is None:
        print("not calibrated: nothing is unknown to it (genre evaluate --export)", file=sys.stderr)
    found = told(state, tracks, top=FLAGS.top, threshold=FLAGS.threshold)
    if FLAGS.json:
        songs = [{"path": path, **of} for path, of in zip(arguments, found, strict=True)]
        print(json.dumps({"songs": songs}, indent=1, ensure_ascii=False))
        return
    for path, of in zip(arguments, found, strict=True):
        probable = ", ".join(f"{name} {p:.0%}" for name, p in of["genres"].items())
        print(f"{path}: {of['genre']} ({probable})")


def _embed(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"what is {arguments[0]!r}? embed has --flags only")
    if not FLAGS.data:
        raise UserError("--data= is missing: a store of mashjax.preprocess --layout=genre")
    from mashjax.genres import embedding
    from mashjax.genres.models import read_model

    embedding.check_outputs(FLAGS.out, FLAGS.map)
    state = read_model(FLAGS.checkpoint, step=FLAGS.step)
    found = embedding.embed_store(state, FLAGS.data, split=FLAGS.split)
    written = embedding.write_vectors(found, FLAGS.out) if FLAGS.out else []
    if FLAGS.map:
        embedding.draw_map(found, FLAGS.map, title=f"{FLAGS.split} of {FLAGS.data}")
        written.append(FLAGS.map)
    print(f"{', '.join(written)}: {len(found.songs)} songs, {found.vectors.shape[1]} dimensions")


def _similar(arguments: Sequence[str]) -> None:
    track = _track(arguments)
    from mashjax.data.executors import executor
    from mashjax.data.sealing import file_sha256
    from mashjax.genres.models import read_model
    from mashjax.genres.similar import similar
    from mashjax.library.database import open_library

    state = read_model(FLAGS.checkpoint, step=FLAGS.step)
    if not FLAGS.library:
        raise UserError("--library= is missing: one of mashjax.match")
    library = open_library(FLAGS.library)
    with contextlib.closing(library), executor(FLAGS.workers) as pool:
        found, left_out = similar(
            library, state, track, sha256=file_sha256(arguments[0]), count=FLAGS.top, pool=pool,
            ahead=2 * FLAGS.workers, progress=cli.Progress(),
        )  # fmt: skip
    if FLAGS.json:
        left = [{"id": one.id, "why": one.why} for one in left_out]
        print(json.dumps({"songs": found, "left_out": left}, indent=1, ensure_ascii=False))
        return
    for rank, song in enumerate(found, 1):
        named = f"{song['genre']} {song['probability']:.0%}"
        print(f"{rank:3}. {song['likeness']:6.3f}  {song['path']} ({named})")
    for one in left_out:
        print(f"left out {one.id}: {one.why}")


VERBS: dict[str, Callable[[Sequence[str]], None]] = {
    "features": _features,
    "plot": _plot,
    "evaluate": _evaluate,
    "predict": _predict,
    "embed": _embed,
    "similar": _similar,
}


def _define_flags() -> None:
    flags.DEFINE_bool("json", False, "print JSON")
    flags.DEFINE_list("lyrics", [], "musiXmatch files, and folders of texts, with commas")
    flags.DEFINE_string("out", None, "plot: the picture, track.png; embed: .npy or .parquet")
    flags.DEFINE_string("checkpoint", None, "a run of mashjax.train, or an export")
    flags.DEFINE_string("step", "newest", "of a run: newest, best or a number")
    flags.DEFINE_string("data", None, "a store of mashjax.preprocess --layout=genre")
    flags.DEFINE_enum("split", "test", ["train", "valid", "test"], "which songs of --data")
    flags.DEFINE_string("plots", None, "evaluate: a folder for pictures")
    flags.DEFINE_string("export", None, "evaluate: a folder for the network, ready for use")
    flags.DEFINE_integer("top", 3, "predict: genres to name; similar: songs", 1)
    flags.DEFINE_float("threshold", None, "predict: less probable genres are unknown", 0.0, 1.0)
    flags.DEFINE_string("map", None, "embed: a picture of all songs, .png or .html")
    flags.DEFINE_string("library", None, "similar: a library of mashjax.match")
    flags.DEFINE_integer("workers", os.cpu_count() or 1, "similar: processes", 1)


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
