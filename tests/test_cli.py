import os
import pathlib
import subprocess
import sys

import pytest

from mashjax.__main__ import commands


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_the_commands_are_listed():
    found = commands()
    assert {"mix", "preprocess", "train", "checkpoint", "match"} <= set(found)
    assert all(purpose.endswith(".") for purpose in found.values())
    assert "cli" not in found and "errors" not in found


@pytest.mark.parametrize("command", ["mix", "train"])
def test_help_is_no_failure(command):
    done = run("-m", f"mashjax.{command}", "--help")
    assert done.returncode == 0, done.stderr
    assert f"python -m mashjax.{command}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--nonsense=1",), "nonsense"),
        (("--lead=3", "a.wav", "b.wav"), "lead"),
        (("--max-stretch=3", "a.wav", "b.wav"), "max_stretch"),  # a hyphen is an underscore
        (("--max-stretch=0.1", "no-such.wav", "b.wav"), "no-such.wav: no such file"),
        (("--start1=abc", "a.wav", "b.wav"), "start1"),
        (("only_one.wav",), "needs two songs"),
        (("no.wav", "nor.wav"), "no.wav: no such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(arguments, says, tmp_path):
    done = run("-m", "mashjax.mix", *arguments, f"--out={tmp_path}/x.wav")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and says in done.stderr
    assert list(tmp_path.iterdir()) == []


CACHE = """
import os
from mashjax import cli
cli.use_compile_cache()
print(os.environ.get("JAX_COMPILATION_CACHE_DIR"))
"""


def cache_folder(base: pathlib.Path) -> str:
    return run("-c", CACHE, XDG_CACHE_HOME=str(base)).stdout.strip()


def test_the_compile_cache_is_the_users_alone(tmp_path):
    folder = tmp_path / "mashjax" / "jax"
    assert cache_folder(tmp_path) == str(folder)
    assert folder.stat().st_mode & 0o077 == 0
    folder.chmod(0o777)  # others could plant compiled code here
    assert cache_folder(tmp_path) == "None"
