"""launch/tpu/worker.sh, as it runs in the home folder of a worker; uv and Python are stubs."""

import os
import pathlib
import signal
import subprocess
import tarfile
import time

import pytest

from .conftest import ROOT, executable

# The training of these tests: says what it was called with, then does what the file `act` says.
PYTHON = """#!/usr/bin/env bash
[ "$1" = -m ] || { echo "mashjax 1 jax 2 libtpu 3"; exit; }
printf '%s\\n' "$PWD" "$@" >"$HOME/called"
. "$HOME/act"
"""
UV = """#!/usr/bin/env bash
[ "$1" != --version ] || { echo "uv 0.13.8 (abc 2026)"; exit; }
echo "uv $*" >>"$HOME/installed"
[ "$1" != venv ] || { mkdir -p "${@: -1}/bin"; cp "$HOME/python" "${@: -1}/bin/python"; }
"""
CURL = """#!/usr/bin/env bash
echo "curl $*" >>"$HOME/installed"
echo 'mkdir -p "$UV_INSTALL_DIR"; cp "$HOME/uv" "$UV_INSTALL_DIR"' >"${@: -1}"
"""


class Home:
    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.environment = {"PATH": f"{path}/bin:/usr/bin:/bin", "HOME": str(path)}
        (path / "bin").mkdir()
        executable(path / "python", PYTHON)
        executable(path / "uv", UV)
        executable(path / "bin/curl", CURL)
        executable(path / "bin/sleep", "#!/bin/sh\n")  # its pauses are for networks
        (path / "mashjax_worker.sh").write_text((ROOT / "launch/tpu/worker.sh").read_text())
        self.pack("pyproject.toml")

    def pack(self, *names: str) -> None:
        with tarfile.open(self.path / "mashjax.tar.gz", "w:gz") as archive:
            for name in names:
                (self.path / name).write_text("")
                archive.add(self.path / name, name)

    def worker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "mashjax_worker.sh", *arguments],
            cwd=self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def state(self) -> str:
        return self.worker("state").stdout.removeprefix("mashjax-training: ").strip()

    def state_after_running(self) -> str:
        for _ in range(600):
            if (state := self.state()) != "running":
                return state
            time.sleep(0.05)
        raise AssertionError("the training runs for ever")

    def installed(self) -> list[str]:
        return (self.path / "installed").read_text().splitlines()


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def ready(home):
    assert home.worker("setup").returncode == 0
    return home


def test_setup_brings_its_own_python_once(home):
    assert home.worker("setup").stdout == "mashjax 1 jax 2 libtpu 3\n"
    fetch = f"curl -LsSf https://astral.sh/uv/0.13.8/install.sh -o {home.path}/install_uv.sh"
    venv = f"uv venv --quiet --python 3.12 {home.path}/mashjax-env"
    install = f"uv pip install --quiet --python {home.path}/mashjax-env/bin/python"
    install += f" --reinstall-package mashjax {home.path}/mashjax[tpu]"
    assert home.installed() == [fetch, venv, install]
    assert home.worker("setup").returncode == 0
    assert home.installed() == [fetch, venv, install, install]


def test_setup_replaces_the_old_source(home):
    home.worker("setup")
    home.pack("mashjax-1-py3-none-any.whl")
    home.worker("setup")
    assert home.installed()[-1].endswith("/mashjax/mashjax-1-py3-none-any.whl[tpu]")
    assert [path.name for path in (home.path / "mashjax").iterdir()] == [
        "mashjax-1-py3-none-any.whl"
    ]


@pytest.mark.parametrize(("faults", "code"), [(2, 0), (3, 1)])
def test_setup_tries_three_times(home, faults, code):
    uv = UV.replace('echo "uv', 'if [ "$1" = pip ]; then echo x >>"$HOME/faults"; fi\necho "uv')
    uv += f'[ "$1" != pip ] || [ "$(wc -l <"$HOME/faults")" -gt {faults} ]\n'
    executable(home.path / "uv", uv)
    assert home.worker("setup").returncode == code


@pytest.mark.parametrize(
    ("act", "state"),
    [
        ("echo starting; echo 'done: step 7'", "done"),
        ("echo starting; echo 'stopped at step 3'", "stopped"),
        ("echo bad >&2; exit 2", "failed 2"),
        ("kill -SEGV $$", "failed 139"),
        ("kill -KILL $PPID; exit 0", "stopped"),  # what starts it is killed: nobody wrote an end
    ],
)
def test_a_training_ends_as_it_says(ready, act, state):
    (ready.path / "act").write_text(act)
    assert ready.state() == "none"
    assert ready.worker("start", "--config=c.py", "--note=it's a $HOME").returncode == 0
    assert ready.state_after_running() == state
    assert (ready.path / "called").read_text().splitlines() == [
        *(f"{ready.path}/mashjax", "-m", "mashjax.train", "--config=c.py", "--note=it's a $HOME"),
    ]


def test_a_running_training_is_not_started_twice(ready):
    (ready.path / "act").write_text('read -r word <"$HOME/gate"; echo "done: $word"')
    os.mkfifo(ready.path / "gate")
    ready.worker("start")
    assert ready.state() == "running"
    assert ready.worker("start").stdout == "is running already\n"
    (ready.path / "gate").write_text("step 1\n")
    assert ready.state_after_running() == "done"
    assert ready.worker("log", "5").stdout == "done: step 1\n"


def test_a_number_that_another_process_has_is_not_the_training(ready):
    (ready.path / "mashjax-run").mkdir()
    (ready.path / "mashjax-run/pid").write_text(f"{os.getpid()}\n")
    assert ready.state() == "stopped"


def test_the_end_of_ssh_does_not_end_the_training(ready):
    (ready.path / "act").write_text('read -r word <"$HOME/gate"; echo "done: $word"')
    os.mkfifo(ready.path / "gate")
    shell = subprocess.Popen(
        ["env", "--default-signal=HUP", "bash", "-c", "bash mashjax_worker.sh start; read -r _"],
        cwd=ready.path,
        env=ready.environment,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    while not (ready.path / "mashjax-run/pid").exists() or ready.state() != "running":
        time.sleep(0.05)
    os.killpg(shell.pid, signal.SIGHUP)
    shell.communicate()
    assert ready.state() == "running"
    (ready.path / "gate").write_text("step 1\n")
    assert ready.state_after_running() == "done"


def test_a_second_training_goes_on_in_the_same_log(ready):
    for act in ("echo 1 >&2; echo 'stopped at step 1'", "echo 2 >&2; echo 'done: step 2'"):
        (ready.path / "act").write_text(act)
        ready.worker("start")
        ready.state_after_running()
    assert ready.state() == "done"
    log = "1\nstopped at step 1\n2\ndone: step 2\n"
    assert ready.worker("log", "100").stdout == log
    assert ready.worker("log", "1").stdout == "done: step 2\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["start"], "run setup first"),
        (["log", "9"], "there is no log yet"),
        (["dance"], "what is dance?"),
    ],
)
def test_what_cannot_be_done_says_why(home, arguments, message):
    done = home.worker(*arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
