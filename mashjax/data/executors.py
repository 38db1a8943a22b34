"""Where jobs run: in this process, in others of this machine, or on a Dask cluster."""

import concurrent.futures
import concurrent.futures.process
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mashjax.errors import UserError


@contextlib.contextmanager
def executor(workers: int, *, scheduler: str = "") -> Iterator[concurrent.futures.Executor]:
    """An executor whose waiting jobs are dropped when the block fails.

    Args:
      workers: processes of this machine; 1 works in this one.
      scheduler: address of a Dask scheduler (tcp://host:port), to run there instead.

    Raises:
      UserError: the scheduler does not answer, or `distributed` is not installed.
    """
    if scheduler:
        with _cluster(scheduler) as pool:
            yield pool
    elif workers == 1:
        yield _Here()
    else:
        # Workers are one per core; a BLAS that starts threads in each only gets in their way.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")
        pool = concurrent.futures.ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
        )
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run_all(
    pool: concurrent.futures.Executor, jobs: Iterable[tuple[Callable, tuple, dict]], *, ahead: int
) -> Iterator[Any]:
    """Results of jobs (function, args, kwargs) as they come, at most `ahead` jobs at a time.

    Raises:
      UserError: a process died.
    """
    waiting: set[concurrent.futures.Future] = set()
    jobs = iter(jobs)
    try:
        while True:
            while len(waiting) < ahead and (job := next(jobs, None)) is not None:
                function, args, kwargs = job
                waiting.add(pool.submit(function, *args, **kwargs))
            if not waiting:
                return
            done, waiting = concurrent.futures.wait(
                waiting, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                yield future.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed, perhaps for want of memory: "
            "run the same command again to go on, with fewer --workers"
        ) from error


class _Here(concurrent.futures.Executor):
    """Runs each job at once, in this process."""

    def submit(self, fn, /, *args, **kwargs):
        future: concurrent.futures.Future = concurrent.futures.Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextlib.contextmanager
def _cluster(scheduler: str) -> Iterator[concurrent.futures.Executor]:
    try:
        import distributed
    except ImportError as error:
        raise UserError("--scheduler needs Dask: pip install 'mashjax[cluster]'") from error
    try:
        client = distributed.Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"--scheduler={scheduler} does not answer: {error}") from error
    with client:
        # A job whose worker dies is run elsewhere; it is its own heir, since what it writes is
        # whole or absent, and the same each time.
        pool = client.get_executor(pure=False, retries=2)
        try:
            yield pool
        except (distributed.KilledWorker, distributed.CancelledError) as error:
            raise UserError(
                f"the cluster at {scheduler} lost its workers: run the same command again to go on"
            ) from error
        finally:
            pool.shutdown(wait=False)  # what waits is cancelled


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it: a killed parent would be waited for forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
