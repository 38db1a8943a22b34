"""Where a run's numbers come from: its own last checkpoint, another run's, or the seed."""

import logging
import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mashjax.data.store import Store, decode
from mashjax.errors import UserError
from mashjax.nn.weights import unflatten
from mashjax.tasks import TASKS
from mashjax.training import mesh as meshes
from mashjax.training.checkpoints import (
    Checkpoints,
    Saved,
    flat_arrays,
    folder_in,
    newest,
    restored,
)
from mashjax.training.config import (
    COMPUTED,
    TrainConfig,
    as_dict,
    check_resumable,
    check_same,
    from_dict,
)
from mashjax.training.feed import training_batches
from mashjax.training.step import TrainState, init_state

LOG = logging.getLogger(__name__)


class Best(NamedTuple):
    """The evaluation with the highest score so far."""

    step: int
    score: float


class Start(NamedTuple):
    """What the first step works with; arrays are on every device of the mesh."""

    state: TrainState
    statistics: Any
    best: Best | None


def start(
    cfg: TrainConfig,
    mesh: Mesh,
    checkpoints: Checkpoints,
    *,
    store: Store,
    init_from: str | os.PathLike | None = None,
    init_partial: bool = False,
) -> Start:
    """Find the numbers to begin with. Every process must call it.

    Raises UserError where a checkpoint does not fit the config or the store.
    """
    fresh = init_state(cfg, mesh)
    # 1. The workdir's own newest sound checkpoint: the run goes on as if it had never stopped.
    if (saved := checkpoints.newest()) is not None:
        LOG.info("resuming from step %d of %s", saved.step, checkpoints.directory)
        where = checkpoints.directory
        state, statistics = resume(cfg, saved, fresh, store=store, where=where)
        best = saved.metadata.get("best")
        best = None if best is None else Best(*best)
    # 2. The run that --init_from names: its averaged parameters and its statistics, to fine-tune.
    elif init_from is not None:
        source = newest(folder_in(init_from))
        LOG.info("starting from step %d of %s", source.step, init_from)
        state, statistics = (take_over_partly if init_partial else take_over)(
            cfg, source, fresh, store=store, where=os.fspath(init_from)
        )
        best = None
    # 3. The seed.
    else:
        state, statistics, best = fresh, _statistics(cfg, store), None
    state, statistics = meshes.put_copies(mesh, (state, statistics))
    return Start(state, statistics, best)


def resume(
    cfg: TrainConfig, saved: Saved, state: TrainState, *, store: Store, where: str
) -> tuple[TrainState, Any]:
    """State and statistics out of a checkpoint that fits the config and the store."""
    check_resumable(saved.metadata["config"], cfg, where=where)
    if saved.metadata["store"] != store.manifest_hash:
        raise UserError(
            f"{where}: was trained on the store {saved.metadata['store'][:12]}, and {store.path} "
            f"is {store.manifest_hash[:12]}; use another --workdir or the same --data"
        )
    if saved.step > cfg.steps:
        raise UserError(f"{where}: is at step {saved.step}, beyond steps={cfg.steps}")
    statistics = unflatten(saved.arrays)["statistics"]
    wanted = {**state._asdict(), "statistics": statistics}
    tree = restored(wanted, saved.arrays, where=where)
    return TrainState(**{name: tree[name] for name in TrainState._fields}), statistics


def take_over(
    cfg: TrainConfig, source: Saved, state: TrainState, *, store: Store, where: str
) -> tuple[TrainState, Any]:
    """A fresh state with another run's averaged parameters, and that run's statistics.

    The model must be the same: the parameters mean something only with its features. How its
    examples are augmented may change.
    """
    if source.metadata["task"] != cfg.task:
        raise UserError(f"{where}: is of task={source.metadata['task']}, not of task={cfg.task}")
    saved, now = (as_dict(c)["model"] for c in (from_dict(source.metadata["config"]), cfg))
    same = saved | {name: now[name] for name in now.keys() & {"augment"}}
    check_same(same, now, where=where, of="model.", but=COMPUTED)
    tree = unflatten(source.arrays)
    return _begun_with(tree["ema"], state), tree["statistics"]


def take_over_partly(
    cfg: TrainConfig, source: Saved, state: TrainState, *, store: Store, where: str
) -> tuple[TrainState, Any]:
    """As `take_over`, of what has a place of its name and shape in another model.

    The rest, such as another head, begins fresh, and so do statistics of another shape.
    """
    tree = unflatten(source.arrays)
    own, theirs = flat_arrays(state.params), flat_arrays(tree["ema"])
    fitting = {path for path, x in theirs.items() if path in own and own[path].shape == x.shape}
    if not fitting:
        raise UserError(f"{where}: not one of its parameters fits the model")
    for path in sorted(own.keys() - fitting):
        LOG.info("%s: %s is not taken over and begins fresh", where, path)
    params = unflatten({path: (theirs if path in fitting else own)[path] for path in own})
    statistics = _statistics(cfg, store)
    shapes = [jax.tree.map(np.shape, values) for values in (statistics, tree["statistics"])]
    if shapes[0] == shapes[1]:
        statistics = tree["statistics"]
    return _begun_with(params, state), statistics


def _begun_with(params: Any, state: TrainState) -> TrainState:
    # Two copies, since the step gives the memory of both away.
    params, ema = (jax.tree.map(jnp.array, params) for _ in range(2))
    return state._replace(params=params, ema=ema)


def _statistics(cfg: TrainConfig, store: Store) -> Any:
    batch = training_batches(cfg, store)  # whole batches: the same in every process
    first = (decode(batch(step)) for step in range(cfg.statistics_batches))
    return TASKS[cfg.task].statistics(cfg.model, first)
