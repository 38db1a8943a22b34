"""The training loop, for any task: resume, step, report, evaluate, save."""

import contextlib
import dataclasses
import logging
import math
import os
import pathlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import mashjax
from mashjax.data.batches import batches
from mashjax.data.prefetch import prefetched
from mashjax.data.store import Store, decode, open_store
from mashjax.errors import UserError
from mashjax.nn.weights import unflatten
from mashjax.tasks import TASKS
from mashjax.training import mesh as meshes
from mashjax.training.checkpoints import Checkpoints, Saved, newest, restored
from mashjax.training.config import TrainConfig, as_dict, check_resumable, check_same
from mashjax.training.metrics import MetricsFile
from mashjax.training.step import TrainState, init_state, make_step

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run came to: the steps done, and whether it was asked to stop before its end."""

    step: int
    stopped: bool


def train(
    cfg: TrainConfig,
    *,
    data: str | os.PathLike,
    workdir: str | os.PathLike,
    init_from: str | os.PathLike | None = None,
) -> Outcome:
    """Train until `cfg.steps`, or go on with the run that `workdir` holds.

    init_from: the workdir of another run, whose averaged parameters and statistics a new run
    starts from; its optimiser and its step are not taken over.

    SIGTERM ends the step, saves and returns. Raises UserError if the store or the workdir's
    checkpoint does not fit the config, FloatingPointError when the loss is not a number.
    """
    task, workdir = TASKS[cfg.task], pathlib.Path(workdir)
    store = open_store(data)
    check_store(cfg, store)
    mesh = meshes.data_mesh(cfg.batch_size)
    batch = training_batches(cfg, store, part=meshes.own_part())
    workdir.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(workdir / "checkpoints", keep=cfg.keep)

    # Where the numbers come from: 1. the workdir's own newest sound checkpoint, 2. the run named by
    # init_from, 3. the seed.
    state = init_state(cfg, mesh)
    saved = next(checkpoints.sound(), None)
    if saved is not None:
        state, statistics = resume(cfg, saved, state, store=store, where=str(workdir))
        LOG.info("resuming from step %d of %s", saved.step, checkpoints.directory)
    elif init_from is not None:
        source = newest(pathlib.Path(init_from) / "checkpoints")
        state, statistics = take_over(cfg, source, state, where=str(init_from))
        LOG.info("starting from step %d of %s", source.step, init_from)
    else:
        whole = training_batches(cfg, store)  # the same in every process
        first = range(cfg.statistics_batches)
        statistics = task.statistics(cfg.model, (decode(whole(step)) for step in first))
    state, statistics = jax.device_put((state, statistics), meshes.replicated(mesh))

    metadata = {
        "task": cfg.task,
        "config": as_dict(cfg),
        "store": store.manifest_hash,
        "init_from": None if init_from is None else str(init_from),
        "mashjax_version": mashjax.__version__,
    }
    save = lambda state: checkpoints.save(  # noqa: E731
        int(state.step), {**state._asdict(), "statistics": statistics}, metadata
    )
    validates = store.count("valid") > 0
    if not validates:
        LOG.info("%s has too few songs to hold some back: nothing is scored meanwhile", store.path)
    metrics = MetricsFile(workdir / "metrics.jsonl", resume_step=int(state.step))
    train_step = make_step(cfg, mesh)
    report = Report(cfg, metrics, first=int(state.step))
    # Blocked on in the thread that fetches: what it hands over has arrived.
    fetch = lambda step: jax.block_until_ready(meshes.put_batch(mesh, batch(step)))  # noqa: E731
    steps = range(int(state.step), cfg.steps)
    with (
        _stop_requested() as stop_requested,
        contextlib.ExitStack() as at_the_end,
        prefetched(fetch, steps) as fetched,
    ):
        at_the_end.callback(checkpoints.wait)  # a save under way is finished, whatever happens
        for step in steps:
            started = time.perf_counter()
            sources = next(fetched)
            waited = time.perf_counter() - started
            state, results = train_step(state, statistics, sources)
            if meshes.must_block(mesh):
                jax.block_until_ready(state)
            # The step before is looked at while this one runs.
            report.previous()
            report.later(step + 1, results, waited)
            done = step + 1
            if validates and (done % cfg.eval_every == 0 or done == cfg.steps):
                report.previous()
                scores = evaluate(
                    cfg, state.ema, statistics, store, split="valid", examples=cfg.eval_examples
                )
                metrics.write(done, valid=scores)
                LOG.info("step %d valid %s", done, scores)
            if done % cfg.checkpoint_every == 0 or done == cfg.steps or stop_requested():
                report.previous()  # never save what is not a number
                save(state)
                if stop_requested():
                    LOG.info("asked to stop: saving step %d", done)
                    return Outcome(done, stopped=done < cfg.steps)
    return Outcome(cfg.steps, stopped=False)


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
    cfg: TrainConfig, source: Saved, state: TrainState, *, where: str
) -> tuple[TrainState, Any]:
    """A fresh state with another run's averaged parameters, and that run's statistics.

    The model must be the same: the parameters mean something only with its features. How its
    examples are augmented may change.
    """
    if source.metadata["task"] != cfg.task:
        raise UserError(f"{where}: is of task={source.metadata['task']}, not of task={cfg.task}")
    saved, now = source.metadata["config"]["model"], as_dict(cfg)["model"]
    check_same(saved | {"augment": now["augment"]}, now, where=where, of="model.")
    tree = unflatten(source.arrays)
    # Two copies, since the step gives the memory of both away.
    params, ema = (jax.tree.map(jnp.array, tree["ema"]) for _ in range(2))
    return state._replace(params=params, ema=ema), tree["statistics"]


def check_store(cfg: TrainConfig, store: Store) -> None:
    """Raises UserError where the store's audio is not what the config's model hears."""
    if store.settings.sample_rate != cfg.model.sample_rate:
        raise UserError(
            f"{store.path}: holds audio at {store.settings.sample_rate} Hz, and the config says "
            f"model.sample_rate={cfg.model.sample_rate}"
        )


def training_batches(
    cfg: TrainConfig, store: Store, *, part: tuple[int, int] = (0, 1)
) -> Callable[[int], np.ndarray]:
    """The batch of each step, or this process's part of it; a pure function of (seed, step)."""
    task = TASKS[cfg.task]
    wanted = min(task.read_samples(cfg.model, cfg.frames), store.settings.samples)
    return batches(
        store,
        split="train",
        seed=cfg.seed,
        batch_size=cfg.batch_size,
        samples=max(wanted, task.example_samples(cfg.model, cfg.frames)),
        incoherent=cfg.incoherent,
        part=part,
    )


