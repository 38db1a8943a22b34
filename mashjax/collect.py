"""Fetch songs, or mashups and their originals, from a playlist or a list of addresses.

    python -m mashjax.collect --playlist=https://... --output=SONGS
    python -m mashjax.collect --addresses=songs.txt --output=SONGS
    python -m mashjax.collect --addresses=mashups.csv --output=MASHUPS

songs.txt has one address per line; lines that begin with # are remarks. Songs are named
`[0][title].mp3`, `[1][title].mp3`, ... mashups.csv has the columns `label,original1,original2`,
three addresses per row; the folder is one for `mashjax.preprocess --layout=labelled`:
`[0][mashup].mp3`, `[0][0][song].mp3`, `[0][1][song].mp3`.

Collect only what you have the right to: your own works, those that are licensed for it or free
of rights, or where the law of your country allows it; and heed the terms of the site.
SOURCES.json in the folder keeps each file's address, artist and, where the site says so, licence.

The same command goes on where it was interrupted, and fetches what has been added to the list;
what is there keeps its number. An address that fails is listed, and tried again the next time.

Needs yt-dlp: pip install 'mashjax[collect]'. Sites change: if one fails that worked, upgrade it
(pip install -U yt-dlp). Sites that offer no mp3, flac, wav, ogg or opus need ffmpeg as well.
"""

import os
import sys
from collections.abc import Sequence

from absl import flags
from tqdm import tqdm

from mashjax import cli
from mashjax.data.collecting import fetching, run
from mashjax.data.collecting.addresses import read_addresses
from mashjax.data.collecting.run import Progress, Summary
from mashjax.errors import UserError


def collect(
    output: str | os.PathLike,
    *,
    addresses: str | os.PathLike = "",
    playlist: str = "",
    format: str = "mp3",
    limit: int = 0,
    timeout: float = 20.0,
    progress: Progress = lambda address, done, total: None,
) -> Summary:
    """Fetch what a list or a playlist names into the folder `output`.

    Args:
      output: the folder; made if it does not exist.
      addresses: a file: .csv with label, original1 and original2, or one address per line.
      playlist: the address of a list of songs. Either this or `addresses`.
      format: mp3, flac, wav or ogg.
      limit: the first rows of the list only; 0 for all.
      timeout: seconds without an answer from a server, of a few tries each.
      progress: called with (address, files done, files in all).

    Raises:
      UserError: see `read_addresses`, `list_playlist` and `run.collect`.
    """
    if bool(addresses) == bool(playlist):
        raise UserError("say either --addresses=FILE or --playlist=ADDRESS")
    if playlist:
        rows = fetching.list_playlist(playlist, limit=limit, timeout=timeout)
    else:
        rows = read_addresses(addresses)
    return run.collect(
        rows[:limit] if limit else rows, output, format=format, timeout=timeout, progress=progress
    )


def report(summary: Summary) -> str:
    """The lines printed at the end."""
    lines = [
        f"files: {summary.files} ({summary.new} new), failed: {len(summary.failed)}",
        f"audio: {summary.seconds:.0f} s, {summary.bytes / 1e6:.1f} MB",
    ]
    if summary.kind == "labelled":
        lines.insert(0, f"mashups: {summary.complete} of {summary.rows} complete")
    if summary.repeated:
        lines.append(f"rows that came again, counted once: {summary.repeated}")
    lines += [f"changed since it was collected: {s.file}" for s in summary.changed]
    lines += [f"failed {s.address}: {s.failed}" for s in summary.failed]
    return "\n".join(lines)


def _main(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"unexpected argument {arguments[0]!r}; all options are flags")
    if not FLAGS.output:
        raise UserError("--output= is missing")
    shown = sys.stderr.isatty()
    with tqdm(unit="file", leave=False, disable=not shown, dynamic_ncols=True) as bar:

        def show(address: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_description_str(address[-40:], refresh=False)
            bar.update(done - bar.n)

        summary = collect(
            FLAGS.output,
            addresses=FLAGS.addresses,
            playlist=FLAGS.playlist,
            format=FLAGS.format,
            limit=FLAGS.limit,
            progress=show,
        )
    print(report(summary))
    if summary.failed and (FLAGS.strict or not summary.files):
        count = f"{len(summary.failed)} of {summary.files + len(summary.failed)}"
        why = "--strict" if summary.files else "nothing could be collected"
        raise UserError(f"{count} files could not be fetched ({why})")


def _define_flags() -> None:
    flags.DEFINE_string("addresses", "", "a list: .csv with label,original1,original2; or .txt")
    flags.DEFINE_string("playlist", "", "the address of a playlist, album, feed or page")
    flags.DEFINE_string("output", "", "the folder for the files; an earlier one is continued")
    flags.DEFINE_enum("format", "mp3", fetching.FORMATS, "of the files")
    flags.DEFINE_integer("limit", 0, "the first rows of the list only; 0 for all", 0)
    flags.DEFINE_boolean("strict", False, "exit with 2 if anything could not be fetched")


FLAGS = flags.FLAGS

if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
