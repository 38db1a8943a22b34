"""Make a store that training reads, out of folders of songs.

    python -m mashjax.preprocess --layout=stems --input=SONGS --output=STORE

--layout=stems: one folder per song, one audio file per stem. --layout=songs: songs without stems.
--layout=labelled: mashups that people made, each with its two originals. --layout=midi: POP909's
folders, rendered with FluidSynth and --soundfont, and sung. --layout=melody: their melodies alone,
sung and played, for the melody task; --voices are then of people who speak. --layout=genre: songs
with genres, of the Million Song Dataset (--genres=, --splits=, --lyrics=, --plays= name the files
that go with it) or audio in folders of genres. The store may be an address such as
gs://bucket/songs.store. The same command goes on where it was interrupted.

    python -m mashjax.preprocess --output=STORE --verify
    python -m mashjax.preprocess --output=STORE --materialise=DIR

--verify reads all of a finished store and names the files that are damaged. --materialise copies
its spectra, as arrays that other tools read, into a folder.
"""

import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from absl import flags

import mashjax
from mashjax import cli
from mashjax.data.building import Progress, Summary, build_store
from mashjax.data.layouts.finding import LAYOUTS, Beside, find_songs
from mashjax.data.sealing import AGAIN
from mashjax.data.sources import Rejected, Source
from mashjax.data.store import SPLITS, Settings, open_store, verify
from mashjax.data.track_rows import BALANCES, SEGMENT_RATE, SHORT
from mashjax.errors import UserError

NOTHING = Beside()


def preprocess(
    input: str | os.PathLike,
    output: str | os.PathLike,
    *,
    settings: Settings,
    beside: Beside = NOTHING,
    library: str = "",
    limit: int = 0,
    workers: int = 1,
    scheduler: str = "",
    strict: bool = False,
    progress: Progress = lambda done, total: None,
) -> Summary:
    """Make a store at `output` of the songs in the folder `input`, or go on with it.

    Args:
      input: folder of songs, as `settings.layout` says.
      output: a folder or an address; absent, or begun with the same songs and settings.
      settings: layout, excerpts and pairing.
      beside: files that the layout needs beside the folder.
      library: where `match index` described these songs, for the songs layout: those whose
        analysis is doubtful are left out.
      limit: use the first songs only (by name); 0 for all.
      workers, scheduler, strict, progress: see `build_store`.

    Raises:
      UserError: see the layout's `find_...` and `build_store`.
    """
    songs, left_out = find_songs(input, settings, beside)
    if library:
        songs, doubted = _sound(songs, input, settings, library=library)
        left_out += doubted
    songs = songs[:limit] if limit else songs
    if settings.layout == "genre":
        from mashjax.data.track_rows import planned

        songs, more, settings = planned(songs, settings)  # type: ignore[arg-type]
        left_out += more
    return build_store(
        songs,
        os.fspath(output),
        settings=dataclasses.replace(
            beside.hashed_into(settings), mashjax_version=mashjax.__version__
        ),
        left_out=left_out,
        workers=workers,
        scheduler=scheduler,
        strict=strict,
        progress=progress,
    )


def _sound(
    songs: Sequence[Source], folder: str | os.PathLike, settings: Settings, *, library: str
) -> tuple[Sequence[Source], list[Rejected]]:
    """The songs without doubts, and the others."""
    if settings.layout != "songs":
        raise UserError(f"--library is for --layout=songs, not for {settings.layout}")
    from mashjax.library.database import open_library
    from mashjax.library.overview import not_in_pool

    with closing(open_library(library)) as opened:
        doubted = not_in_pool(opened, folder, [song.id for song in songs])
    sound = [song for song in songs if song.id not in doubted]
    if not sound:
        raise UserError(f"{library}: finds none of these songs without doubts; see match status")
    return sound, [Rejected(song, why) for song, why in doubted.items()]


def report(summary: Summary, output: str) -> str:
    """The lines printed at the end."""
    counts = ", ".join(f"{summary.examples[split]} {split}" for split in SPLITS)
    lines = [
        f"songs in: {summary.songs}, rejected: {len(summary.rejected)}"
        + (f", done before: {summary.kept}" if summary.kept else ""),
        f"examples out: {sum(summary.examples.values())} ({counts}), "
        f"pairs out: {summary.pairs}"
        + (f", clips without a partner: {summary.without_partner}" if summary.pairs else ""),
        f"audio in: {summary.seconds:.0f} s, store: {summary.size / 1e6:.1f} MB, {output}",
    ]
    lines += [
        f"found {name}: " + "; ".join(_found(original) for original in originals)
        for name, originals in summary.originals.items()
    ]
    lines += [f"rejected {r.id}: {r.why}" for r in summary.rejected]
    return "\n".join(lines)


def _found(original: dict[str, Any]) -> str:
    """How an original lies in its mashup."""
    return (
        f"{original['name']} at {original['tempo_ratio']:.3f} of its tempo, "
        f"{original['shift_semitones']:+d} semitones, its beginning at {original['start']:.2f} s, "
        f"confidence {original['confidence']:.2f}"
    )


def check(output: str) -> str:
    """Read all of a store; a line that says that it is whole.

    Raises:
      UserError: something is damaged; names the files.
    """
    damaged = verify(output)
    if damaged:
        some = ", ".join(damaged[:20]) + (" ..." if len(damaged) > 20 else "")
        raise UserError(
            f"{output}: {len(damaged)} of its files are damaged or missing: {some}; {AGAIN}"
        )
    store = open_store(output)
    return f"{output}: {len(store.manifest['files'])} files are as they were written"


