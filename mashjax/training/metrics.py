"""Metrics as JSON lines: one object per line, its step first."""

import json
from typing import Any

from mashjax.data.location import local_folder, no_room_is_an_error, open_location, read_file

NAME = "metrics.jsonl"


class MetricsFile:
    """`metrics.jsonl` of a run; lines after the step it resumes from are dropped.

    In a folder, a line is there once it is written. In a bucket, where nothing can be appended to,
    all of them are there after `flush`.
    """

    def __init__(self, workdir: str, *, resume_step: int):
        """workdir: a folder, made if need be, or an address."""
        self._where, self._files = workdir, open_location(workdir)
        self._folder = local_folder(workdir)
        before = (read_file(self._files, NAME) or b"").decode(errors="replace").splitlines()
        self._lines = [line for line in before if _step(line) <= resume_step]
        self._changed = True
        self.flush()

    def write(self, step: int, **values: Any) -> None:
        line = json.dumps({"step": step, **values})
        self._lines.append(line)
        self._changed = True
        if self._folder is not None:
            with no_room_is_an_error(self._where), open(self._folder / NAME, "a") as file:
                file.write(f"{line}\n")

    def flush(self) -> None:
        """Write all of them anew, at once, where that is needed."""
        if not self._changed:
            return
        with no_room_is_an_error(self._where):
            self._files.write(NAME, "".join(f"{line}\n" for line in self._lines)).result()
        self._changed = False


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):  # the line that a kill cut short
        return float("inf")
