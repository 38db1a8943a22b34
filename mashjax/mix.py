r"""Mix two songs into one mashup.

  python -m mashjax.mix SONG1 SONG2 --out=mashup.wav
  python -m mashjax.mix --demo

Songs are wav, mp3, flac or ogg files. The result keeps the lead song's sample rate.
"""

import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import flags

from mashjax import cli
from mashjax.audio import files
from mashjax.audio.loudness import TARGET_LUFS
from mashjax.errors import UserError
from mashjax.mixing.demo import write_demo_songs
from mashjax.mixing.outputs import Outputs, write
from mashjax.mixing.pipeline import Options, make_mashup
from mashjax.music.alignment import Limits

_DECIDE = (
    "checkpoint",
    "lead",
    "align",
    "masks",
    "start1",
    "start2",
    "duration",
    "max_stretch",
    "max_shift",
    "arrange",
    "melody",
    "balance",
    "wet",
    "duck",
    "loudness",
)
_WRITE = ("out", "stems", "plot", "report")


def mix(
    song1: str | os.PathLike,
    song2: str | os.PathLike,
    *,
    out: str | os.PathLike | None = None,
    checkpoint: str | os.PathLike | None = None,
    lead: str | int = "auto",
    align: str = "auto",
    masks: str = "model",
    start1: float | None = None,
    start2: float | None = None,
    duration: float | None = None,
    max_stretch: float = Limits.max_stretch,
    max_shift: float = Limits.max_shift,
    stems: str | os.PathLike | None = None,
    plot: str | os.PathLike | None = None,
    report: str | os.PathLike | None = None,
    arrange: str = "full",
    melody: bool = Options.melody,
    balance: float = Options.balance,
    wet: float = Options.wet,
    duck: float = Options.duck,
    loudness: float = TARGET_LUFS,
    progress: Callable[[str], None] = lambda stage: None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Mix two audio files.

    Args:
      song1, song2: paths of audio files.
      out: where to write the mashup; the ending says the format. None: nowhere.
      checkpoint: folder of an exported or training checkpoint; None: the one shipped.
      lead: "auto", 1 or 2: the song that gives the lead (voice); the other backs it.
      align: "auto", or "none" for two files that already share one timeline.
      masks: "model", or "none" for the aligned overlay without the network.
      start1, start2, duration: seconds, honoured to the nearest beat; None: the best overlap.
      max_stretch: how far the tempos may be apart, as a ratio minus 1; divided between both.
      max_shift: how far each song may be transposed, in semitones.
      stems: folder for the aligned songs and what is heard of them, as float32 wav.
      plot: where to write a PNG of spectrograms, shares and levels.
      report: where to write the report as JSON.
      arrange: "full", or "sections": the lead changes between the songs, at phrases of 8 bars (4
        in a short mashup), where the other has clearly more to sing.
      melody: a piano plays what the lead sings.
      balance: -1 (only song 1) to 1 (only song 2): the songs' powers times 1 - balance and
        1 + balance.
      wet: 0..1, how far masks and ducking act; 0 is the aligned overlay.
      duck: by how many dB at most the backing makes way where the lead is not 1 dB louder
        between 200 Hz and 5 kHz; 0: it never does.
      loudness: LUFS of the result; its true peak is at most -1 dBTP.
      progress: called with the name of each stage.

    Returns:
      The mastered samples float32 [channels, samples], and the report. Its `sections` say from
      when to when (seconds) which song leads; its `levels` are those of
      `mashjax.mixing.taste.Levels`, with None where the lead pauses.

    Raises:
      UserError: an input that cannot be used, or an output that cannot be written; then
        no file has been written at all.
    """
    inputs = (pathlib.Path(song1), pathlib.Path(song2))
    outputs = Outputs(out=_path(out), stems=_path(stems), plot=_path(plot), report=_path(report))
    outputs.check(inputs)
    mashup = make_mashup(
        lambda k: files.read(inputs[k]),
        names=(os.fspath(song1), os.fspath(song2)),
        options=Options(
            checkpoint=checkpoint,
            lead=str(lead),
            align=align,
            masks=masks,
            start1=start1,
            start2=start2,
            duration=duration,
            arrange=arrange,
            melody=melody,
            balance=balance,
            wet=wet,
            duck=duck,
            limits=Limits(max_stretch, max_shift),
            loudness=loudness,
        ),
        accept=outputs.accept,
        progress=progress,
    )
    progress("writing")
    return write(mashup, outputs), mashup.report


def _path(path: str | os.PathLike | None) -> pathlib.Path | None:
    return None if path is None else pathlib.Path(path)


def _main(arguments: Sequence[str]) -> None:
    f = flags.FLAGS
    decide: dict[str, Any] = {name: f[name].value for name in _DECIDE}
    written: dict[str, Any] = {name: f[name].value for name in _WRITE}
    progress = cli.Progress()
    if f.demo:
        if arguments:
            raise UserError(f"--demo makes its own two songs; leave {arguments[0]!r} out")
        written["plot"] = written["plot"] or "mashup.png"
        with tempfile.TemporaryDirectory() as folder:
            songs = write_demo_songs(pathlib.Path(folder))
            _, report = mix(songs[0], songs[1], **decide, **written, progress=progress)
    else:
        if len(arguments) != 2:
            raise UserError(f"needs two songs, got {len(arguments)}; see --help")
        _, report = mix(arguments[0], arguments[1], **decide, **written, progress=progress)
    _print(report, [path for path in written.values() if path])


def _print(report: dict[str, Any], written: list[str]) -> None:
    for song in report["songs"]:
        if "note" in song:
            print(f"note: {song['path']}: {song['note']}")
    output = report["output"]
    print(report["alignment"]["why"])
    print(
        f"{', '.join(written)}: {output['seconds']:.1f} s, {output['sample_rate']} Hz, "
        f"{output['channels']} channels, {output['lufs']:.1f} LUFS, "
        f"{output['true_peak_dbtp']:.1f} dBTP"
    )


def _define_flags() -> None:
    flags.DEFINE_string("out", "mashup.wav", "The mashup; its ending says the format.")
    flags.DEFINE_string("checkpoint", None, "Checkpoint folder; default: the one shipped.")
    flags.DEFINE_enum("lead", "auto", ["auto", "1", "2"], "The song that gives the lead (voice).")
    flags.DEFINE_enum(
        "align", "auto", ["auto", "none"], "none: the two files already share one timeline."
    )
    flags.DEFINE_enum("masks", "model", ["model", "none"], "none: the aligned overlay.")
    flags.DEFINE_float("start1", None, "Where to begin in song 1, seconds.", lower_bound=0)
    flags.DEFINE_float("start2", None, "Where to begin in song 2, seconds.", lower_bound=0)
    flags.DEFINE_float("duration", None, "Seconds of mashup; default: the whole overlap.")
    flags.DEFINE_float(
        "max_stretch",
        Limits.max_stretch,
        "How far tempos may be apart.",
        lower_bound=0,
        upper_bound=1,
    )
    flags.DEFINE_float(
        "max_shift", Limits.max_shift, "Semitones each song may move.", lower_bound=0, upper_bound=6
    )
    flags.DEFINE_string("stems", None, "Folder for song1, song2 (aligned), part1, part2 (masked).")
    flags.DEFINE_string("plot", None, "PNG of spectrograms, of each song's share, of levels.")
    flags.DEFINE_string("report", None, "JSON of what was decided and why.")
    flags.DEFINE_enum(
        "arrange", "full", ["full", "sections"], "sections: the lead changes between the songs."
    )
    flags.DEFINE_bool("melody", False, "A piano plays what the lead sings.")
    flags.DEFINE_float(
        "balance",
        Options.balance,
        "-1: only song 1; 1: only song 2.",
        lower_bound=-1,
        upper_bound=1,
    )
    flags.DEFINE_float(
        "wet",
        Options.wet,
        "How far masks and ducking act; 0: the overlay.",
        lower_bound=0,
        upper_bound=1,
    )
    flags.DEFINE_float(
        "duck",
        Options.duck,
        "dB at most by which the backing makes way for a lead that is hard to hear.",
        lower_bound=0,
        upper_bound=24,
    )
    flags.DEFINE_float("loudness", -14.0, "LUFS of the result.", lower_bound=-40, upper_bound=-5)
    flags.DEFINE_bool("demo", False, "Mix two short songs made on the spot.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