@contextmanager
def _progress_bar(what: str) -> Iterator[Progress]:
    """Done, in all, rate and time left: on a terminal only."""
    from tqdm import tqdm

    with tqdm(unit=what, disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def _main(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"unexpected argument {arguments[0]!r}; all options are flags")
    if not FLAGS.output:
        raise UserError("--output= is missing: the store")
    if FLAGS.verify:
        print(check(FLAGS.output))
        return
    if FLAGS.materialise:
        from mashjax.data.materialising import materialise

        with _progress_bar(" examples") as progress:
            size = materialise(open_store(FLAGS.output), FLAGS.materialise, progress=progress)
        print(f"{FLAGS.materialise}: {size / 1e6:.1f} MB of labels and inputs")
        return
    if not FLAGS.input:
        raise UserError("--input= is missing: the folder of songs")
    labelled, genre = (FLAGS.layout == name for name in ("labelled", "genre"))
    with _progress_bar(" songs") as progress:
        summary = preprocess(
            FLAGS.input,
            FLAGS.output,
            settings=Settings(
                layout=FLAGS.layout,
                sample_rate=SEGMENT_RATE if genre else FLAGS.sample_rate,
                seconds=FLAGS.segments / SEGMENT_RATE
                if genre
                else FLAGS.seconds or Settings.seconds,
                seed=FLAGS.seed,
                clips_per_song=FLAGS.clips_per_song,
                align=FLAGS.align if labelled else Settings.align,
                min_confidence=FLAGS.min_confidence if labelled else Settings.min_confidence,
                whole=not (labelled and FLAGS.seconds),
                short=FLAGS.short,
                balance=FLAGS.balance,
            ),
            beside=Beside(
                soundfont=tuple(FLAGS.soundfont),
                voices=FLAGS.voices,
                stems_map=FLAGS.stems_map,
                genres=FLAGS.genres,
                splits=tuple(FLAGS.splits),
                lyrics=tuple(FLAGS.lyrics),
                plays=FLAGS.plays,
            ),
            library=FLAGS.library,
            limit=FLAGS.limit,
            workers=FLAGS.workers,
            scheduler=FLAGS.scheduler,
            strict=FLAGS.strict,
            progress=progress,
        )
    print(report(summary, FLAGS.output))


def _define_flags() -> None:
    defaults = Settings()
    flags.DEFINE_enum("layout", defaults.layout, LAYOUTS, "what the folder holds")
    flags.DEFINE_string("input", "", "folder of songs")
    flags.DEFINE_string("output", "", "the store: a folder, or gs://... or s3://...")
    flags.DEFINE_float(
        "seconds",
        None,
        "length of an example; default 12. Of a labelled mashup, one example: its first so many "
        "seconds; default: all of it, in examples of 12",
        1.0,
        600.0,
    )
    flags.DEFINE_integer("sample_rate", defaults.sample_rate, "of the store, Hz", 8000, 48000)
    flags.DEFINE_integer("seed", defaults.seed, "of all that is drawn", 0)
    flags.DEFINE_integer(
        "clips_per_song", defaults.clips_per_song, "examples of one song, at most", 1, 4096
    )
    flags.DEFINE_enum(
        "align",
        defaults.align,
        ("auto", "none"),
        "labelled: find the originals in the mashup, or take all three from their starts",
    )
    flags.DEFINE_float(
        "min_confidence",
        defaults.min_confidence,
        "labelled: mashups whose originals are found with less (0..1) are rejected",
        0.0,
        1.0,
    )
    flags.DEFINE_string("stems_map", "", "stems: a JSON file that says which stems lead")
    flags.DEFINE_string(
        "library", "", "songs: what match index made of them; doubtful ones are left out"
    )
    flags.DEFINE_list("soundfont", [], "midi, melody: an .sf2 file, or several with commas")
    flags.DEFINE_string(
        "voices", "", "midi, melody: a folder of recordings, of one voice each, that sing"
    )
    flags.DEFINE_string("genres", "", "genre: a table of tracks and their genres")
    flags.DEFINE_list("splits", [], "genre: published splits, train, valid and test")
    flags.DEFINE_list("lyrics", [], "genre: musiXmatch files or folders of texts")
    flags.DEFINE_string("plays", "", "genre: a table of play counts, to learn popularity from")
    flags.DEFINE_integer("segments", 300, "genre: of each song, its middle ones", 12, 10000)
    flags.DEFINE_enum("short", "keep", SHORT, "genre: songs of fewer segments")
    flags.DEFINE_enum(
        "balance", "none", BALANCES, "genre: repeat songs of rare classes, or leave out others"
    )
    flags.DEFINE_integer("limit", 0, "use the first songs only; 0 for all", 0)
    flags.DEFINE_integer("workers", os.cpu_count() or 1, "processes of this machine", 1)
    flags.DEFINE_string("scheduler", "", "address of a Dask scheduler to run on: tcp://host:port")
    flags.DEFINE_bool("strict", False, "end with an error at the first song that cannot be used")
    flags.DEFINE_bool("verify", False, "read all of the finished store --output, and check it")
    flags.DEFINE_string("materialise", "", "copy the store's spectra into this folder")


FLAGS = flags.FLAGS

if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
