"""A job's own process: python -m mashjax.service.worker, asked and answering in lines of JSON.

The first line of stdin is {"work", "arguments", "names", "limits"}; stdin then stays open as long
as the server lives. Answers are {"stage": TEXT} and at last {"done": RESULT} or {"refused": WHY}.
"""

import contextlib
import json
import os
import pathlib
import resource
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from mashjax.cli import use_compile_cache
from mashjax.errors import UserError

NICENESS = 5  # the answers of the service go first
_BLOCK = 1 << 16  # frames
_MAGIC = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa")
_FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MPEG", "MP3")


def decode(source: str, out: str, *, seconds: float) -> dict[str, Any]:
    """What a stranger's file holds, as a flac of our own; memory does not grow with it."""
    import numpy as np
    import soundfile

    with open(source, "rb") as file:
        # libsndfile knows formats that open other files beside the one they are in.
        if not file.read(4).startswith(_MAGIC):
            raise UserError("is no wav, mp3, flac or ogg file")
    try:
        with soundfile.SoundFile(source) as file:
            sr, channels = file.samplerate, file.channels
            if file.format not in _FORMATS:
                raise UserError("is no wav, mp3, flac or ogg file")
            if channels > 2 or not 8000 <= sr <= 192000:
                raise UserError(f"has {channels} channels at {sr} Hz; 1 or 2 at 8000-192000 serve")
            frames, peak = 0, 0.0
            with soundfile.SoundFile(out, "w", sr, channels, "PCM_24", format="FLAC") as flac:
                while len(y := file.read(_BLOCK, dtype="float32", always_2d=True)):
                    frames += len(y)
                    if frames > seconds * sr or not np.isfinite(y).all():
                        raise UserError(f"is longer than {seconds / 60:g} minutes, or no sound")
                    peak = max(peak, float(np.abs(y).max()))
                    flac.write(np.clip(y, -1, 1))
    except soundfile.LibsndfileError as error:
        raise UserError("cannot be decoded; is it a whole wav, mp3, flac or ogg file?") from error
    if frames < 2 * sr or peak < 1e-5:
        raise UserError("is silent, or shorter than 2 seconds")
    return {"seconds": frames / sr}


def describe(music: str, library: str, *, progress: Callable[[str], None]) -> dict[str, Any]:
    """A library of the one song in a folder."""
    from mashjax.library.database import open_library
    from mashjax.library.indexing import index

    progress("finding its parts")
    with contextlib.closing(open_library(library, create=True)) as opened:
        summary = index(music, opened)
    if summary.left_out:
        raise UserError(summary.left_out[0].why)
    return {"segments": summary.segments}


def mix(
    songs: list[str],
    titles: list[str],
    parts: list[dict[str, Any]],
    match: dict[str, Any],
    out: str,
    *,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """A mashup of a part of each of two songs; its report, beside it, has titles for paths.

    parts: see `segment_to`; match: the fields of a Match.
    """
    from mashjax.library.arranging import Choice, play
    from mashjax.library.comparing import Match
    from mashjax.mixing.pipeline import Options
    from mashjax.service.pairs import segment_from

    part, partner = (segment_from(sent) for sent in parts)
    choice = Choice(part, partner, pathlib.Path(songs[1]), Match(**match))
    place = pathlib.Path(out)
    report = play(pathlib.Path(songs[0]), [choice], out=place, options=Options(), progress=progress)
    for song, title in zip(report["songs"], titles, strict=True):
        song["path"] = title
    report["set"][0]["partner"]["path"] = titles[1]
    report["output"]["path"] = place.name
    place.with_suffix(".json").write_text(json.dumps(report), encoding="utf-8")
    return {}


_WORK: dict[str, Callable[..., dict[str, Any]]] = {
    "decode": decode,
    "describe": describe,
    "mix": mix,
}


def main() -> None:
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    for name, value in request["limits"].items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    os.nice(NICENESS)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nobody else's words among the answers
    use_compile_cache()

    def answer(**line: Any) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    arguments = request["arguments"]
    if request["work"] != "decode":
        arguments["progress"] = lambda stage: answer(stage=stage)
    try:
        done = _WORK[request["work"]](**arguments)
    except UserError as error:
        return answer(refused=_without_paths(str(error), request["names"]))
    except MemoryError:
        return answer(refused="needs too much memory")
    answer(done=done)


def _without_paths(message: str, names: dict[str, str]) -> str:
    """What a client may be told: songs by their titles, and no other place."""
    for path, name in sorted(names.items(), key=lambda pair: -len(pair[0])):
        message = message.replace(path, name)
    return " ".join(
        pathlib.PurePath(w).name if w.startswith("/") else w for w in message.split(" ")
    )


def _end_with_the_server() -> None:
    """stdin ends when the server does, however that ends."""
    os.read(sys.stdin.fileno(), 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
