"""A clone to launch from, and a Google Cloud that plays back what a test says."""

import dataclasses
import os
import pathlib
import shlex
import shutil
import subprocess
from collections.abc import Callable

import pytest

ROOT = pathlib.Path(__file__).parents[2]

# Writes down each call, then answers with the next reply of the first pattern that is in the
# command line; its last reply stays. A call that nobody expects ends with 99. (In bash, since a
# test of babysit makes forty calls.)
GCLOUD = r"""#!/usr/bin/env bash
exec 9>>"$STUB/calls"
flock 9
printf '%s\0' "$@" $'\n' >&9
for queue in "$STUB"/replies/*; do
  [[ "$*" == *"$(<"$queue/pattern")"* ]] || continue
  number=$(<"$queue/next")
  [ ! -d "$queue/$((number + 1))" ] || echo $((number + 1)) >"$queue/next"
  out=$(<"$queue/$number/out") err=$(<"$queue/$number/err")
  [ -z "$out" ] || echo "$out"
  [ -z "$err" ] || echo "$err" >&2
  exit "$(<"$queue/$number/code")"
done
echo "nobody expects gcloud $*" >&2
exit 99
"""


@dataclasses.dataclass
class Reply:
    out: str = ""
    err: str = ""
    code: int = 0


@dataclasses.dataclass
class Cloud:
    """Where launch/tpu_vm.sh runs: `clone` is its repository, `home` its $HOME."""

    clone: pathlib.Path
    home: pathlib.Path
    stub: pathlib.Path

    def on(self, pattern: str, *replies: str | Reply) -> None:
        """Calls that contain the pattern get these replies, one after the other.

        Patterns are tried in the order in which they were said; a string is an output.
        """
        queue = self.stub / "replies" / f"{len(list((self.stub / 'replies').iterdir())):03}"
        queue.mkdir()
        (queue / "pattern").write_text(pattern)
        (queue / "next").write_text("0")
        for number, one in enumerate(replies or ("",)):
            (queue / str(number)).mkdir()
            reply = Reply(one) if isinstance(one, str) else one
            for name, value in dataclasses.asdict(reply).items():
                (queue / str(number) / name).write_text(str(value))

    def forget(self) -> None:
        """No reply is known any more."""
        shutil.rmtree(self.stub / "replies")
        (self.stub / "replies").mkdir()

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
        calls = (self.stub / "calls").read_text().split("\0\n\0")
        return [call.split("\0") for call in calls if call]

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
    (stub / "replies").mkdir()
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
