"""Look at a run's checkpoints, check them, and export one for use.

    python -m mashjax.checkpoint list DIR       step, time, sha256, bytes, score, which is best
    python -m mashjax.checkpoint verify DIR     which steps are sound; exits 1 if one is not
    python -m mashjax.checkpoint export DIR --output=DIR [--step=newest|best|NUMBER]   for use

DIR is a --workdir of mashjax.train. The sha256 is that of params, optimiser and step together. The
newest and the best are the newest and the best of the sound ones.
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
    """A step of a run, and what is wrong with it, if anything.

    written, bytes and score are None where it does not say, sha256 is "" where it is not sound.
    """

    step: int
    written: datetime.datetime | None = None
    sha256: str = ""  # of params, optimiser and step
    bytes: int | None = None
    score: float | None = None  # higher is better
    fault: str = ""


def entries(directory: str | os.PathLike) -> Iterator[Entry]:
    """Every step of a run, oldest first, each read whole and checked."""
    from mashjax.training.checkpoints import Checkpoints, Unsound, digest

    checkpoints = Checkpoints(_checkpoints_of(directory))
    for step in sorted([*checkpoints.steps(), *checkpoints.unfinished()]):
        entry = Entry(step)
        try:
            commit = checkpoints.commit(step)
            written = datetime.datetime.fromisoformat(commit.time)
            entry = Entry(step, written, "", commit.bytes, commit.score)
            yield dataclasses.replace(entry, sha256=digest(checkpoints.read(step)))
        except Unsound as fault:
            yield dataclasses.replace(entry, fault=str(fault))


def best_of(found: Sequence[Entry]) -> Entry | None:
    """The sound one with the highest score, the oldest of equals."""
    scored = [entry for entry in found if entry.sha256 and entry.score is not None]
    return max(scored, key=lambda entry: (entry.score, -entry.step), default=None)


def export(
    directory: str | os.PathLike, output: str | os.PathLike, *, step: int | str = "newest"
) -> Weights:
    """Write one step's averaged parameters and settings, without the optimiser.

    step: "newest", "best" or a number.
    """
    weights = read_checkpoint(directory, step=step)
    write_weights(output, weights)
    return weights


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 2 or arguments[0] not in COMMANDS:
        raise UserError(f"say one of {', '.join(COMMANDS)}, and the folder of a run")
    COMMANDS[arguments[0]](arguments[1])


def _list(directory: str) -> None:
    found = list(entries(directory))
    best = best_of(found)
    for entry in found:
        time = f"{entry.written.astimezone():%Y-%m-%d %H:%M:%S}" if entry.written else "-"
        state = entry.sha256 or f"damaged: {entry.fault}"
        size = "-" if entry.bytes is None else entry.bytes
        score = "-" if entry.score is None else f"{entry.score:.6g}"
        mark = "\tbest" if entry == best else ""
        print(f"{entry.step}\t{time}\t{state}\t{size}\t{score}{mark}")


def _verify(directory: str) -> None:
    found = list(entries(directory))
    for entry in found:
        print(f"{entry.step}\t{f'damaged: {entry.fault}' if entry.fault else 'sound'}")
    sound = [entry.step for entry in found if not entry.fault]
    print(f"a run would go on from step {sound[-1]}" if sound else "no step is sound")
    if best := best_of(found):
        print(f"the best is step {best.step}, score {best.score:.6g}")
    if len(sound) < len(found) or not sound:
        sys.exit(1)


def _export(directory: str) -> None:
    output = flags.FLAGS.output
    if output is None:
        raise UserError("--output is missing: where shall the export go?")
    weights = export(directory, output, step=flags.FLAGS.step)
    print(f"{output}: step {weights.metadata['step']} of {directory}")


COMMANDS = {"list": _list, "verify": _verify, "export": _export}


def _checkpoints_of(directory: str | os.PathLike) -> str:
    from mashjax.training.checkpoints import folder_in

    where = os.fspath(directory)
    if "://" not in where and not pathlib.Path(where, "checkpoints").is_dir():
        raise UserError(f"{where}: not the folder of a run (it has no checkpoints/)")
    return folder_in(where)


def _define_flags() -> None:
    flags.DEFINE_string("output", None, "export: the folder to write.")
    flags.DEFINE_string("step", "newest", "export: newest, best or the number of a step.")


if __name__ == "__main__":
    # A run on this machine may hold its GPU or TPU; nothing here needs one.
    os.environ["JAX_PLATFORMS"] = "cpu"
    _define_flags()
    cli.run(main)
