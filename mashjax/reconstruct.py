"""Hear and see a stored example: its sounds and a picture, back from the stored arrays.

    python -m mashjax.reconstruct --data=STORE --index=3 --out=DIR
    python -m mashjax.reconstruct --data=STORE --index=3 --out=DIR --checkpoint=shipped

Writes both songs, their plain sum and the label, as their magnitudes and phases sound, and the
sources that they were made of; example.png shows them, example.json says their levels. With
--checkpoint (a folder that mashjax.train or `mashjax.checkpoint export` wrote, or "shipped"), a
network's mashup stands beside them.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags

from mashjax import cli
from mashjax.audio import files
from mashjax.errors import UserError

if TYPE_CHECKING:
    from mashjax.mixing.reconstruction import Example

FORMATS = tuple(ending[1:] for ending in files.ENDINGS)
PICTURE, REPORT = "example.png", "example.json"
REPORT_FORMAT = "mashjax-example"
PEAK = 0.89  # -1 dBFS: what no file but wav's float32 may exceed


def reconstruct(
    data: str | os.PathLike,
    *,
    index: int,
    out: str | os.PathLike,
    split: str = "train",
    checkpoint: str | os.PathLike | None = None,
    format: str = "wav",
    progress: Callable[[str], None] = lambda stage: None,
) -> dict[str, Any]:
    """Write the sounds and the picture of a stored example into a folder.

    Args:
      data: a store.
      index: which example of the split.
      out: a folder; absent, or with nothing in the way but what this function wrote there
        before, which is replaced.
      split: "train", "valid" or "test".
      checkpoint: the folder of a run or an export, or "shipped"; None: no model.
      format: "wav" (float32 samples as they are), "flac", "ogg" or "mp3" (all of them turned
        down alike where one would clip).
      progress: called with the name of each stage.

    Returns:
      What example.json says: the songs, and each file's level, error and score.

    Raises:
      UserError: no such example; a store, a checkpoint or a folder that cannot be used. Then
        nothing has been written.
    """
    from mashjax.data.store import MASHUP_ROW, PAIR, open_store
    from mashjax.mixing.reconstruction import check_index, names, reconstruct_example

    if format not in FORMATS:
        raise UserError(f"format is {format!r}: say {', '.join(FORMATS)}")
    store = open_store(data)
    store.check_sound(store.settings.sample_rate, PAIR, MASHUP_ROW)
    check_index(store, split, index)
    folder = pathlib.Path(out)
    sounds = names(store, model=checkpoint is not None)
    wanted = [*(f"{name}.{format}" for name in sounds), PICTURE, REPORT]
    with _folder(folder, wanted) as old:
        files.check_output(folder / wanted[0], sr=store.settings.sample_rate, channels=1)
        example = reconstruct_example(store, split, index, checkpoint=checkpoint, progress=progress)
        progress("writing")
        peak = max(float(np.abs(sound.y).max()) for sound in example.sounds.values())
        gain = 1.0 if format == "wav" else min(1.0, PEAK / max(peak, PEAK))
        gain_db = 20 * float(np.log10(gain))
        report = {
            "format": REPORT_FORMAT,
            "store": store.manifest_hash,
            "split": split,
            "index": index,
            "seconds": example.seconds,
            "sample_rate": example.sr,
            "gain_db": round(gain_db, 3),
            "songs": example.songs,
            "sounds": {
                f"{name}.{format}": {
                    "lufs": None if sound.lufs is None else round(sound.lufs + gain_db, 3),
                    "error_db": _rounded(sound.error_db),
                    "si_sdr_db": _rounded(sound.si_sdr_db),
                }
                for name, sound in example.sounds.items()
            },
            "files": wanted,
        }
        _write(example, folder, report, format=format, gain=gain)
        for name in old - set(wanted):
            (folder / name).unlink(missing_ok=True)
    return report


@contextlib.contextmanager
def _folder(folder: pathlib.Path, wanted: list[str]) -> Iterator[set[str]]:
    """A folder that may take the wanted files, and which files of ours are in it already.

    Raises:
      UserError: it is a file, cannot be made, or holds a file of a wanted name that is not ours.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: --out needs a folder, this is a file")
    files.check_folder(folder / REPORT if folder.is_dir() else folder)
    old: set[str] = set()
    if (folder / REPORT).is_file():
        try:
            found = json.loads((folder / REPORT).read_text())
        except ValueError:
            found = None
        if isinstance(found, dict) and found.get("format") == REPORT_FORMAT:
            old = {name for name in found["files"] if pathlib.Path(name).name == name}
    for name in wanted:
        if name not in old and (folder / name).exists():
            raise UserError(f"{folder / name}: is in the way, and not of a reconstruct before")
    made = not folder.exists()
    if made:
        folder.mkdir()
    try:
        yield old
    finally:
        if made and not any(folder.iterdir()):
            folder.rmdir()


