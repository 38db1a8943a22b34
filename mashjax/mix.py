r"""Mix two songs into one mashup.

  python -m mashjax.mix SONG1 SONG2 --out=mashup.wav
  python -m mashjax.mix --demo

Songs are wav, mp3, flac or ogg files. The result keeps the lead song's sample rate.
"""

import contextlib
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import flags

from mashjax import cli
from mashjax.audio import files
from mashjax.audio.loudness import CEILING_DBTP, TARGET_LUFS, limit, true_peak
from mashjax.audio.loudness import loudness as measure_loudness
from mashjax.errors import UserError
from mashjax.mixing.demo import write_demo_songs
from mashjax.mixing.pipeline import Mashup, Options, make_mashup
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
    "balance",
    "wet",
    "duck",
    "loudness",
)
_WRITE = ("out", "stems", "plot", "report")
_STEMS = ("song1.wav", "song2.wav", "part1.wav", "part2.wav")


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
    outputs = {
        "--out": None if out is None else pathlib.Path(out),
        "--plot": None if plot is None else pathlib.Path(plot),
        "--report": None if report is None else pathlib.Path(report),
    }
    folder = None if stems is None else pathlib.Path(stems)
    _check_paths(inputs, outputs, folder)

    def accept(sr: int, channels: int) -> None:
        if outputs["--out"] is not None:
            files.check_output(outputs["--out"], sr=sr, channels=channels)

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
            balance=balance,
            wet=wet,
            duck=duck,
            limits=Limits(max_stretch, max_shift),
            loudness=loudness,
        ),
        accept=accept,
        progress=progress,
    )
    progress("writing")
    y = _write(mashup, outputs, folder)
    return y, mashup.report


def _check_paths(
    inputs, outputs: dict[str, pathlib.Path | None], folder: pathlib.Path | None
) -> None:
    """Refuse what cannot work before minutes are spent on it."""
    if outputs["--out"] is not None:
        files.check_ending(outputs["--out"], files.ENDINGS)
    if outputs["--plot"] is not None:
        files.check_ending(outputs["--plot"], (".png",))
    if outputs["--report"] is not None:
        files.check_ending(outputs["--report"], (".json",))
    named = [(flag, path) for flag, path in outputs.items() if path is not None]
    if folder is not None:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder}: --stems needs a folder, this is a file")
        files.check_folder(folder / "x" if folder.is_dir() else folder)
        named += [("--stems", folder / name) for name in _STEMS]
    taken: dict[pathlib.Path, str] = {p.resolve(): "input" for p in inputs}
    for flag, path in named:
        if flag != "--stems":
            files.check_folder(path)
        if path.resolve() in taken:
            other = taken[path.resolve()]
            raise UserError(f"{path}: {flag} would overwrite the {other}; choose another name")
        taken[path.resolve()] = flag + " file"


def _write(
    mashup: Mashup, outputs: dict[str, pathlib.Path | None], folder: pathlib.Path | None
) -> np.ndarray:
    """Write everything beside its place; only when all of it is written, put it there."""
    y, sr = mashup.y, mashup.sr
    out, plot, report = outputs["--out"], outputs["--plot"], outputs["--report"]
    with contextlib.ExitStack() as stack:
        if out is not None:
            beside = stack.enter_context(files.replacing(out))
            y = _encode(beside, y, sr, mashup.report["output"])
            mashup.report["output"]["path"] = os.fspath(out)
        if folder is not None:
            if not folder.exists():
                folder.mkdir()
                stack.callback(_remove_if_empty, folder)
            for name, stem in zip(_STEMS, [*mashup.songs, *mashup.parts], strict=True):
                beside = stack.enter_context(files.replacing(folder / name))
                files.encode(beside, stem, sr=sr, exact=True)
        if plot is not None:
            from mashjax.mixing.plot import draw

            draw(mashup, stack.enter_context(files.replacing(plot)))
        if report is not None:
            beside = stack.enter_context(files.replacing(report))
            beside.write_text(json.dumps(mashup.report, indent=1, ensure_ascii=False) + "\n")
    return y


def _remove_if_empty(folder: pathlib.Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def _encode(path: pathlib.Path, y: np.ndarray, sr: int, output: dict[str, Any]) -> np.ndarray:
    """Encode, and for lossy formats hold the ceiling in what a player will decode.

    mp3 and ogg move peaks by up to 1.5 dB; the limiter's ceiling comes down by what was
    measured too much in the decoded file.
    """
    files.encode(path, y, sr=sr)
    if not files.is_lossy(path):
        return y
    ceiling = CEILING_DBTP
    for _ in range(4):
        decoded = files.read(path).y
        peak = true_peak(decoded, sr=sr)
        if peak <= CEILING_DBTP:
            break
        ceiling -= peak - CEILING_DBTP + 0.05
        y, _ = limit(y, sr=sr, ceiling=ceiling)
        files.encode(path, y, sr=sr)
    output["true_peak_dbtp"] = round(peak, 2)
    output["lufs"] = round(measure_loudness(decoded, sr=sr), 2)
    return y


def _main(arguments: Sequence[str]) -> None:
    f = flags.FLAGS
    decide: dict[str, Any] = {name: f[name].value for name in _DECIDE}
    write: dict[str, Any] = {name: f[name].value for name in _WRITE}
    progress = cli.Progress()
    if f.demo:
        if arguments:
            raise UserError(f"--demo makes its own two songs; leave {arguments[0]!r} out")
        write["plot"] = write["plot"] or "mashup.png"
        with tempfile.TemporaryDirectory() as folder:
            songs = write_demo_songs(pathlib.Path(folder))
            _, report = mix(songs[0], songs[1], **decide, **write, progress=progress)
    else:
        if len(arguments) != 2:
            raise UserError(f"needs two songs, got {len(arguments)}; see --help")
        _, report = mix(arguments[0], arguments[1], **decide, **write, progress=progress)
    _print(report, [path for path in write.values() if path])


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
