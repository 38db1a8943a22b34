"""POP909's songs, arranged and rendered in three stems, with what their annotations say."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from mashjax.audio.fluidsynth import render
from mashjax.audio.midi import Part
from mashjax.data.layouts.arrange import BASSES, arrange
from mashjax.data.layouts.midi import read_score
from mashjax.data.layouts.singer import sing

SR = 22050
STEMS = ("lead", "rhythm", "chords")
SOUNDFONT = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclasses.dataclass(frozen=True)
class PopSong:
    """stems [3, samples] at `SR`: the melody, bass and drums, everything else; beats, downbeats:
    seconds; tonic: 0..11 from C, mode: of the key that lasts longest."""

    name: str
    stems: np.ndarray
    beats: np.ndarray
    downbeats: np.ndarray
    tonic: int
    mode: str


def folders() -> list[pathlib.Path]:
    """Those of the songs, sorted."""
    music = pathlib.Path(os.environ.get("MASHJAX_MUSIC", "../shared/music"))
    found = sorted(path.parent for path in music.glob("midi/POP909/*/*.mid"))
    if not found:
        raise SystemExit(f"{music}/midi/POP909: no songs; set MASHJAX_MUSIC")
    return found


def pop_song(
    folder: pathlib.Path,
    *,
    seconds: float,
    cache: pathlib.Path | None = None,
    wanted: Sequence[str] = STEMS,
) -> PopSong:
    """The song's first `seconds`; every second one is sung. What is drawn depends on its name.

    cache: a folder in which rendered stems are kept; wanted: the stems to render, others are
    silent.
    """
    rng = _rng(folder)
    score = read_score(folder)
    lead, backing = arrange(score, rng=rng)
    seconds = min(seconds, float(score.beats[-1]))
    low = [part.drums or part.program in BASSES for part in backing]
    groups = {
        "lead": lead,
        "rhythm": [part for part, is_low in zip(backing, low, strict=True) if is_low],
        "chords": [part for part, is_low in zip(backing, low, strict=True) if not is_low],
    }

    def stem(name: str) -> np.ndarray:
        if name not in wanted:
            return np.zeros(round(seconds * SR), np.float32)
        path = cache and cache / f"{folder.name} {name}.npy"
        if path and path.is_file():
            return np.load(path).astype(np.float32)
        if name == "lead" and int(folder.name) % 2:
            notes = [note for note in score.melody if note.end < seconds]
            y = 0.1 * sing(notes, seconds=seconds, sr=SR, rng=rng)
        else:
            y = _play(groups[name], seconds=seconds)
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, y.astype(np.float16))
        return y

    tonic, mode = _key(folder / "key_audio.txt", seconds=seconds)
    beats, downbeats = score.beats, score.beats[score.downbeats]
    return PopSong(
        name=folder.name,
        stems=np.stack([stem(name) for name in STEMS]),
        beats=beats[beats < seconds],
        downbeats=downbeats[downbeats < seconds],
        tonic=tonic,
        mode=mode,
    )


def has_bass(folder: pathlib.Path) -> bool:
    """Whether the song's arrangement has a bass line."""
    _, backing = arrange(read_score(folder), rng=_rng(folder))
    return any(part.program in BASSES and not part.drums for part in backing)


def _rng(folder: pathlib.Path) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(folder.name.encode()).digest()[:8]))


def _play(parts: list[Part], *, seconds: float) -> np.ndarray:
    if not parts:
        return np.zeros(round(seconds * SR), np.float32)
    cut = [
        dataclasses.replace(
            part,
            notes=[note for note in part.notes if note.end < seconds],
            bends=[bend for bend in part.bends if bend[0] < seconds],
            controls=[control for control in part.controls if control[0] < seconds],
        )
        for part in parts
    ]
    return render(cut, seconds=seconds, sr=SR, soundfont=SOUNDFONT)


def _key(path: pathlib.Path, *, seconds: float) -> tuple[int, str]:
    lasts: dict[str, float] = {}
    for line in path.read_text().splitlines():
        start, end, name = line.split()
        lasts[name] = lasts.get(name, 0.0) + min(float(end), seconds) - min(float(start), seconds)
    name, mode = max(lasts, key=lambda key: lasts[key]).split(":")
    accidental = {"#": 1, "b": -1}.get(name[1:], 0)
    return (PITCH_CLASSES[name[0]] + accidental) % 12, {"maj": "major", "min": "minor"}[mode]
