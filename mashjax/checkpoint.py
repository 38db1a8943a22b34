"""Look at a run's checkpoints, check them, and export one for use.

    python -m mashjax.checkpoint list DIR                  step, time, sha256, size
    python -m mashjax.checkpoint verify DIR                which steps are sound
    python -m mashjax.checkpoint export DIR --output=DIR   the newest sound one, for use

DIR is a --workdir of mashjax.train. The sha256 is that of params, optimiser and step together.
"""

import dataclasses
import datetime
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence

from absl import flags

from mashjax import cli
from mashjax.errors import UserError
from mashjax.nn.weights import Weights, write_weights
from mashjax.training.loading import read_checkpoint


@dataclasses.dataclass(frozen=True)
class Entry:
    """A step of a run: sha256 of params, optimiser and step, or "" and what is wrong with it."""

    step: int
    written: datetime.datetime
    sha256: str
    bytes: int
    fault: str = ""


def entries(directory: str | os.PathLike) -> Iterator[Entry]:
    """Every step of a run, oldest first, each read whole and checked."""
    from mashjax.training.checkpoints import Checkpoints, Unsound, digest

    checkpoints = Checkpoints(_checkpoints_of(directory))
    for step in checkpoints.steps():
        about = step, checkpoints.written_at(step)
        try:
            yield Entry(*about, digest(checkpoints.read(step)), checkpoints.size(step))
        except Unsound as fault:
            yield Entry(*about, "", checkpoints.size(step), str(fault))


def export(directory: str | os.PathLike, output: str | os.PathLike) -> Weights:
    """Write the newest sound step's averaged parameters and settings, without the optimiser."""
    weights = read_checkpoint(directory)
    write_weights(output, weights)
    return weights


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 2 or arguments[0] not in COMMANDS:
        raise UserError(f"say one of {', '.join(COMMANDS)}, and the folder of a run")
    COMMANDS[arguments[0]](arguments[1])


def _list(directory: str) -> None:
    for entry in entries(directory):
        state = entry.sha256 or f"damaged: {entry.fault}"
        print(f"{entry.step}\t{entry.written:%Y-%m-%d %H:%M:%S}\t{state}\t{entry.bytes}")


def _verify(directory: str) -> None:
    found = list(entries(directory))
    for entry in found:
        print(f"{entry.step}\t{'sound' if not entry.fault else f'damaged: {entry.fault}'}")
    sound = [entry.step for entry in found if not entry.fault]
    print(f"a run would go on from step {sound[-1]}" if sound else "no step is sound")
    if len(sound) < len(found) or not sound:
        sys.exit(1)


def _export(directory: str) -> None:
    output = flags.FLAGS.output
    if output is None:
        raise UserError("--output is missing: where shall the export go?")
    weights = export(directory, output)
    print(f"{output}: step {weights.metadata['step']} of {directory}")


COMMANDS = {"list": _list, "verify": _verify, "export": _export}


def _checkpoints_of(directory: str | os.PathLike) -> pathlib.Path:
    folder = pathlib.Path(directory) / "checkpoints"
    if not folder.is_dir():
        raise UserError(f"{directory}: not the folder of a run (it has no checkpoints/)")
    return folder


def _define_flags() -> None:
    flags.DEFINE_string("output", None, "export: the folder to write.")


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
