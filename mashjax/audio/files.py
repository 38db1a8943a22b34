"""Read and write audio files. A written file is whole or it is not there."""

import contextlib
import dataclasses
import errno
import os
import pathlib
import re
import sys
import tempfile
import threading
from collections.abc import Iterator

import numpy as np

from mashjax.errors import UserError

ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
MIN_SECONDS = 2.0  # shorter than one bar: nothing to align
MIN_TRUNCATED_SECONDS = 5.0
_BLOCK = 1 << 16  # frames read or written at a time: long single writes overflow libvorbis' stack
_SUBTYPE = {".wav": "PCM_24", ".flac": "PCM_24", ".ogg": "VORBIS", ".mp3": "MPEG_LAYER_III"}
_LOSSY = (".ogg", ".mp3")
_STDERR = threading.Lock()


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


def read(path: str | os.PathLike, *, stem: bool = False) -> Clip:
    """The whole file (wav, flac, ogg, mp3, and what else libsndfile knows).

    A file that ends early gives what decodes, if that is at least 5 s, and a note.
    stem: the file is one of several that make a song, so it may be silent or short.

    Raises:
      UserError: no such file, not audio, empty, silent, shorter than 2 s, NaN or Inf samples.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name an audio file in it")
    y, sr, promised, cut = _decode(path)
    seconds = y.shape[1] / sr
    # Files without a length header promise up to 0.6 s more than they hold.
    cut = cut or promised - y.shape[1] > 0.75 * sr
    note = ""
    if cut:
        note = f"truncated: only the first {seconds:.1f} s of {path.name} could be decoded"
        if seconds < MIN_TRUNCATED_SECONDS:
            raise UserError(f"{path}: {note}, at least {MIN_TRUNCATED_SECONDS:g} s are needed")
    if y.shape[1] == 0:
        raise UserError(f"{path}: holds no samples")
    if seconds < MIN_SECONDS and not stem:
        raise UserError(f"{path}: lasts {seconds:.2f} s, at least {MIN_SECONDS:g} s are needed")
    if not np.isfinite(y).all():
        raise UserError(f"{path}: holds NaN or infinite samples; export it again")
    if np.abs(y).max() < 1e-5 and not stem:
        raise UserError(f"{path}: is silent")
    if not 8000 <= sr <= 192000:
        raise UserError(f"{path}: has a sample rate of {sr} Hz; convert it to 8000-192000 Hz")
    return Clip(y, sr, note)


def write(path: str | os.PathLike, y: np.ndarray, *, sr: int, exact: bool = False) -> None:
    """Write `y` [channels, samples] to `path`: wholly, or not at all.

    wav and flac hold 24 bits; exact=True (wav only) holds the float32 samples themselves.

    Raises:
      UserError: what `check_output` refuses, and a disk that fills up on the way.
    """
    check_output(path, sr=sr, channels=y.shape[0])
    with replacing(path) as beside:
        encode(beside, y, sr=sr, exact=exact)


def encode(path: str | os.PathLike, y: np.ndarray, *, sr: int, exact: bool = False) -> None:
    """Write `y` [channels, samples] straight into `path`; for use within `replacing`.

    Raises:
      OSError: the file system did not take all of it.
    """
    import soundfile

    ending = pathlib.Path(path).suffix.lower()
    subtype = "FLOAT" if exact and ending == ".wav" else _SUBTYPE[ending]
    try:
        with soundfile.SoundFile(
            path, "w", sr, y.shape[0], subtype, format=_format(ending)
        ) as file:
            for start in range(0, y.shape[1], _BLOCK):
                file.write(y[:, start : start + _BLOCK].T)
    except soundfile.LibsndfileError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def check_output(path: str | os.PathLike, *, sr: int, channels: int) -> None:
    """Refuse, before any work is done, a path that could not be written in the end.

    Raises:
      UserError: unknown ending; the folder is absent or not writable; the path is a
        folder; the format cannot hold this sample rate or number of channels.
    """
    import io

    import soundfile

    path = pathlib.Path(path)
    ending = path.suffix.lower()
    check_ending(path, ENDINGS)
    check_folder(path)
    try:  # libsndfile has no table to ask: opening is the question
        soundfile.SoundFile(
            io.BytesIO(), "w", sr, channels, _SUBTYPE[ending], format=_format(ending)
        ).close()
    except soundfile.LibsndfileError as error:
        raise UserError(
            f"{path}: {ending[1:]} cannot hold {channels} channels at {sr} Hz; use .wav or .flac"
        ) from error


def check_ending(path: str | os.PathLike, endings: tuple[str, ...]) -> None:
    """Raise UserError unless the file name ends in one of `endings`."""
    ending = pathlib.Path(path).suffix.lower()
    if ending not in endings:
        raise UserError(f"{path}: unknown ending {ending or '(none)'!r}; use {', '.join(endings)}")


def check_folder(path: str | os.PathLike) -> None:
    """Raise UserError unless a file could be created at `path`."""
    path = pathlib.Path(path)
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a file")
    if not path.parent.is_dir():
        raise UserError(f"{path}: the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UserError(f"{path}: the folder {path.parent} is not writable")


def is_lossy(path: str | os.PathLike) -> bool:
    """Whether decoding the file gives other samples than were written."""
    return pathlib.Path(path).suffix.lower() in _LOSSY


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A temporary path beside `path`, which takes its place if the block succeeds.

    Raises:
      UserError: the file system refuses (full, read-only, quota).
    """
    path = pathlib.Path(path)
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem[:80]}.", suffix=path.suffix, dir=path.parent
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    os.close(handle)
    beside = pathlib.Path(name)
    try:
        yield beside
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner reads; give what open() would have given.
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o666 & ~umask)
        os.replace(beside, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)


