"""Processes that meet, and stop together, whichever of them is asked to."""

import os
import signal
import socket
import threading

import pytest

from mashjax.errors import UserError
from mashjax.training import distributed

LAST = 1_000_000
STEPS = f"""
import sys
import jax, jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from mashjax.errors import UserError
from mashjax.training.distributed import initialise, stopping
if sys.argv[1] == "meet":
    initialise()
mesh = jax.make_mesh((jax.device_count(),), ("data",))
rows = jax.make_array_from_callback(
    (jax.device_count(),), NamedSharding(mesh, PartitionSpec("data")), lambda index: jnp.ones(1)
)
total = jax.jit(jnp.sum)
with stopping() as asked:
    for step in range(1, {LAST}):
        float(total(rows))
        if step == 1:
            print("training", flush=True)
        if asked(step):
            break
        if sys.argv[2:] == [str(jax.process_index())]:
            raise UserError("it fails")
print(jax.process_index(), jax.process_count(), jax.device_count(), "stopped after", step)
"""


def until_it_trains(process):
    for line in process.stdout:  # gloo, too, writes there
        if line == "training\n":
            return
    raise AssertionError(process.stderr.read())


def ended(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.splitlines()[-1].split(" stopped after ")


def by_slurm(environments):
    """What srun sets; JAX makes a port of the job's number, unless it is told one."""
    port = int(environments[0]["JAX_COORDINATOR_ADDRESS"].partition(":")[2])
    common = {
        "SLURM_JOB_ID": "1",
        "JAX_COORDINATOR_PORT": str(port),
        "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_NTASKS": "2",
    }
    return [common | {"SLURM_PROCID": f"{n}", "SLURM_LOCALID": f"{n}"} for n in range(2)]


@pytest.mark.parametrize(("variables", "asked"), [(list, 0), (by_slurm, 1)])
def test_two_processes_stop_after_the_same_step(start_python, meeting_place, variables, asked):
    environments = variables(meeting_place(2))
    processes = [start_python("-c", STEPS, "meet", devices=2, **env) for env in environments]
    for process in processes:
        until_it_trains(process)
    processes[asked].send_signal(signal.SIGTERM)
    (first, after), (second, also_after) = map(ended, processes)
    assert (first, second) == ("0 2 4", "1 2 4")  # process, processes, devices
    assert 1 < int(after) == int(also_after) < LAST


def test_two_that_do_not_meet_do_not_stop_together(start_python):
    """The control of the test above: what stops the other one is that they met."""
    processes = [start_python("-c", STEPS, "alone", devices=2) for _ in range(2)]
    for process in processes:
        until_it_trains(process)
    processes[0].send_signal(signal.SIGTERM)
    assert ended(processes[0])[0] == "0 1 2"
    assert processes[1].poll() is None
    processes[1].send_signal(signal.SIGTERM)
    assert ended(processes[1])[0] == "0 1 2"


def test_one_that_fails_does_not_wait_for_the_others(start_python, meeting_place):
    """They are in the middle of a step, which they cannot end without it."""
    processes = [
        start_python("-c", STEPS, "meet", "1", devices=2, **env) for env in meeting_place(2)
    ]
    until_it_trains(processes[0])
    error = processes[1].communicate(timeout=60)[1]  # JAX would let it wait for 300 s
    assert processes[1].returncode == 2
    assert error.endswith("UserError: it fails\n")


def test_one_process_is_asked_by_sigterm_and_only_within():
    before = signal.getsignal(signal.SIGTERM)
    with distributed.stopping() as asked:
        assert not asked(1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked(2) and asked(3)
    assert signal.getsignal(signal.SIGTERM) is before
    with distributed.stopping() as asked:
        assert not asked(4)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("host:1234", "2", None), "JAX_PROCESS_ID is not set, though JAX_COORDINATOR_ADDRESS and"),
        ((None, None, "0"), "JAX_COORDINATOR_ADDRESS is not set, though JAX_PROCESS_ID: set all"),
        (("host:1234", "2", "2"), "JAX_PROCESS_ID=2 and JAX_NUM_PROCESSES=2: of N processes"),
        (("host:1234", "two", "0"), "JAX_NUM_PROCESSES=two"),
        (("host", "2", "0"), "JAX_COORDINATOR_ADDRESS=host: say HOST:PORT"),
        (("127.0.0.1:1", "2", "1"), "process 1 cannot reach process 0 at .*127.0.0.1:1 .*refused"),
        (("127.0.0.1:99999", "2", "0"), "port 99999 of .* cannot be listened on here"),
    ],
)
def test_what_is_missing_is_named(monkeypatch, values, said):
    for name, value in zip(distributed.VARIABLES, values, strict=True):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"^--distributed: .*{said}") as refusal:
        distributed.initialise(patience=0)
    assert "\n" not in str(refusal.value)


def test_nothing_said_is_named(start_python):
    """In a process of its own: JAX looks first whether devices have been touched."""
    code = "from mashjax.training.distributed import initialise; initialise(patience=0)"
    process = start_python("-c", code, **dict.fromkeys(distributed.VARIABLES, ""))
    said = process.communicate(timeout=60)[1].splitlines()[-1]
    assert "UserError: --distributed: this is neither Cloud TPU nor Slurm" in said
    assert said.endswith(", ".join(distributed.VARIABLES))


def test_a_port_in_use_is_named(monkeypatch):
    with socket.create_server(("", 0)) as taken:
        values = (f"127.0.0.1:{taken.getsockname()[1]}", "2", "0")
        for name, value in zip(distributed.VARIABLES, values, strict=True):
            monkeypatch.setenv(name, value)
        with pytest.raises(UserError, match=r"cannot be listened on here .*in use.*another one"):
            distributed.initialise(patience=0)


def test_the_first_process_may_come_late(meeting_place):
    address = meeting_place()[1]["JAX_COORDINATOR_ADDRESS"]
    host, port = address.split(":")
    listening = threading.Event()

    def come_late():
        with socket.create_server((host, int(port))) as late:
            listening.set()
            late.accept()[0].close()

    thread = threading.Timer(0.5, come_late)
    thread.start()
    distributed._check_address(address, 1, patience=60)
    assert listening.is_set()
    thread.join()
