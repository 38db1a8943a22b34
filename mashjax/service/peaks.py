"""A song's outline, as its waveform is drawn; kept in memory once it has been computed."""

import collections
import os
import pathlib
import threading
from typing import Any

import numpy as np
from fastapi import HTTPException

COLUMNS = 1600
KEPT = 512  # songs
_AT_ONCE = threading.BoundedSemaphore(2)


class Peaks:
    """Outlines of files; a changed file has another one."""

    def __init__(self) -> None:
        self._kept: collections.OrderedDict[tuple, dict[str, Any]] = collections.OrderedDict()

    def of(self, path: pathlib.Path) -> dict[str, Any]:
        """seconds, and the largest magnitude of each of at most COLUMNS stretches of equal length.

        Raises:
          HTTPException: 404, the file can no longer be read.
        """
        try:
            status = os.stat(path)
        except OSError as error:
            raise HTTPException(404, "the song's file is gone") from error
        name = (path, status.st_size, status.st_mtime_ns)
        found = self._kept.get(name)
        if found is None:
            with _AT_ONCE:
                found = self._kept[name] = self._kept.get(name) or outline(path)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found


def outline(path: pathlib.Path) -> dict[str, Any]:
    """See `Peaks.of`; memory does not grow with the file."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            hop = max(1, -(-file.frames // COLUMNS))
            peaks = [
                float(np.abs(block).max())
                for block in file.blocks(hop, dtype="float32", always_2d=True)
            ]
            seconds = file.frames / file.samplerate
    except (soundfile.LibsndfileError, OSError) as error:
        raise HTTPException(404, "the song's file can no longer be decoded") from error
    loudest = max([1e-9, *peaks])
    return {"seconds": round(seconds, 3), "peaks": [round(peak / loudest, 3) for peak in peaks]}