def _decode(path: pathlib.Path) -> tuple[np.ndarray, int, int, bool]:
    """Samples [channels, samples], sample rate, frames the header promised, cut short or not."""
    import soundfile

    if path.stat().st_size == 0:
        raise UserError(f"{path}: is an empty file")
    blocks: list[np.ndarray] = []
    cut = False
    quiet = _quiet_decoder() if path.suffix.lower() == ".mp3" else contextlib.nullcontext()
    with quiet:
        try:
            # As bytes: a name need not be valid in any encoding.
            file = soundfile.SoundFile(os.fsencode(path))
        except soundfile.LibsndfileError as error:
            if not os.access(path, os.R_OK):
                raise UserError(f"{path}: may not be read; check its permissions") from error
            raise UserError(
                f"{path}: is not audio that can be read (wav, flac, ogg, mp3)"
            ) from error
        with file:
            while not cut:
                try:
                    block = file.read(_BLOCK, dtype="float32", always_2d=True)
                except soundfile.LibsndfileError:
                    cut = True  # a broken frame ends the song; `read` says so
                else:
                    if not len(block):
                        break
                    blocks.append(block)
            cut = cut or _ends_early(file.extra_info)
            sr, channels, promised = file.samplerate, file.channels, file.frames
    if not blocks:
        return np.zeros((channels, 0), np.float32), sr, promised, cut
    return np.ascontiguousarray(np.concatenate(blocks).T), sr, promised, cut


def _ends_early(log: str) -> bool:
    """What libsndfile noted while it opened an ogg or wav file that was cut off."""
    if "lacks an end-of-stream" in log:
        return True
    size = re.search(r"^data : (\d+) \(should be (\d+)\)", log, re.MULTILINE)
    # Encoders that write into a pipe leave a size of 0xFFFFFFFF, which promises nothing.
    return size is not None and int(size[2]) < int(size[1]) < 0xFFFFFF00


@contextlib.contextmanager
def _quiet_decoder() -> Iterator[None]:
    """Keep the mp3 decoder's own warnings off stderr: `read` says it in a sentence.

    One at a time: of two threads that exchange the process's stderr, the second would save,
    and put back, what the first one put there.
    """
    with _STDERR:
        sys.stderr.flush()
        saved = os.dup(2)
        devnull = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(devnull, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(devnull)


def _format(ending: str) -> str:
    return ending[1:].upper()
