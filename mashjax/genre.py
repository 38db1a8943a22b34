"""Say what a song is, from its harmony, its timbre and its words.

    python -m mashjax.genre features SONG      what is read or computed of it
    python -m mashjax.genre plot SONG          its chroma and timbre over time, as a picture

SONG is a file of the Million Song Dataset (.h5), or wav, mp3, flac or ogg. --lyrics: a musiXmatch
file, or a folder of text files named after tracks; of a sound file, song.txt beside song.mp3, too.

Needs pip install 'mashjax[genre]'.
"""

import json
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


VERBS: dict[str, Callable[[Sequence[str]], None]] = {
    "features": _features,
    "plot": _plot,
}


def _define_flags() -> None:
    flags.DEFINE_bool("json", False, "print JSON")
    flags.DEFINE_list("lyrics", [], "musiXmatch files, and folders of texts, with commas")
    flags.DEFINE_string("out", None, "plot: the picture, track.png")


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
