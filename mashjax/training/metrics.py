"""Metrics as JSON lines: one object per line, its step first."""

import json
import pathlib
from typing import Any


class MetricsFile:
    """`metrics.jsonl` of a run; lines after the step it resumes from are dropped."""

    def __init__(self, path: pathlib.Path, *, resume_step: int):
        self._path = path
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _step(line) <= resume_step]
            path.write_text("".join(f"{line}\n" for line in kept))

    def write(self, step: int, **values: Any) -> None:
        with open(self._path, "a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):  # the line that a kill cut short
        return float("inf")
