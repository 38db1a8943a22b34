"""Write a store: whole shards, then the manifest, then the name."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy as np
import tensorstore as ts

from mashjax.data.store import (
    FILL,
    FORMAT,
    MANIFEST,
    SCALE,
    SOURCES,
    SPLITS,
    VERSION,
    Settings,
    file_sha256,
)
from mashjax.errors import UserError

SHARD_EXAMPLES = 32
"""One write each: 67 MB of 12 s examples at 22.05 kHz."""

UNFINISHED = "UNFINISHED"


class StoreWriter:
    """Collects examples and writes them to `path` in the order in which they come.

    A context manager. Everything goes to `<path>.partial`, which becomes `path`
    in `finish`; leaving without `finish` removes it, and what a killed run left
    is removed by the next one.

    Raises:
      UserError: `path` exists, or its folder is missing or cannot be written.
    """

    def __init__(self, path: str | pathlib.Path, *, settings: Settings):
        self.path = pathlib.Path(path)
        self.settings = settings
        self.partial = self.path.with_name(self.path.name + ".partial")
        self._make_partial()
        self._pending: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
        self._examples: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
        self._arrays = {split: self._create(split) for split in SPLITS}

    def add(self, split: str, sources: np.ndarray, **about: Any) -> None:
        """Add one example: float [4, samples] in [-1, 1], and what the manifest says of it."""
        self._pending[split].append(encode(sources))
        self._examples[split].append(about)
        if len(self._pending[split]) == SHARD_EXAMPLES:
            self._write_shard(split)

    @property
    def counts(self) -> dict[str, int]:
        return {split: len(examples) for split, examples in self._examples.items()}

    def finish(self, **about: Any) -> None:
        """Write what is left and the manifest (with `about` in it), and give the store its name."""
        for split in SPLITS:
            if self._pending[split]:
                self._write_shard(split)
            self._arrays[split].resize(
                exclusive_max=[len(self._examples[split]), None, None]
            ).result()
        (self.partial / UNFINISHED).unlink()
        names = sorted(p.relative_to(self.partial).as_posix() for p in _files(self.partial))
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "settings": dataclasses.asdict(self.settings),
            "settings_hash": self.settings.hash,
            "counts": self.counts,
            "files": {
                name: {
                    "bytes": (self.partial / name).stat().st_size,
                    "sha256": file_sha256(self.partial / name),
                }
                for name in names
            },
            **about,
            "examples": self._examples,
        }
        with no_room_is_an_error(self.partial):
            _write_whole(self.partial / MANIFEST, json.dumps(manifest, indent=1).encode())
        os.rename(self.partial, self.path)
        _sync(self.path.parent)

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.partial, ignore_errors=True)
        if self.partial.exists():  # somebody still writes there: marked for the next run
            (self.partial / UNFINISHED).touch()

    def _make_partial(self) -> None:
        if self.path.exists():
            raise UserError(f"{self.path} exists already; choose another --output or remove it")
        if self.partial.exists():
            if not (self.partial / UNFINISHED).is_file():
                raise UserError(f"{self.partial} is in the way and not ours; move it elsewhere")
            shutil.rmtree(self.partial)
        if not self.path.parent.is_dir():
            raise UserError(f"{self.path.parent}: no such folder to write the store in")
        try:
            self.partial.mkdir()
            (self.partial / UNFINISHED).touch()
        except OSError as error:
            raise UserError(f"cannot write {self.partial}: {error.strerror}") from error

    def _create(self, split: str) -> Any:
        example = [1, len(SOURCES), self.settings.samples]
        shard = [SHARD_EXAMPLES, *example[1:]]
        spec = {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str((self.partial / split).absolute())},
            "metadata": {
                "shape": [0, *example[1:]],
                "data_type": "int16",
                "fill_value": FILL,
                "dimension_names": ["example", "source", "sample"],
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
                "codecs": [
                    {
                        "name": "sharding_indexed",
                        "configuration": {
                            "chunk_shape": example,
                            "codecs": [
                                {"name": "bytes", "configuration": {"endian": "little"}},
                                {"name": "zstd", "configuration": {"level": 1}},
                                {"name": "crc32c"},
                            ],
                            "index_codecs": [
                                {"name": "bytes", "configuration": {"endian": "little"}},
                                {"name": "crc32c"},
                            ],
                        },
                    }
                ],
            },
        }
        return ts.open(spec, create=True).result()

    def _write_shard(self, split: str) -> None:
        shard = np.stack(self._pending[split])
        self._pending[split] = []
        stop = len(self._examples[split])
        start = stop - len(shard)
        # Grown to a whole number of shards, because only then is the last one a single write.
        grown = -(-stop // SHARD_EXAMPLES) * SHARD_EXAMPLES
        array = self._arrays[split].resize(exclusive_max=[grown, None, None]).result()
        with no_room_is_an_error(self.partial):
            array[start:stop].write(shard).result()
        self._arrays[split] = array


@contextlib.contextmanager
def no_room_is_an_error(path: pathlib.Path) -> Iterator[None]:
    """Turn a full or failing disk into a UserError that names `path`."""
    try:
        yield
    except (OSError, ValueError) as error:
        # TensorStore reports the file system's refusals as ValueError, numpy without an errno.
        if isinstance(error, ValueError) and "os_error_code" not in str(error):
            raise
        full = any(s in str(error) for s in ("No space left", "Not enough free space", "quota"))
        why = "the disk is full" if full else str(error)
        raise UserError(f"{path}: cannot be written: {why}") from error


def encode(sources: np.ndarray) -> np.ndarray:
    """Float samples within [-1, 1] to int16, never `FILL`."""
    if not np.isfinite(sources).all() or np.abs(sources).max(initial=0) > 1:
        raise ValueError("samples must be finite and within [-1, 1]")
    return np.round(sources * SCALE).astype(np.int16)


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def _write_whole(path: pathlib.Path, raw: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    _sync(path.parent)


def _sync(folder: pathlib.Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
