"""Make a store of aligned, labelled pairs out of folders of songs.

    python -m mashjax.preprocess --layout=stems --input=SONGS --output=STORE

`--layout=stems`: one folder per song, one audio file per stem; the stem named
after a voice or a melody is the lead. `--layout=midi`: POP909's folders,
rendered with FluidSynth and `--soundfont`.
"""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Sequence

from absl import flags

import mashjax
from mashjax import cli
from mashjax.data.building import Progress, Summary, build_store
from mashjax.data.midi import find_midi_songs
from mashjax.data.songs import SongSource
from mashjax.data.stems import find_stems_songs
from mashjax.data.store import Settings, file_sha256
from mashjax.errors import UserError

LAYOUTS = ("stems", "midi")


def preprocess(
    input: str | pathlib.Path,
    output: str | pathlib.Path,
    *,
    settings: Settings,
    soundfont: str = "",
    limit: int = 0,
    workers: int = 1,
    progress: Progress = lambda stage, done, total: None,
) -> Summary:
    """Make a store at `output` of the songs in the folder `input`.

    Args:
      input: folder of song folders.
      output: where the store will be; must not exist.
      settings: layout, excerpts and pairing.
      soundfont: an .sf2 file, for the midi layout.
      limit: use the first songs only (by name); 0 for all.
      workers: processes.
      progress: called with (stage, done, total).

    Raises:
      UserError: see the layout's `find_...` and `build_store`.
    """
    songs: Sequence[SongSource]
    if settings.layout == "stems":
        songs = find_stems_songs(input)
    elif settings.layout == "midi":
        songs = find_midi_songs(input, soundfont=soundfont, seed=settings.seed)
        settings = dataclasses.replace(settings, soundfont=file_sha256(soundfont))
    else:
        raise UserError(f"--layout={settings.layout} is unknown; use {' or '.join(LAYOUTS)}")
    settings = dataclasses.replace(settings, mashjax_version=mashjax.__version__)
    return build_store(
        songs[:limit] if limit else songs,
        output,
        settings=settings,
        workers=workers,
        progress=progress,
    )


def report(summary: Summary) -> str:
    """The lines printed at the end."""
    counts = ", ".join(f"{n} {split}" for split, n in summary.examples.items())
    lines = [
        f"songs in: {summary.songs}, rejected: {len(summary.rejected_songs)}",
        f"examples out: {sum(summary.examples.values())} ({counts}), "
        f"pairs rejected: {len(summary.rejected_pairs)}",
        f"audio: {summary.seconds:.0f} s, store: {summary.size / 1e6:.1f} MB",
    ]
    lines += [f"rejected song {r.id}: {r.why}" for r in summary.rejected_songs]
    return "\n".join(lines)


def show_progress(stage: str, done: int, total: int) -> None:
    """One line per stage on a terminal, nothing where stderr is piped."""
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\r{stage}: {done} of {total}", end=end, file=sys.stderr, flush=True)


def _main(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"unexpected argument {arguments[0]!r}; all options are flags")
    for name in ("input", "output"):
        if not FLAGS[name].value:
            raise UserError(f"--{name}= is missing")
    summary = preprocess(
        FLAGS.input,
        FLAGS.output,
        settings=Settings(
            layout=FLAGS.layout,
            sample_rate=FLAGS.sample_rate,
            seconds=FLAGS.seconds,
            seed=FLAGS.seed,
            pairs_per_song=FLAGS.pairs_per_song,
            examples_per_pair=FLAGS.examples_per_pair,
        ),
        soundfont=FLAGS.soundfont,
        limit=FLAGS.limit,
        workers=FLAGS.workers,
        progress=show_progress,
    )
    print(report(summary))


def _define_flags() -> None:
    defaults = Settings()
    flags.DEFINE_string("layout", defaults.layout, f"what the folders hold: {', '.join(LAYOUTS)}")
    flags.DEFINE_string("input", "", "folder of song folders")
    flags.DEFINE_string("output", "", "the store to make; must not exist")
    flags.DEFINE_string("soundfont", "", "an .sf2 file, for --layout=midi")
    flags.DEFINE_integer("sample_rate", defaults.sample_rate, "of the store, Hz", 8000, 48000)
    flags.DEFINE_float("seconds", defaults.seconds, "length of an example", 1.0, 600.0)
    flags.DEFINE_integer("seed", defaults.seed, "of all that is drawn", 0)
    flags.DEFINE_integer("pairs_per_song", defaults.pairs_per_song, "partners of a song", 1)
    flags.DEFINE_integer("examples_per_pair", defaults.examples_per_pair, "excerpts of a pair", 1)
    flags.DEFINE_integer("limit", 0, "use the first songs only; 0 for all", 0)
    flags.DEFINE_integer("workers", os.cpu_count() or 1, "processes", 1)


FLAGS = flags.FLAGS

if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
