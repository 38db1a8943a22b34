"""A clone to launch from, and a Google Cloud that plays back what a test says."""

import dataclasses
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

ROOT = pathlib.Path(__file__).parents[2]

# Writes down each call, then answers with the first reply whose pattern is in the command line.
# The last reply of a pattern stays; a call that nobody expects ends with 99.
GCLOUD = f"""#!{sys.executable} -IS
import fcntl, json, os, sys
folder = os.environ["STUB"]
line = " ".join(sys.argv[1:])
with open(folder + "/lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    with open(folder + "/calls", "a") as calls:
        calls.write(json.dumps(sys.argv[1:]) + "\\n")
    with open(folder + "/replies") as file:
        replies = json.load(file)
    for pattern, queue in replies:
        if pattern in line:
            reply = queue.pop(0) if len(queue) > 1 else queue[0]
            break
    else:
        reply = {{"out": "", "err": "nobody expects gcloud " + line, "code": 99}}
    with open(folder + "/replies", "w") as file:
        json.dump(replies, file)
sys.stdout.write(reply["out"])
sys.stderr.write(reply["err"])
sys.exit(reply["code"])
"""


def reply(out: str = "", *, err: str = "", code: int = 0) -> dict[str, str | int]:
    return {"out": out + "\n" if out else "", "err": err + "\n" if err else "", "code": code}


@dataclasses.dataclass
class Cloud:
    """Where launch/tpu_vm.sh runs: `clone` is its repository, `home` its $HOME."""

    clone: pathlib.Path
    home: pathlib.Path
    stub: pathlib.Path

    def on(self, pattern: str, *replies: str | dict[str, str | int]) -> None:
        """Calls that contain the pattern get these replies, one after the other.

        Patterns are tried in the order in which they were said; a string is an output.
        """
        path = self.stub / "replies"
        known = json.loads(path.read_text())
        queue = [reply(one) if isinstance(one, str) else one for one in replies or ("",)]
        path.write_text(json.dumps([*known, [pattern, queue]]))

    def tpu_vm(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.clone / "launch/tpu_vm.sh", *arguments],
            capture_output=True,
            text=True,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": f"{self.stub / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.home),
            "STUB": str(self.stub),
            "MASHJAX_PROJECT": "my-project",
            "MASHJAX_ZONE": "us-central2-b",
            "MASHJAX_BUCKET": "gs://my-bucket",
            "MASHJAX_POLL": "0",
            **more,
        }

    def calls(self) -> list[list[str]]:
        """What gcloud was called with, in order, without `gcloud` itself."""
        path = self.stub / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def changes(self) -> list[str]:
        """The calls that are no questions, as "create", "ssh setup" and so on."""
        names = []
        for call in self.calls():
            verb = next(w for w in call if w in ("create", "delete", "ssh", "scp", *QUESTIONS))
            if verb == "ssh":
                said = next(w for w in call if w.startswith("--command="))
                words = shlex.split(said.removeprefix("--command=bash mashjax_worker.sh "))
                if words[0] == "state":
                    continue
                verb = f"ssh {words[0]}"
            if verb not in QUESTIONS:
                names.append(verb)
        return names


QUESTIONS = ("list", "list-instances")


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A small repository with the launch folder in it."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "launch", folder / "launch")
    (folder / "configs").mkdir()
    (folder / "configs/mashup.py").write_text("# the committed config\n")
    (folder / "mashjax").mkdir()
    (folder / "mashjax/__init__.py").write_text("")
    (folder / "pyproject.toml").write_text("")
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *arguments], check=True, env=environment)
    return folder


@pytest.fixture
def cloud(clone: pathlib.Path, tmp_path: pathlib.Path) -> Cloud:
    home, stub = tmp_path / "home", tmp_path / "stub"
    home.mkdir()
    (stub / "bin").mkdir(parents=True)
    (stub / "calls").write_text("")
    (stub / "replies").write_text("[]")
    executable(stub / "bin/gcloud", GCLOUD)
    return Cloud(clone=clone, home=home, stub=stub)


@pytest.fixture
def machine_there(cloud: Cloud) -> Callable[..., None]:
    """A function: from now on there is a machine of this state, by a queued resource."""

    def say(*states: str, queue: str = "ACTIVE") -> None:
        cloud.on("queued-resources list", queue)
        cloud.on("tpu-vm list", *(states or ("READY",)))

    return say


def executable(path: pathlib.Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
