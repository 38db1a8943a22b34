"""What TensorBoard shows of a run: curves, and one validation example to hear and to see."""

import logging
import os
from typing import Any

import numpy as np

from mashjax.data.location import local_folder
from mashjax.errors import UserError

LOG = logging.getLogger(__name__)


class Board:
    """Writes event files into `workdir`/tensorboard, with tensorboardX (the extra `board`)."""

    def __init__(self, workdir: str, *, resume_step: int):
        """resume_step: what an earlier run wrote after it is hidden."""
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise UserError(
                "--tensorboard needs tensorboardX: pip install 'mashjax[board]'"
            ) from error
        folder = local_folder(workdir)
        if folder is None:
            raise UserError(
                f"--tensorboard: {workdir} is no folder; event files go to folders only"
            )
        self._writer = SummaryWriter(
            os.fspath(folder / "tensorboard"), purge_step=resume_step + 1, flush_secs=10
        )

    def scalars(self, step: int, values: dict[str, Any], *, group: str) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def sounds(self, step: int, sounds: dict[str, np.ndarray], *, sample_rate: int) -> None:
        """Each sound (mono, within [-1, 1]) and its spectrogram."""
        for name, y in sounds.items():
            self._writer.add_audio(f"sample/{name}", y, step, sample_rate=sample_rate)
            self._writer.add_image(f"sample/{name}", picture(y), step, dataformats="HW")

    def close(self) -> None:
        self._writer.close()


def picture(y: np.ndarray, *, range_db: float = 70.0, rows: int = 257) -> np.ndarray:
    """A spectrogram as grey levels in [0, 1], [rows, frames]: low frequencies at the bottom.

    White is the loudest bin, black `range_db` below it.
    """
    from scipy.signal import stft

    n_fft = 2 * (rows - 1)
    magnitude = np.abs(stft(y, nperseg=n_fft, noverlap=n_fft // 2)[2])
    decibels = 20 * np.log10(magnitude / max(float(magnitude.max()), 1e-9) + 1e-9)
    return np.clip(1 + decibels / range_db, 0, 1)[::-1].astype(np.float32)