def _write(
    example: "Example", folder: pathlib.Path, report: dict[str, Any], *, format: str, gain: float
) -> None:
    """Write everything beside its place; only when all of it is written, put it there.

    The report goes first, so that a folder never holds a file of ours that it does not name.
    """
    from mashjax.mixing.reconstruction import draw

    with contextlib.ExitStack() as stack:
        for name, sound in example.sounds.items():
            beside = stack.enter_context(files.replacing(folder / f"{name}.{format}"))
            y = (sound.y * np.float32(gain))[None]
            files.encode(beside, y, sr=example.sr, exact=format == "wav")
        draw(example, stack.enter_context(files.replacing(folder / PICTURE)))
        beside = stack.enter_context(files.replacing(folder / REPORT))
        beside.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def describe(report: dict[str, Any], out: str) -> str:
    """A line per sound, and one that sums up."""
    lines = []
    for name, sound in report["sounds"].items():
        said = ["silent" if sound["lufs"] is None else f"{sound['lufs']:6.1f} LUFS"]
        if sound["error_db"] is not None:
            said.append(f"{sound['error_db']:.0f} dB of error against the stored samples")
        if sound["si_sdr_db"] is not None:
            said.append(f"SI-SDR {sound['si_sdr_db']:.2f} dB against the label")
        lines.append(f"{name:<14} {', '.join(said)}")
    if report["gain_db"]:
        lines.append(f"all turned by {report['gain_db']:.1f} dB: the format cannot hold the peaks")
    lines.append(
        f"{out}: example {report['index']} of {report['split']}, {report['seconds']:g} s of "
        f"{report['sample_rate']} Hz, {len(report['sounds'])} sounds and {PICTURE}"
    )
    return "\n".join(lines)


def _rounded(x: float | None) -> float | None:
    return None if x is None else round(x, 3)


def _main(arguments: Sequence[str]) -> None:
    f = flags.FLAGS
    if arguments:
        raise UserError(f"what is {arguments[0]!r}? Everything here is a --flag=value")
    missing = {
        "data": "say a store that mashjax.preprocess wrote",
        "index": "say the number of an example",
        "out": "say a folder to write into",
    }
    for name, what in missing.items():
        if f[name].value is None:
            raise UserError(f"--{name} is missing: {what}")
    report = reconstruct(
        f.data,
        index=f.index,
        out=f.out,
        split=f.split,
        checkpoint=f.checkpoint,
        format=f.format,
        progress=cli.Progress(),
    )
    print(describe(report, f.out))


def _define_flags() -> None:
    flags.DEFINE_string("data", None, "The store that mashjax.preprocess wrote.")
    flags.DEFINE_integer("index", None, "Which example of the split, from 0.")
    flags.DEFINE_enum("split", "train", ["train", "valid", "test"], "Where it is from.")
    flags.DEFINE_string("out", None, "The folder to write into.")
    flags.DEFINE_string("checkpoint", None, 'A run, an export or "shipped"; default: no model.')
    flags.DEFINE_enum("format", "wav", list(FORMATS), "Of the sounds.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
