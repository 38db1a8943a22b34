"""Score a checkpoint on a store, or on one's own stems: JSON on stdout.

    python -m mashjax.evaluate --checkpoint=DIR --data=STORE [--split=test] [--examples=N]
        [--step=newest|best|NUMBER] [--plot=PNG]
    python -m mashjax.evaluate --checkpoint=DIR --layout=stems --input=SONGS [--stems_map=FILE]

--checkpoint is a folder that mashjax.train or `mashjax.checkpoint export` wrote; without it, the
network that ships is scored. --input is a folder of folders of stems, as mashjax.preprocess takes
them; each song is mixed with others of its tempo, key and meter. Fewer than twelve songs are
stretched by up to 26 % and moved by up to 4 semitones, so that all of one meter fit; more songs by
8 % and 3 semitones, as for training. What fits no other, or cannot be used, is in "left_out".

Scores are of the mashup of each pair that is "sum" (both songs as they are), "model",
"no_rotation" (the model's masks alone) or "oracle" (the ratio mask of the true sources):

    si_sdr_*          scale-invariant signal-to-distortion ratio in dB: higher is better
    phi_*             mean of 1 - cos of the phase error, weighted by magnitude: 1 is random
    phase_error_*     mean of the phase error over all bins, in units of pi: 0.5 is random
    lsd_*             log-spectral distance in dB: lower is better
    si_sdr_lead_*     what is kept of song 1, against its lead; si_sdr_backing_*: of song 2
    gain              si_sdr_model - si_sdr_sum
    oracle_share      that gain, as a share of the oracle's

and worse_than_sum counts the pairs that the model made worse. Between low and high lie 95 % of
what a mean becomes when songs are drawn anew (bootstrap).
"""

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from mashjax import cli
from mashjax.audio import files
from mashjax.errors import UserError


def evaluate(
    checkpoint: str | os.PathLike | None,
    *,
    data: str | os.PathLike | None = None,
    stems: str | os.PathLike | None = None,
    stems_map: str | os.PathLike | None = None,
    split: str = "test",
    examples: int | None = None,
    step: int | str = "newest",
    plot: str | os.PathLike | None = None,
    workers: int = 1,
    progress: Callable[[str], None] = lambda stage: None,
) -> dict[str, Any]:
    """Scores of a checkpoint's averaged parameters on a split of a store, or on folders of stems.

    Args:
      checkpoint: the folder of a run or an export; None: what ships.
      data: a store; or instead
      stems: a folder of folders of stems, all of which are scored.
      stems_map: a JSON file that says which of the stems lead.
      split: of the store: "train", "valid" or "test".
      examples: how many, from the start; None: all.
      step: of a run: "newest", "best" or a number.
      plot: where to write a PNG.
      workers: processes that read stems.
      progress: called with the name of each stage.

    Returns:
      What is printed as JSON: see the top of this module, and `training.scoring.Scores.means`.

    Raises:
      UserError: the checkpoint, the store or the stems cannot be used, or do not fit each other.
    """
    if (data is None) == (stems is None):
        raise UserError("say either --data, a store, or --input, a folder of stems")
    if plot is not None:
        files.check_ending(plot, (".png",))
        files.check_folder(plot)
    from mashjax.data.own_stems import SPLIT, left_out, own_stems
    from mashjax.data.store import open_store
    from mashjax.tasks import TASKS
    from mashjax.tasks.mashup import SHIPPED
    from mashjax.training import scoring
    from mashjax.training.config import from_dict
    from mashjax.training.feed import fitted
    from mashjax.training.loading import read_checkpoint

    weights = read_checkpoint(SHIPPED if checkpoint is None else checkpoint, step=step)
    cfg, step = from_dict(weights.metadata["config"]), weights.metadata["step"]
    task = TASKS[cfg.task]
    with contextlib.ExitStack() as within:
        if data is not None:
            store = open_store(data)
            about: dict[str, Any] = {"data": os.fspath(data), "split": split}
        else:
            assert stems is not None
            store = within.enter_context(
                own_stems(
                    stems,
                    sample_rate=cfg.model.sample_rate,
                    seconds=task.example_samples(cfg.model, cfg.frames) / cfg.model.sample_rate,
                    stems_map=stems_map,
                    workers=workers,
                    progress=lambda done, total: progress(f"song {done} of {total}"),
                )
            )
            split = SPLIT
            about = {"stems": os.fspath(stems), "left_out": left_out(store)}
        cfg = fitted(cfg, store)
        progress("scoring")
        scores = scoring.score(
            cfg, weights.params, weights.statistics, store, split=split, examples=examples
        )
    result = {"task": cfg.task, "step": step, **about, **scores.counts, "scores": scores.means()}
    if plot is not None:
        progress("drawing")
        with files.replacing(plot) as beside:
            task.draw_scores(scores.scores, result["scores"], beside, title=_title(result))
    return result


def as_json(result: dict[str, Any]) -> str:
    """The result with one score a line: a table to read, and JSON."""
    dumped = lambda value: json.dumps(value, ensure_ascii=False)  # noqa: E731
    fields = {name: dumped(value) for name, value in result.items()}
    scores = [f"  {dumped(name) + ':':<30}{dumped(x)}" for name, x in result["scores"].items()]
    fields["scores"] = "{\n" + ",\n".join(scores) + "\n }"
    return "{\n" + ",\n".join(f' "{name}": {value}' for name, value in fields.items()) + "\n}"


def _title(result: dict[str, Any]) -> str:
    from mashjax.tasks import TASKS

    of = f"{result['split']} of {result['data']}" if "data" in result else result["stems"]
    said = TASKS[result["task"]].headline(result["scores"])
    return (
        f"{result['task']}, step {result['step']}, on {of[-80:]}\n"
        f"{result['examples']} examples of {result['songs']} songs: {said}"
    )


def main(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"what is {arguments[0]!r}? Everything here is a --flag=value")
    f = flags.FLAGS
    if f.input is None:
        for name in ("layout", "stems_map"):
            if f[name].present:
                raise UserError(f"--{name} says more of --input=, a folder of stems: name one")
    elif f["split"].present:
        raise UserError("--split is of a store; of --input=, all songs are scored")
    result = evaluate(
        f.checkpoint,
        data=f.data,
        stems=f.input,
        stems_map=f.stems_map,
        split=f.split,
        examples=f.examples,
        step=f.step,
        plot=f.plot,
        workers=os.cpu_count() or 1,
        progress=cli.Progress(),
    )
    print(as_json(result))


def _define_flags() -> None:
    flags.DEFINE_string("checkpoint", None, "A run or an export; default: what ships.")
    flags.DEFINE_string("data", None, "The store that mashjax.preprocess wrote.")
    flags.DEFINE_string("input", None, "Instead: a folder of songs of one's own.")
    flags.DEFINE_enum("layout", "stems", ["stems"], "What --input holds.")
    flags.DEFINE_string("stems_map", None, "A JSON file that says which stems lead.")
    flags.DEFINE_string("step", "newest", "Of a run: newest, best or a number.")
    flags.DEFINE_enum("split", "test", ["train", "valid", "test"], "Which examples of --data.")
    flags.DEFINE_integer("examples", None, "How many of them; default: all.", lower_bound=1)
    flags.DEFINE_string("plot", None, "A PNG of every pair, and of the means.")


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
