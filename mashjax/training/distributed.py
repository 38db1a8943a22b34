"""Several processes that train as one: how they meet, and how they agree on when to stop."""

import atexit
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils

from mashjax.errors import UserError

LOG = logging.getLogger(__name__)
VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def initialise(*, patience: int = 300) -> None:
    """Meet the other processes. Call it once, before anything else touches a device.

    Where they are, how many, and which one this is: from the environment variables
    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, or, where none of them is set,
    from Cloud TPU, Slurm or Open MPI, as JAX finds it out.

    patience: seconds to wait for the others.

    Raises UserError naming what to set.
    """
    found = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    if found:
        address, count, own = _from_variables(found)
        LOG.info("process %d of %d meets the others at %s", own, count, address)
        _check_address(address, own, patience)
        jax.distributed.initialize(
            address,
            count,
            own,
            cluster_detection_method="deactivate",
            initialization_timeout=patience,
        )
    else:
        try:
            jax.distributed.initialize(initialization_timeout=patience)
        except ValueError as error:  # what it says of a place that it knows nothing about
            raise UserError(
                "--distributed: this is neither Cloud TPU nor Slurm, so nothing says where the "
                f"other processes are: set {', '.join(VARIABLES)}"
            ) from error
    LOG.info("%d processes, %d devices", jax.process_count(), jax.device_count())


@contextlib.contextmanager
def stopping() -> Iterator[Callable[[int], bool]]:
    """Within: SIGTERM only asks to stop, as spot machines do a moment before they vanish.

    Gives the function `asked`. Call it once after every step, in every process: `asked(step)` says
    whether all of them are to stop after `step`, for whichever of them got the signal.

    Of several processes, one that leaves it by an exception will end without waiting for the
    others; they end when they miss it, after 100 s at most.
    """
    if jax.distributed.is_initialized():
        # JAX has taken SIGTERM over: it tells the others, and they settle on a step ahead of all.
        try:
            yield multihost_utils.reached_preemption_sync_point
        except BaseException as error:
            code = {UserError: 2, KeyboardInterrupt: 130}.get(type(error), 1)  # as in mashjax.cli
            atexit.register(_leave, code)
            raise
        return
    received = []
    before = signal.signal(signal.SIGTERM, lambda signum, frame: received.append(signum))
    try:
        yield lambda step: bool(received)
    finally:
        signal.signal(signal.SIGTERM, before)


def _from_variables(found: dict[str, str]) -> tuple[str, int, int]:
    """(address of the first process, number of processes, this one's number)."""
    for name in VARIABLES:
        if name not in found:
            others = " and ".join(other for other in VARIABLES if other in found)
            raise UserError(f"--distributed: {name} is not set, though {others}: set all three")
    address, count, own = (found[name] for name in VARIABLES)
    if not (count.isdecimal() and own.isdecimal() and int(own) < int(count)):
        raise UserError(
            f"--distributed: JAX_PROCESS_ID={own} and JAX_NUM_PROCESSES={count}: of N processes, "
            "each is one of 0 to N - 1"
        )
    if not address.rpartition(":")[2].isdecimal():
        raise UserError(
            f"--distributed: JAX_COORDINATOR_ADDRESS={address}: say HOST:PORT, of process 0"
        )
    return address, int(count), int(own)


def _check_address(address: str, own: int, patience: int) -> None:
    """Where JAX cannot meet at the address, it ends the process with no more than a stack trace."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if own == 0:
        try:
            with socket.socket() as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("", int(port)))
        except (OSError, OverflowError) as error:
            raise UserError(
                f"--distributed: port {port} of JAX_COORDINATOR_ADDRESS={address} cannot be "
                f"listened on here ({error}): choose another one"
            ) from error
        return
    until = time.monotonic() + patience
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except (OSError, OverflowError) as error:
            if time.monotonic() > until:
                raise UserError(
                    f"--distributed: process {own} cannot reach process 0 at "
                    f"JAX_COORDINATOR_ADDRESS={address} ({error}): start it, or mend the address"
                ) from error
        time.sleep(0.2)


def _leave(code: int) -> None:
    """End before JAX does, which would wait 300 s for the others, who wait for this one."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
