"""What is said of a run while it trains: a line every so often, on the screen and in files."""

import contextlib
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from mashjax.tasks import TASKS
from mashjax.training.board import Board
from mashjax.training.config import TrainConfig
from mashjax.training.metrics import MetricsFile

LOG = logging.getLogger(__name__)
SKIPS_IN_A_ROW = 20


class Report:
    """Looks at each step's results once they are there: at NaNs, and at the time they took."""

    def __init__(
        self,
        cfg: TrainConfig,
        *,
        first: int,
        metrics: MetricsFile | None,
        board: Board | None,
        songs: Callable[[int], list[str]],
        utilisation: Callable[[float], float | None],
    ):
        """first: steps done before. metrics, board: where to write; None in all processes but one.

        songs: of a step's batch. utilisation: of the devices, at so many seconds per step.
        """
        task = TASKS[cfg.task]
        self._cfg, self._metrics, self._board = cfg, metrics, board
        self._songs, self._utilisation = songs, utilisation
        self._seconds_per_example = task.example_samples(cfg.model, cfg.frames) / (
            cfg.model.sample_rate
        )
        self._pending: tuple[int, Any] | None = None
        self._first, self._skipped, self._skipped_in_a_row = first, 0, 0
        self._began = time.perf_counter()
        self._since = (first, self._began)
        self._waited = 0.0

    def later(self, step: int, results: Any, waited: float) -> None:
        """Take the results of `step`, which may still be computed, for which data was waited."""
        self._pending = (step, results)
        self._waited += waited

    def previous(self) -> None:
        """Look at the results that were taken last.

        Raises FloatingPointError if they are no numbers, and the config does not say to skip them.
        """
        if self._pending is None:
            return
        step, results = self._pending
        self._pending = None
        values = {name: float(value) for name, value in jax.device_get(results).items()}
        if all(map(math.isfinite, values.values())):
            self._skipped_in_a_row = 0
        else:
            self._not_finite(step, values)
        if step == self._first + 1:
            # The step that compiles: what comes after it is timed without it.
            LOG.info("the first step took %.1f s", time.perf_counter() - self._began)
            self._since, self._waited = (step, time.perf_counter()), 0.0
        if step % self._cfg.log_every == 0 or step == self._cfg.steps:
            self._say(step, values)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What is done within does not count as the steps' time."""
        started = time.perf_counter()
        try:
            yield
        finally:
            step, since = self._since
            self._since = (step, since + time.perf_counter() - started)

    def scored(self, step: int, scores: dict[str, float], *, best: bool) -> None:
        if self._metrics is not None:
            self._metrics.write(step, valid=scores)
            self._metrics.flush()
        if self._board is not None:
            self._board.scalars(step, scores, group="valid")
        shown = " ".join(f"{name} {value:.4g}" for name, value in scores.items())
        LOG.info("step %d valid %s%s", step, shown, " (best)" if best else "")

    def _not_finite(self, step: int, values: dict[str, float]) -> None:
        odd = ", ".join(f"{n} is {v}" for n, v in values.items() if not math.isfinite(v))
        songs = ", ".join(self._songs(step - 1))
        said = f"step {step} (after {step - 1} whose numbers were finite): {odd}; songs: {songs}"
        self._skipped += 1
        self._skipped_in_a_row += 1
        if self._cfg.on_nan == "stop":
            raise FloatingPointError(
                f"{said}. Nothing was saved since; on_nan=skip would leave such batches out"
            )
        if self._skipped_in_a_row == SKIPS_IN_A_ROW:
            raise FloatingPointError(f"{said}. So were {SKIPS_IN_A_ROW} steps in a row")
        LOG.warning("%s. The step is left out", said)

    def _say(self, step: int, values: dict[str, float]) -> None:
        since, then = self._since
        now = time.perf_counter()
        self._since, waited, self._waited = (step, now), self._waited, 0.0
        written = {name: float(f"{value:.6g}") for name, value in values.items()}
        if self._skipped:
            written["skipped"] = self._skipped
        shown = _line(values)
        if step > since:
            seconds = (now - then) / (step - since)
            per_second = self._cfg.batch_size / seconds
            utilisation = self._utilisation(seconds)
            written |= {
                "examples_per_second": float(f"{per_second:.4g}"),
                "audio_seconds_per_second": float(f"{per_second * self._seconds_per_example:.4g}"),
                "wait_seconds": round(waited / (step - since), 5),
            }
            if utilisation is not None:
                written["mfu"] = round(utilisation, 4)
            shown += (
                f" | {per_second:.3g} examples/s"
                f" {per_second * self._seconds_per_example:.3g} s of audio/s"
                + ("" if utilisation is None else f" MFU {100 * utilisation:.0f} %")
                + f" waits {100 * waited / max(now - then, 1e-9):.1f} %"
                + f" {clock((self._cfg.steps - step) * seconds)} left"
            )
        LOG.info("step %d/%d %s", step, self._cfg.steps, shown)
        if self._metrics is not None:
            self._metrics.write(step, **written)
        if self._board is not None:
            self._board.scalars(step, written, group="train")


@contextlib.contextmanager
def progress_bar(*, first: int, steps: int, shown: bool) -> Iterator[Callable[[], object]]:
    """Within: call the function after each step. A bar on a terminal, nothing when piped."""
    if not (shown and sys.stderr.isatty()):
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(initial=first, total=steps, unit="step", dynamic_ncols=True) as bar:
        yield bar.update


def log_to_stderr() -> None:
    """Show what a run says: of several processes, what the first one says, and others' warnings."""
    log = logging.getLogger("mashjax")
    log.setLevel(logging.INFO if jax.process_index() == 0 else logging.WARNING)
    log.addHandler(_LogHandler())
    log.propagate = False


class _LogHandler(logging.Handler):
    """One plain line per record on stderr, above the progress bar if there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


def _line(values: dict[str, float]) -> str:
    """The loss, what it is made of, and the rate: what belongs on a line."""
    parts = {n: v for n, v in values.items() if not n.startswith(("loss", "learning", "gradient"))}
    shown = {"loss": values["loss"], **parts, "rate": values["learning_rate"]}
    return " ".join(f"{name} {value:.4g}" for name, value in shown.items())


def clock(seconds: float) -> str:
    """A duration as 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
