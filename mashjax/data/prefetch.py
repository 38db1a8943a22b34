"""Make what the next steps need while this one runs."""

import collections
import concurrent.futures
import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def prefetched(
    make: Callable[[int], T], steps: Iterable[int], *, depth: int = 2
) -> Iterator[Iterator[T]]:
    """Within: an iterator over make(step) of all `steps`, made up to `depth` ahead.

    One thread makes them, in order. What `make` raises is raised where its result would have come;
    after that, or when the block is left early, whatever way, no more are begun, and the one being
    made is waited for: nothing works on in a process that is about to end.

    Args:
      make: for instance, reads a batch and puts it on the device.
      steps: its arguments.
      depth: how many results wait at most, besides the one that is in use.
    """
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        coming = (thread.submit(make, step) for step in steps)
        waiting = collections.deque(itertools.islice(coming, depth))

        def results() -> Iterator[T]:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(itertools.islice(coming, 1))
                yield result

        try:
            yield results()
        finally:
            thread.shutdown(wait=False, cancel_futures=True)
