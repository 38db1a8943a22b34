"""A trace of a few steps, for xprof and TensorBoard's profiler."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import jax

from mashjax.data.location import local_folder
from mashjax.errors import UserError

LOG = logging.getLogger(__name__)
WARM_UP = 3  # steps before the trace: the first one compiles, the next ones fill caches


@contextlib.contextmanager
def profiled(workdir: str, *, steps: int, first: int) -> Iterator[Callable[[int, Any], None]]:
    """Within: call the function after each step, with its number and its results.

    Traces `steps` steps into `workdir`/profile, from `WARM_UP` after the `first` on; 0: none.
    A trace under way is ended when the block is left.
    """
    folder = local_folder(workdir)
    if steps and folder is None:
        raise UserError(f"--profile_steps: {workdir} is no folder; traces go to folders only")
    tracing = False

    def stop() -> None:
        nonlocal tracing
        if tracing:
            jax.profiler.stop_trace()
            tracing = False
            LOG.info("traced %d steps; look at them with: xprof %s/profile", steps, workdir)

    def after(done: int, results: Any) -> None:
        nonlocal tracing
        if not steps:
            return
        if done == first + WARM_UP:
            jax.block_until_ready(results)
            jax.profiler.start_trace(str(folder / "profile"))  # type: ignore[operator]
            tracing = True
        elif done == first + WARM_UP + steps:
            jax.block_until_ready(results)
            stop()

    try:
        yield after
    finally:
        stop()
