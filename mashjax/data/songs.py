"""Songs made ready for pairing: levelled sources on disk, an analysis, a split."""

import dataclasses
import hashlib
import pathlib
from typing import Any, Protocol

import numpy as np

from mashjax.audio.loudness import loudness
from mashjax.data.store import SCALE, SPLITS, Settings, file_sha256
from mashjax.data.writing import no_room_is_an_error
from mashjax.errors import UserError
from mashjax.music.analysis import Analysis, analyse

HOP_SECONDS = 0.1
TEST_SHARE, VALID_SHARE = 0.05, 0.05


class SongSource(Protocol):
    """What a layout makes of a song's folder."""

    @property
    def id(self) -> str: ...

    @property
    def files(self) -> dict[str, list[pathlib.Path]]: ...

    def load(self, *, sr: int) -> tuple[np.ndarray, np.ndarray]:
        """(lead, backing), float32 mono [samples] each, equally long."""


@dataclasses.dataclass(frozen=True)
class Song:
    """A song whose sources wait on disk.

    sources: path of an int16 .npy [2, samples], lead and backing; times `scale`
    they are at the settings' loudness together.
    lead_active, backing_active: bool [hops of HOP_SECONDS], where each can be heard.
    """

    id: str
    sources: str
    scale: float
    analysis: Analysis
    tempo_bpm: float
    lead_active: np.ndarray
    backing_active: np.ndarray
    about: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Rejected:
    """A song or pair that is left out, and why."""

    id: str
    why: str


def prepare_song(source: SongSource, *, folder: str, settings: Settings) -> Song | Rejected:
    """Load, level and analyse a song, and write its sources into `folder`."""
    sr = settings.sample_rate
    try:
        lead, backing = source.load(sr=sr)
        if len(lead) < 2 * settings.samples:
            raise UserError(f"lasts {len(lead) / sr:.1f} s; needs {2 * settings.seconds:g} s")
        mixture = lead + backing
        level = loudness(mixture[None], sr=sr)
        if not np.isfinite(level):
            raise UserError("is silent")
        analysis = analyse(mixture, sr=sr)
        tempo = analysis.tempo_bpm
        if tempo is None:
            raise UserError("has no beat that could be found")
    except UserError as error:
        return Rejected(source.id, str(error))
    gain = 10 ** ((settings.loudness - level) / 20)
    y = np.stack([lead, backing]) * np.float32(gain)
    scale = float(np.abs(y).max()) / SCALE
    path = pathlib.Path(folder, hashlib.sha256(source.id.encode()).hexdigest() + ".npy")
    with no_room_is_an_error(path):
        np.save(path, np.round(y / scale).astype(np.int16))
    about = {
        "seconds": len(lead) / sr,
        "gain_db": 20 * float(np.log10(gain)),
        "files": {
            part: [{"name": p.name, "sha256": file_sha256(p)} for p in paths]
            for part, paths in source.files.items()
        },
    }
    return Song(
        id=source.id,
        sources=str(path),
        scale=scale,
        analysis=analysis,
        tempo_bpm=tempo,
        lead_active=active(y[0], sr=sr),
        backing_active=active(y[1], sr=sr),
        about=about,
    )


def active(y: np.ndarray, *, sr: int) -> np.ndarray:
    """Where `y` [samples] can be heard: bool [hops], within 25 dB of its own loud parts."""
    hop = round(HOP_SECONDS * sr)
    power = (y[: len(y) // hop * hop].reshape(-1, hop).astype(np.float64) ** 2).mean(-1)
    loud = np.percentile(power, 95) if power.size else 0.0
    return power > max(loud * 10**-2.5, 1e-6)


def split_songs(ids: list[str]) -> dict[str, str]:
    """Song id -> "train", "valid" or "test", by a hash of the id.

    5 % go to test and 5 % to valid, whatever other songs there are, so that a
    song keeps its split when others come. Where that is fewer than six songs,
    too few to find pairs among, the next by hash are added, up to a sixth of
    all. Fewer than twelve songs are all for training.
    """
    ordered = sorted(ids, key=lambda i: (_unit_hash(i), i))
    hashes = np.array([_unit_hash(i) for i in ordered])
    least = min(6, len(ids) // 6)
    if len(ids) < 12:
        return dict.fromkeys(ids, SPLITS[0])
    test = max(least, int((hashes < TEST_SHARE).sum()))
    valid = max(least, int((hashes < TEST_SHARE + VALID_SHARE).sum()) - test)
    names = [SPLITS[2]] * test + [SPLITS[1]] * valid + [SPLITS[0]] * (len(ids) - test - valid)
    return dict(zip(ordered, names, strict=True))


def _unit_hash(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
