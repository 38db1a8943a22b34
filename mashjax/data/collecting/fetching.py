"""One address, one audio file: everything that yt-dlp does, and the conversion after it.

libsndfile reads mp3, flac, wav, ogg and opus, so those are preferred where ffmpeg is not
installed. Files are re-encoded only where they come in another format than the wanted one.
"""

import contextlib
import dataclasses
import errno
import os
import pathlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from mashjax.audio import files
from mashjax.audio.resample import resample
from mashjax.data.collecting.addresses import Row, Wanted, is_address
from mashjax.errors import UserError

FORMATS = ("mp3", "flac", "wav", "ogg")
MAX_SECONDS = 75 * 60
"""A whole album of mashups; decoding it takes 4.8 GB of memory at 44.1 kHz in stereo."""
MAX_FETCH_SECONDS = 3600
"""For one address: an endless stream has no other end."""
RETRIES = 3
MP3_MAX_RATE = 48000

_READABLE = "[ext~='^(mp3|flac|wav|ogg|oga|opus|aiff?)$']"
_NEEDS_FFMPEG = ("m4a", "mp4", "webm", "mka", "mkv", "aac", "wma", "3gp", "mov", "ts", "flv")
_LIBSNDFILE_NAMES = {"MP3": "mp3", "FLAC": "flac", "WAV": "wav", "WAVEX": "wav", "OGG": "ogg"}
_HOW_TO_GET_FFMPEG = "install ffmpeg (apt install ffmpeg, brew install ffmpeg) and run this again"
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class Unavailable(Exception):
    """An address that gives no song; the message is the reason, in one line."""


@dataclasses.dataclass(frozen=True)
class Fetched:
    """A whole audio file and what its site says of it; "" is not known.

    seconds: as decoded.
    """

    path: pathlib.Path
    title: str
    artist: str
    uploader: str
    licence: str
    seconds: float


def check_yt_dlp() -> None:
    """Raise UserError unless yt-dlp is installed."""
    try:
        import yt_dlp  # noqa: F401
    except ImportError as error:
        raise UserError(
            "yt-dlp is not installed, which collecting needs: pip install 'mashjax[collect]'"
        ) from error


def list_playlist(address: str, *, limit: int = 0, timeout: float = 20.0) -> list[Row]:
    """The entries of a playlist, an album, a channel's tab, a feed or a page, in its order.

    An address that holds a single song gives that one.

    limit: the first entries only; 0 for all. timeout: seconds without an answer.

    Raises:
      UserError: it is no address, cannot be read, or is empty.
    """
    check_yt_dlp()
    if not is_address(address):
        raise UserError(f"{address!r} is no address; write https://... in full")
    try:
        with _downloader(timeout, noplaylist=False, playlistend=limit or None) as ydl:
            info = ydl.extract_info(address, download=False)
    except Unavailable as error:
        raise UserError(f"{address}: {error}") from error
    entries = info["entries"] if info.get("_type") == "playlist" else [{"url": address}]
    rows: list[Row] = [
        (Wanted(_entry_address(entry, address), entry.get("title") or ""),)
        for entry in entries
        if entry  # None is one that the site hides
    ]
    if not rows:
        raise UserError(f"{address}: is a playlist without entries")
    return rows


def fetch(address: str, folder: pathlib.Path, *, format: str, timeout: float = 20.0) -> Fetched:
    """Download the best audio of `address` into the empty `folder`, as one file of `format`.

    timeout: seconds without an answer, at each of a few tries.

    Raises:
      Unavailable: the address gives no audio, a list, or audio that cannot be used.
      OSError: the disk does not take it.
    """
    ffmpeg = shutil.which("ffmpeg")
    if not is_address(address):
        raise Unavailable("is no address")
    options = {
        "format": "ba/b" if ffmpeg else f"ba{_READABLE}/b{_READABLE}/ba/b",
        "outtmpl": {"default": str(folder).replace("%", "%%") + "/media.%(ext)s"},
        "progress_hooks": [_deadline()],
    }
    with _downloader(timeout, **options) as ydl:
        info = ydl.extract_info(address, download=False)
        _check(info, ffmpeg=bool(ffmpeg))
        info = ydl.process_ie_result(info, download=True)
    media = [pathlib.Path(d["filepath"]) for d in info.get("requested_downloads") or []]
    if not media or not media[0].is_file():
        raise Unavailable("gave no file")
    path, seconds, tags = _convert(media[0], format=format, ffmpeg=ffmpeg)
    return Fetched(
        path=path,
        title=info.get("title") or "",
        artist=_names(info, "artists", "artist", "creators", "creator") or tags.get("artist", ""),
        uploader=_names(info, "uploader", "channel"),
        licence=_names(info, "license") or tags.get("license", ""),
        seconds=seconds,
    )