def evaluate(
    cfg: TrainConfig,
    params: Any,
    statistics: Any,
    store: Store,
    *,
    split: str,
    examples: int | None = None,
) -> dict[str, float]:
    """The task's scores on the first `examples` of a split, or on all of it (None)."""
    total = store.count(split)
    examples = total if examples is None else min(examples, total)
    size = min(cfg.batch_size, max(1, examples))
    batch = batches(
        store,
        split=split,
        seed=cfg.seed,
        batch_size=size,
        samples=TASKS[cfg.task].example_samples(cfg.model, cfg.frames),
    )
    # Batches wrap around at the end of a split; an example counts once.
    parts = (decode(batch(n)[: examples - n * size]) for n in range(-(-examples // size)))
    return TASKS[cfg.task].evaluate(cfg.model, params, statistics, parts)


class Report:
    """Looks at each step's results once they are there: stops at NaN, writes every so often."""

    def __init__(self, cfg: TrainConfig, metrics: MetricsFile, *, first: int):
        self._cfg, self._metrics = cfg, metrics
        self._pending: tuple[int, Any] | None = None
        self._since = (first, time.perf_counter())
        self._waited = 0.0

    def later(self, step: int, results: Any, waited: float) -> None:
        self._pending = (step, results)
        self._waited += waited

    def previous(self) -> None:
        if self._pending is None:
            return
        step, results = self._pending
        self._pending = None
        values = {name: float(value) for name, value in jax.device_get(results).items()}
        if not math.isfinite(values["loss"]):
            raise FloatingPointError(
                f"step {step}: the loss is {values['loss']}; the last checkpoint is from before"
            )
        if step % self._cfg.log_every == 0 or step == self._cfg.steps:
            now, (since, then) = time.perf_counter(), self._since
            steps = max(1, step - since)
            per_second = steps * self._cfg.batch_size / (now - then)
            self._metrics.write(
                step,
                **{name: float(f"{value:.6g}") for name, value in values.items()},
                examples_per_second=round(per_second, 3),
                wait_seconds=round(self._waited / steps, 5),
            )
            shown = " ".join(f"{name} {value:.4g}" for name, value in values.items())
            LOG.info("step %d %s %.3g examples/s", step, shown, per_second)
            self._since, self._waited = (step, now), 0.0


@contextlib.contextmanager
def _stop_requested() -> Iterator[Callable[[], bool]]:
    """Within: SIGTERM only asks to stop, as spot machines do a moment before they vanish."""
    asked = []
    before = signal.signal(signal.SIGTERM, lambda signum, frame: asked.append(signum))
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGTERM, before)
