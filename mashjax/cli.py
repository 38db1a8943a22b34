"""What every command shares: flags, exit codes, and the compile cache."""

import io
import logging
import os
import pathlib
import signal
import stat
import sys
from collections.abc import Callable, Sequence

import absl.logging
from absl import app, flags

from mashjax.errors import UserError


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Parse the flags, call `main(arguments)`, exit.

    0: done. 2: a mistake of the user's, told in one line on stderr. 130: interrupted.
    Everything else is a fault of the program and ends with its traceback.
    """
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):  # file names that no encoding knows are shown escaped
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    use_compile_cache()

    def guarded(argv: Sequence[str]) -> None:
        # JAX and Orbax tell a lot that is not the user's; what matters, they raise. Absl sets
        # its own levels when flags are parsed, so this comes after.
        absl.logging.set_verbosity(absl.logging.WARNING)
        logging.getLogger("absl").setLevel(logging.ERROR)
        try:
            main(argv[1:])
        except UserError as error:
            _refuse(str(error))
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(130)

    app.run(guarded, flags_parser=_parse)


def use_compile_cache() -> None:
    """Let JAX keep compiled functions in a folder that only this user can write to.

    Compiled code is run as it is read, so a folder that others may write to is not used.
    """
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(base) / "mashjax" / "jax"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
        others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if status.st_uid != os.getuid() or others_write or not os.access(folder, os.W_OK):
            return
    except OSError:  # no home, a read-only home: a cache is a convenience
        return
    for option, value in {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.1,
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }.items():
        if option.upper() not in os.environ:
            os.environ[option.upper()] = str(value)  # read when JAX is imported
            if "jax" in sys.modules:
                sys.modules["jax"].config.update(option, value)


class Progress:
    """One line per stage on a terminal, nothing when piped."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __call__(self, stage: str) -> None:
        if self._shown:
            print(stage, file=sys.stderr, flush=True)


def _parse(argv: list[str]) -> list[str]:
    app.define_help_flags()
    try:
        return flags.FLAGS([argv[0], *map(_with_underscores, argv[1:])])
    except flags.Error as error:
        _refuse(f"{error}".replace("\n", " "))
    except SystemExit:  # absl ends --help with 1; asking for help is no failure
        sys.exit(0)
    raise AssertionError("unreachable")


def _with_underscores(argument: str) -> str:
    """--max-stretch=0.1 is --max_stretch=0.1."""
    if not argument.startswith("--"):
        return argument
    name, *value = argument[2:].split("=", 1)
    return "--" + "=".join([name.replace("-", "_"), *value])


def _refuse(message: str) -> None:
    program = pathlib.Path(sys.argv[0]).stem
    sys.stderr.write(f"mashjax.{program}: {message}\n")  # at once: threads may still be writing
    sys.exit(2)


def _terminate(signum, frame) -> None:
    raise KeyboardInterrupt