class _Silent:
    """A logger that yt-dlp talks to in vain: what matters, it raises."""

    def debug(self, message: str) -> None: ...
    def info(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...
    def error(self, message: str) -> None: ...


@contextlib.contextmanager
def _downloader(timeout: float, **options: Any) -> Iterator[Any]:
    import yt_dlp

    fixed = {
        "logger": _Silent(),
        "quiet": True,
        "noprogress": True,
        "color": "never",
        "noplaylist": True,
        "extract_flat": "in_playlist",  # entries are looked at when it is their turn
        "socket_timeout": timeout,
        "retries": RETRIES,
        "fragment_retries": RETRIES,
        "extractor_retries": 1,
        "skip_unavailable_fragments": False,  # a song with a hole in it is none
        "continuedl": False,  # the rest of what may meanwhile be another file
        "fixup": "never",  # it is decoded next, whatever its container
        "updatetime": False,
    }
    try:
        with yt_dlp.YoutubeDL({**fixed, **options}) as ydl:
            yield ydl
    except Unavailable:
        raise
    except yt_dlp.utils.YoutubeDLError as error:
        _raise_if_disk(error)
        raise Unavailable(_reason(error)) from error
    except Exception as error:  # one of yt-dlp's 1,800 sites has changed: not the others' fault
        _raise_if_disk(error)
        raise Unavailable(f"yt-dlp failed: {type(error).__name__}: {_reason(error)}") from error


def _deadline() -> Any:
    start = time.monotonic()

    def check(progress: dict[str, Any]) -> None:
        if time.monotonic() - start > MAX_FETCH_SECONDS:
            raise Unavailable(f"did not end within {MAX_FETCH_SECONDS} s; is it a live stream?")

    return check


def _check(info: dict[str, Any], *, ffmpeg: bool) -> None:
    if info.get("_type") == "playlist":
        raise Unavailable("is a list of several; give it to --playlist")
    if info.get("is_live") or info.get("live_status") == "is_upcoming":
        raise Unavailable("is a live stream")
    if (info.get("duration") or 0) > MAX_SECONDS:
        raise Unavailable(_too_long(info["duration"]))
    if not ffmpeg and info.get("ext") in _NEEDS_FFMPEG:
        raise Unavailable(f"comes as {info['ext']} only: {_HOW_TO_GET_FFMPEG}")


def _convert(
    media: pathlib.Path, *, format: str, ffmpeg: str | None
) -> tuple[pathlib.Path, float, dict[str, str]]:
    """The file in the wanted format, its seconds, and its tags."""
    import soundfile

    try:
        have, seconds, tags = _header(media)
    except soundfile.LibsndfileError as error:
        if not ffmpeg:
            raise Unavailable("is not audio that can be read without ffmpeg") from error
        media = _decode(media, ffmpeg)
        have, seconds, tags = _header(media)
    if seconds > MAX_SECONDS:
        raise Unavailable(_too_long(seconds))
    media = media.rename(media.with_name(f"whole.{have}"))
    try:
        clip = files.read(media)
        if clip.note:
            raise UserError(f"{media}: {clip.note}")
        if have == format:
            return media, clip.seconds, tags
        target = media.with_name(f"converted.{format}")
        y, sr = clip.y, clip.sr
        if format == "mp3" and sr > MP3_MAX_RATE:
            y, sr = resample(y, sr_in=sr, sr_out=MP3_MAX_RATE), MP3_MAX_RATE
        files.check_output(target, sr=sr, channels=y.shape[0])
    except UserError as error:
        raise Unavailable(str(error).removeprefix(f"{media}: ")) from error
    files.encode(target, y / max(1.0, np.abs(y).max()), sr=sr)
    return target, clip.seconds, tags


def _header(media: pathlib.Path) -> tuple[str, float, dict[str, str]]:
    """Format, seconds and tags of a file that libsndfile knows."""
    import soundfile

    with files._quiet_decoder(), soundfile.SoundFile(media) as file:
        format = _LIBSNDFILE_NAMES.get(file.format, "audio")
        return format, file.frames / file.samplerate, file.copy_metadata()


def _decode(media: pathlib.Path, ffmpeg: str) -> pathlib.Path:
    decoded = media.with_name("decoded.wav")
    command = [ffmpeg, "-nostdin", "-v", "error", "-protocol_whitelist", "file"]
    command += ["-i", f"file:{media}", "-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav"]
    done = subprocess.run(
        [*command, f"file:{decoded}"], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        if os.strerror(errno.ENOSPC) in done.stderr:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise Unavailable("holds no audio that ffmpeg can read")
    return decoded


def _entry_address(entry: dict[str, Any], playlist: str) -> str:
    # An entry that the site has described in full has its media in `url`, and its own page,
    # which outlives that, in `webpage_url`: unless it has none but the playlist's.
    page = entry.get("webpage_url")
    return page if page and page != playlist else entry.get("url") or playlist


def _names(info: dict[str, Any], *keys: str) -> str:
    for key in keys:
        if info.get(key):
            return ", ".join(info[key]) if isinstance(info[key], list) else str(info[key])
    return ""


def _too_long(seconds: float) -> str:
    return f"lasts {seconds / 60:.0f} min; up to {MAX_SECONDS // 60} min are taken"


def _raise_if_disk(error: BaseException) -> None:
    """Raise the refusal of the file system that made yt-dlp give up, if that is why."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _DISK_ERRORS:
            raise OSError(cause.errno, os.strerror(cause.errno)) from error
        cause = cause.__cause__ or cause.__context__


def _reason(error: BaseException) -> str:
    """yt-dlp's message without its prefix "ERROR: [site] id:" and its request to report bugs."""
    text = " ".join(str(error).split())
    text = re.sub(r"^ERROR: ", "", text)
    text = re.sub(r"^\[[^]]+\] (\S+: )?", "", text)
    text = re.sub(r"HTTPS?Connection\(.*?\): ", "", text)
    text = re.split(r" \(caused by|; please report this issue|\. *(Use|See) +--?\w", text)[0]
    return text[:200] or "failed without a reason"
