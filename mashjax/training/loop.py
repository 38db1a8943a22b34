"""The training loop, for any task: start or resume, step, report, evaluate, save."""

import contextlib
import dataclasses
import logging
import os
import pathlib
import time
from typing import Any

import jax
import numpy as np

import mashjax
from mashjax.data.location import local_folder
from mashjax.data.prefetch import prefetched
from mashjax.data.store import Store, open_store
from mashjax.tasks import TASKS
from mashjax.training import config, distributed
from mashjax.training import mesh as meshes
from mashjax.training.board import Board
from mashjax.training.checkpoints import Checkpoints, folder_in
from mashjax.training.config import TrainConfig, as_dict
from mashjax.training.feed import fitted, in_order, training_batches
from mashjax.training.metrics import MetricsFile
from mashjax.training.profiling import profiled
from mashjax.training.reporting import Report, progress_bar
from mashjax.training.scoring import evaluate
from mashjax.training.speed import Utilisation
from mashjax.training.start import Best, start
from mashjax.training.step import make_step

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
    init_partial: bool = False,
    profile_steps: int = 0,
    tensorboard: bool = False,
) -> Outcome:
    """Train until `cfg.steps`, or go on with the run that `workdir` holds.

    Of several processes, each calls this with the same arguments; the first one writes.

    Args:
      cfg: the settings.
      data: a store, a folder or an address.
      workdir: where checkpoints and metrics go, a folder or an address.
      init_from: the workdir of another run, whose averaged parameters and statistics a new run
        starts from; its optimiser and its step are not taken over.
      init_partial: take over only what fits, of a run of another model.
      profile_steps: how many steps to trace into `workdir`/profile.
      tensorboard: write curves, sounds and pictures into `workdir`/tensorboard.

    SIGTERM ends the step, saves and returns. Raises UserError if the store or the workdir's
    checkpoint does not fit the config, FloatingPointError when the loss is not a number.
    """
    with distributed.stopping() as stop_requested, contextlib.ExitStack() as within:
        task, workdir = TASKS[cfg.task], os.fspath(workdir)
        config.check(cfg)
        store = open_store(data)
        cfg = fitted(cfg, store)
        mesh = meshes.data_mesh(cfg.batch_size, accumulate=cfg.accumulate)
        whole = training_batches(cfg, store)
        batch = training_batches(cfg, store, part=meshes.own_part())
        checkpoints = Checkpoints(folder_in(workdir), keep=cfg.keep)
        state, statistics, best = start(
            cfg, mesh, checkpoints, store=store, init_from=init_from, init_partial=init_partial
        )
        first, writes = int(state.step), jax.process_index() == 0
        if writes and (folder := local_folder(workdir)) is not None:
            folder.mkdir(parents=True, exist_ok=True)
        metrics = MetricsFile(workdir, resume_step=first) if writes else None
        board = Board(workdir, resume_step=first) if writes and tensorboard else None
        validates = store.count("valid") > 0
        if not validates:
            LOG.info(
                "%s has too few songs to hold some back: nothing is scored meanwhile", store.path
            )

        train_step = make_step(cfg, mesh)
        # Blocked on in the thread that fetches: what it hands over has arrived.
        fetch = lambda step: jax.block_until_ready(meshes.put_batch(mesh, batch(step)))  # noqa: E731
        sources = jax.ShapeDtypeStruct(whole.shape, np.int16)
        report = Report(
            cfg,
            first=first,
            metrics=metrics,
            board=board,
            songs=whole.songs,
            utilisation=Utilisation(mesh, train_step, state, statistics, sources),
        )
        metadata = {
            "task": cfg.task,
            "config": as_dict(cfg),
            "store": store.manifest_hash,
            "init_from": None if init_from is None else pathlib.PurePath(init_from).name,
            "mashjax_version": mashjax.__version__,
        }
        if _best_for_too_long(cfg, best, first):
            LOG.info("%s ended early at step %d: its score got no better", workdir, first)
            return Outcome(first, stopped=False)
        saved_at = time.monotonic()
        if board is not None:
            within.callback(board.close)
        if metrics is not None:
            within.callback(metrics.flush)
        within.callback(checkpoints.wait)  # a save under way is finished, whatever happens
        profile = within.enter_context(profiled(workdir, steps=profile_steps, first=first))
        advance = within.enter_context(progress_bar(first=first, steps=cfg.steps, shown=writes))
        steps = range(first, cfg.steps)
        fetched = within.enter_context(prefetched(fetch, steps))
        for done in range(first + 1, cfg.steps + 1):
            started = time.perf_counter()
            sources = next(fetched)
            waited = time.perf_counter() - started
            state, results = train_step(state, statistics, sources)
            if meshes.must_block(mesh):
                jax.block_until_ready(state)
            # The step before is looked at while this one runs.
            report.previous()
            report.later(done, results, waited)
            profile(done, results)
            advance()

            stopped, last = stop_requested(done), done == cfg.steps
            score, is_best = None, False
            if validates and (done % cfg.eval_every == 0 or last):
                report.previous()
                with report.paused():
                    ema, own = meshes.own_copies((state.ema, statistics))
                    scores = evaluate(
                        cfg, ema, own, store, split="valid", examples=cfg.eval_examples
                    )
                score = meshes.of_the_first(scores[task.SCORE])
                is_best = best is None or score > best.score
                if is_best:
                    best = Best(done, score)
                report.scored(done, scores, best=is_best)
                last = last or _best_for_too_long(cfg, best, done)
            if board is not None and validates and (done % cfg.sample_every == 0 or last):
                with report.paused():
                    _show_sample(cfg, board, done, state.ema, statistics, store)
            overdue = 0 < 60 * cfg.checkpoint_minutes < time.monotonic() - saved_at
            if done % cfg.checkpoint_every == 0 or overdue or is_best or last or stopped:
                report.previous()  # never save what is not a number
                arrays = {**state._asdict(), "statistics": statistics}
                checkpoints.save(done, arrays, {**metadata, "best": best}, score=score)
                saved_at = time.monotonic()
            if last or stopped:
                if not last:
                    LOG.info("asked to stop: saving step %d", done)
                elif done < cfg.steps:
                    LOG.info("ending early: %d scores were no better", cfg.patience)
                return Outcome(done, stopped=not last)
    return Outcome(cfg.steps, stopped=False)


def _best_for_too_long(cfg: TrainConfig, best: Best | None, done: int) -> bool:
    if best is None or not cfg.patience:
        return False
    return (done - best.step) // cfg.eval_every >= cfg.patience


def _show_sample(
    cfg: TrainConfig, board: Board, step: int, ema: Any, statistics: Any, store: Store
) -> None:
    """The first example of the valid split, as the task makes it heard."""
    example = next(in_order(cfg, store, split="valid", examples=1))
    sounds = TASKS[cfg.task].samples(cfg.model, *meshes.own_copies((ema, statistics)), example)
    board.sounds(step, sounds, sample_rate=cfg.model.sample_rate)
