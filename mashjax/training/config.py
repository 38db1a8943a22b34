"""The settings of a training run: one field per line, each with its unit or its reason."""

import dataclasses
import json
from typing import Any

from mashjax.errors import UserError
from mashjax.tasks import TASKS

METHODS = ("adamw", "rmsprop", "sgd")


@dataclasses.dataclass
class Optim:
    """An optimiser with warm-up, cosine decay and clipping, for each network on its own."""

    method: str = "adamw"  # one of METHODS
    learning_rate: float = 1e-3  # at the end of the warm-up
    rate_factors: dict[str, float] = dataclasses.field(default_factory=dict)  # by network: x rate
    warmup: int = 200  # steps of linear rise
    final_fraction: float = 0.02  # of the learning rate, at the last step of the cosine
    b2: float = 0.99  # memory of squared gradients (not sgd): short, since runs are short
    weight_decay: float = 1e-3  # of adamw decoupled, otherwise part of the gradient
    clip: float = 1.0  # largest norm of one network's gradient
    ema: float = 0.998  # the averaged parameters (evaluated, exported) remember 1 / (1 - ema) steps


@dataclasses.dataclass
class TrainConfig:
    """Everything that a run is made of, besides its store."""

    task: str = "mashup"  # a name in mashjax.tasks.TASKS
    model: Any = dataclasses.field(default_factory=lambda: TASKS["mashup"].Config())
    optim: Optim = dataclasses.field(default_factory=Optim)
    seed: int = 0  # of the parameters, the order of the data and the augmentation
    incoherent: float = 0.1  # share of pairs that fit in nothing: clashes, too, must come apart
    batch_size: int = 16  # examples per step, over all devices
    accumulate: int = 1  # parts that a device takes its share of a batch in, to save memory
    frames: int = 130  # STFT frames per example: 3 s
    steps: int = 1000  # optimiser steps in all
    statistics_batches: int = 8  # batches that the features' mean and scale come from
    checkpoint_every: int = 200  # steps
    checkpoint_minutes: float = 10.0  # and after so many minutes without one; 0: by steps alone
    keep: int = 3  # newest checkpoints kept, besides the best
    eval_every: int = 500  # steps
    eval_examples: int = 32  # of the valid split, per evaluation
    patience: int = 0  # evaluations without a better score after which it ends early; 0: never
    sample_every: int = 500  # steps between sounds and pictures for TensorBoard
    log_every: int = 20  # steps
    on_nan: str = "stop"  # where a loss is no number; "skip": leave that batch out and go on


# How the same network is computed: parameters mean the same under all of it.
COMPUTED = frozenset({"model.dtype", "model.remat", "model.stacked"})

# What a resumed run may change: how long it goes on, how fast it learns, how often it reports, how
# it is computed. Everything else would make the checkpoint's numbers mean something else.
RESUMABLE = COMPUTED | frozenset(
    {
        "steps",
        "optim.learning_rate",
        "checkpoint_every",
        "checkpoint_minutes",
        "keep",
        "eval_every",
        "eval_examples",
        "patience",
        "sample_every",
        "log_every",
        "on_nan",
    }
)


def check(cfg: TrainConfig) -> None:
    """Raises UserError where a setting can mean nothing."""
    if cfg.on_nan not in ("stop", "skip"):
        raise UserError(f"on_nan={cfg.on_nan!r}: say stop or skip")
    if cfg.optim.method not in METHODS:
        raise UserError(f"optim.method={cfg.optim.method!r}: say {', '.join(METHODS)}")
    for name in (
        "batch_size",
        "accumulate",
        "frames",
        "steps",
        "statistics_batches",
        "checkpoint_every",
        "keep",
        "eval_every",
        "eval_examples",
        "sample_every",
        "log_every",
    ):
        if getattr(cfg, name) < 1:
            raise UserError(f"{name}={getattr(cfg, name)}: must be 1 or more")


def check_resumable(saved: dict[str, Any], now: TrainConfig, *, where: str) -> None:
    """Refuse to go on from a checkpoint of another configuration.

    saved: the checkpoint's config as a dict. Raises UserError naming both values.
    """
    # What it does not mention, because it is older than the setting, was as the default is.
    check_same(as_dict(from_dict(saved)), as_dict(now), where=where, but=RESUMABLE)


def check_same(
    saved: dict[str, Any],
    now: dict[str, Any],
    *,
    where: str,
    of: str = "",
    but: frozenset[str] = frozenset(),
) -> None:
    """Compare settings, all `but` some. Raises UserError naming both values of one that differs."""
    before, after = _flat(saved, of), _flat(now, of)
    for name in sorted(before.keys() | after.keys()):
        if name not in but and before.get(name) != after.get(name):
            raise UserError(
                f"{where}: was trained with {name}={before.get(name)}, and the config now says "
                f"{name}={after.get(name)}; use another folder or the same setting"
            )


def as_dict(cfg: TrainConfig) -> dict[str, Any]:
    """As JSON would give it back, so that a saved config compares equal to a live one."""
    return json.loads(json.dumps(dataclasses.asdict(cfg)))


def from_dict(fields: dict[str, Any]) -> TrainConfig:
    """The inverse of `as_dict`. Raises UserError where a field is unknown or missing."""
    task = fields.get("task")
    if task not in TASKS:
        raise UserError(f"a checkpoint of the unknown task {task!r}")
    try:
        model = TASKS[task].config_from_dict(fields["model"])
        return TrainConfig(**{**fields, "model": model, "optim": Optim(**fields["optim"])})
    except (KeyError, TypeError) as error:
        raise UserError(f"a checkpoint's settings cannot be read: {error}") from error


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        nested = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return flat
