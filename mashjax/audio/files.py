"""Read and write audio files. A file is whole or it is not there."""

import dataclasses
import pathlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class Clip:
    """Audio in memory.

    y: float32 samples [channels, samples]; sr: sample rate in Hz;
    note: what was odd about the file ("truncated: ..."), or "".
    """

    y: np.ndarray
    sr: int
    note: str = ""

    @property
    def seconds(self) -> float:
        return self.y.shape[-1] / self.sr


def read(path: str | pathlib.Path) -> Clip:
    raise NotImplementedError
