"""The files that a mashup is written to: all of them whole, or none."""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mashjax.audio import files
from mashjax.audio.loudness import CEILING_DBTP, limit, true_peak
from mashjax.audio.loudness import loudness as measure_loudness
from mashjax.errors import UserError
from mashjax.mixing.pipeline import Mashup

_STEMS = ("song1.wav", "song2.wav", "part1.wav", "part2.wav")


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Where to write what; None: nowhere.

    out: audio, its ending says the format; stems: a folder; plot: a PNG; report: JSON; midi: a MIDI
    file; others: the contents of more files.
    """

    out: pathlib.Path | None = None
    stems: pathlib.Path | None = None
    plot: pathlib.Path | None = None
    report: pathlib.Path | None = None
    midi: pathlib.Path | None = None
    others: Mapping[pathlib.Path, bytes] = dataclasses.field(default_factory=dict)

    def check(self, inputs: Sequence[pathlib.Path]) -> None:
        """Refuse what cannot work before minutes are spent on it. Raises UserError."""
        named = {"--out": self.out, "--plot": self.plot, "--report": self.report}
        named["--midi"] = self.midi
        endings = {"--out": files.ENDINGS, "--plot": (".png",), "--report": (".json",)}
        endings["--midi"] = (".mid", ".midi")
        places = [(flag, path) for flag, path in named.items() if path is not None]
        for flag, path in places:
            files.check_ending(path, endings[flag])
            files.check_folder(path)
        places += [("--out", path) for path in self.others]
        if self.stems is not None:
            if self.stems.exists() and not self.stems.is_dir():
                raise UserError(f"{self.stems}: --stems needs a folder, this is a file")
            files.check_folder(self.stems / "x" if self.stems.is_dir() else self.stems)
            places += [("--stems", self.stems / name) for name in _STEMS]
        taken: dict[pathlib.Path, str] = {path.resolve(): "input" for path in inputs}
        for flag, path in places:
            if path.resolve() in taken:
                other = taken[path.resolve()]
                raise UserError(f"{path}: {flag} would overwrite the {other}; choose another name")
            taken[path.resolve()] = flag + " file"

    def accept(self, sr: int, channels: int) -> None:
        """Raises UserError where the format cannot hold that."""
        if self.out is not None:
            files.check_output(self.out, sr=sr, channels=channels)


def write(mashup: Mashup, outputs: Outputs) -> np.ndarray:
    """Write everything beside its place; only when all of it is written, put it there.

    Returns the samples as written [channels, samples]; notes the path, and the level that a lossy
    format came to, in the report.
    """
    sr = mashup.sr
    with contextlib.ExitStack() as stack:
        y = write_sound(mashup.y, outputs, stack, sr=sr, output=mashup.report["output"])
        if outputs.stems is not None:
            if not outputs.stems.exists():
                outputs.stems.mkdir()
                stack.callback(_remove_if_empty, outputs.stems)
            for name, stem in zip(_STEMS, [*mashup.songs, *mashup.parts], strict=True):
                beside = stack.enter_context(files.replacing(outputs.stems / name))
                files.encode(beside, stem, sr=sr, exact=True)
        if outputs.plot is not None:
            from mashjax.mixing.plot import draw

            draw(mashup, stack.enter_context(files.replacing(outputs.plot)))
        write_report(mashup.report, outputs, stack)
        for path, content in outputs.others.items():
            stack.enter_context(files.replacing(path)).write_bytes(content)
    return y


def write_sound(
    y: np.ndarray,
    outputs: Outputs,
    stack: contextlib.ExitStack,
    *,
    sr: int,
    output: dict[str, Any],
) -> np.ndarray:
    """`y` beside `outputs.out`, to be put there by `stack`.

    output: the report's part on it; for what is noted there, and returned, see `write`.
    """
    if outputs.out is None:
        return y
    beside = stack.enter_context(files.replacing(outputs.out))
    y = _encode(beside, y, sr, output)
    output["path"] = os.fspath(outputs.out)
    return y


def write_report(report: dict[str, Any], outputs: Outputs, stack: contextlib.ExitStack) -> None:
    """The report beside its place, to be put there by `stack`."""
    if outputs.report is not None:
        beside = stack.enter_context(files.replacing(outputs.report))
        beside.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


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
