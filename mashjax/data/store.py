"""The store that training reads: aligned song pairs as audio, checked against a manifest.

A store is a folder::

    MANIFEST.json             what is inside, from what and how; written last
    train/ valid/ test/       one zarr3 array each: int16 [example, 4, samples]

The four sources of an example are lead 1, backing 1, lead 2 and backing 2, on
one beat grid and in compatible keys; lead 1 over backing 2 is the label. Every
example is one zstd + crc32c chunk, so a flipped bit is an error when it is
read; a chunk that is missing reads as `FILL`, which no example contains.

This module and `batches` are all of `data` that a training machine needs.
"""

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

import numpy as np
import tensorstore as ts

from mashjax.errors import UserError

FORMAT = "mashjax-store"
VERSION = 1
MANIFEST = "MANIFEST.json"
SPLITS = ("train", "valid", "test")
SOURCES = ("lead1", "backing1", "lead2", "backing2")
SCALE = 32767.0
FILL = -32768
"""int16 has no NaN: samples are written within +-32767, so this one means 'never written'."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What made a store; equal settings over equal songs give an equal store."""

    layout: str = "stems"
    sample_rate: int = 22050  # Hz
    seconds: float = 12.0  # length of an example
    seed: int = 0
    pairs_per_song: int = 8  # partners asked for per song
    examples_per_pair: int = 2  # excerpts cut from one pair's overlap, at most
    max_tempo_change: float = 0.10  # pairs further apart (octaves folded) are not tried
    loudness: float = -18.0  # LUFS of each whole song, lead and backing together
    soundfont: str = ""  # sha256 of the midi layout's soundfont
    mashjax_version: str = ""

    @property
    def samples(self) -> int:
        return round(self.seconds * self.sample_rate)

    @property
    def hash(self) -> str:
        """sha256 of all fields."""
        fields = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(fields.encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Store:
    """A finished store, opened by `open_store`."""

    path: pathlib.Path
    settings: Settings
    manifest: dict[str, Any]
    manifest_hash: str
    arrays: dict[str, Any]

    def count(self, split: str) -> int:
        """Number of examples in `split` ("train", "valid" or "test")."""
        return len(self.examples(split))

    def examples(self, split: str) -> list[dict[str, Any]]:
        """What the manifest says of each example of `split`, in stored order."""
        if split not in SPLITS:
            raise UserError(f"{self.path} has no split {split!r}; it has {', '.join(SPLITS)}")
        return self.manifest["examples"][split]

    def read(self, split: str, idx: np.ndarray) -> np.ndarray:
        """Read examples in one indexed read.

        Args:
          split: "train", "valid" or "test".
          idx: int [batch], positions in the split; repeats are allowed.

        Returns:
          float32 [batch, 4, samples] in [-1, 1], sources in the order of `SOURCES`.

        Raises:
          UserError: an index is out of range, or an example is missing or damaged.
        """
        idx = np.asarray(idx, np.int64)
        n = self.count(split)
        if idx.size and not (idx.min() >= 0 and idx.max() < n):
            raise UserError(f"{self.path}: {split} has examples 0 to {n - 1}, asked for {idx}")
        try:
            x = self.arrays[split][idx].read().result()
        except ValueError:
            x = np.stack([self._read_one(split, int(i)) for i in idx])
        missing = idx[(x[:, :, 0] == FILL).any(-1)]
        if missing.size:
            raise UserError(self._damage(split, int(missing[0]), "is missing"))
        return x.astype(np.float32) / np.float32(SCALE)

    def _read_one(self, split: str, i: int) -> np.ndarray:
        try:
            return self.arrays[split][i].read().result()
        except ValueError as error:
            raise UserError(self._damage(split, i, "is damaged")) from error

    def _damage(self, split: str, i: int, what: str) -> str:
        return f"{self.path}: example {i} of {split} {what}; run preprocess again for a new store"


def open_store(path: str | pathlib.Path) -> Store:
    """Open a finished store.

    Raises:
      UserError: there is no store, it is unfinished, of another version, or
        one of its files is missing or has another size than was written.
    """
    path = pathlib.Path(path)
    manifest, manifest_hash = read_manifest(path)
    for name, file in manifest["files"].items():
        part = path / name
        if not part.is_file():
            raise UserError(f"{path}: {name} is missing; run preprocess again for a new store")
        if part.stat().st_size != file["bytes"]:
            raise UserError(
                f"{path}: {name} has {part.stat().st_size} bytes, {file['bytes']} were written; "
                "run preprocess again for a new store"
            )
    try:
        settings = Settings(**manifest["settings"])
    except TypeError as error:
        raise UserError(f"{path}: settings of another mashjax version ({error})") from error
    arrays = {split: _open_array(path / split) for split in SPLITS}
    for split, array in arrays.items():
        expected = (len(manifest["examples"][split]), len(SOURCES), settings.samples)
        if array.shape != expected:
            raise UserError(f"{path}: {split} has shape {array.shape}, its manifest {expected}")
    return Store(path, settings, manifest, manifest_hash, arrays)


def read_manifest(path: pathlib.Path) -> tuple[dict[str, Any], str]:
    """The manifest of the store at `path` and the sha256 of its bytes."""
    if not path.is_dir():
        raise UserError(f"{path}: no such store; make one with python -m mashjax.preprocess")
    if not (path / MANIFEST).is_file():
        raise UserError(f"{path} has no {MANIFEST}: not a store, or one that was never finished")
    raw = (path / MANIFEST).read_bytes()
    try:
        manifest = json.loads(raw)
    except ValueError as error:
        raise UserError(f"{path / MANIFEST} is damaged: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UserError(f"{path / MANIFEST} is not a {FORMAT} manifest")
    if manifest.get("version") != VERSION:
        raise UserError(
            f"{path} is a store of version {manifest.get('version')}, this mashjax reads "
            f"{VERSION}; run preprocess again"
        )
    return manifest, hashlib.sha256(raw).hexdigest()


def verify(path: str | pathlib.Path) -> list[str]:
    """Names of the files of the store at `path` that are missing or differ from the manifest."""
    path = pathlib.Path(path)
    manifest, _ = read_manifest(path)
    return [
        name
        for name, file in manifest["files"].items()
        if not (path / name).is_file() or file_sha256(path / name) != file["sha256"]
    ]


def file_sha256(path: str | pathlib.Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_array(path: pathlib.Path) -> Any:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path.absolute())}}
    try:
        return ts.open(spec, read=True, dtype=ts.int16).result()
    except ValueError as error:
        raise UserError(f"{path} does not open: {error}") from error
