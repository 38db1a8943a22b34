"""The store that training reads: aligned songs as audio, checked against a manifest.

A store is a folder, or an address like gs://bucket/songs.store::

    MANIFEST.json             what is inside, from what and how; written last
    train/ valid/ test/       one zarr3 array each: int16 [row, source, samples]
    partners/train ...        int32 [example, partner]; only where rows are songs

Where rows are songs (layouts stems, songs, midi), a row is a clip of one song, its lead and
its backing, at one of a grid of tempi, in one of a few keys, from a downbeat on. Two clips of
one tempo, key and meter are therefore aligned already: an example is a clip and one of its
partners, and lead 1 over backing 2 is its label. Songs are stretched once, not once a pair.
Where rows are mashups (layout labelled), a row is an example: label, original 1, original 2.
Where rows are tracks (layout genre), a row is a song's features, segment by segment, its words and
its labels, as `mashjax.data.track_rows` says: nothing in it is sound.

Every row is one zstd + crc32c chunk, so a flipped bit is an error when it is read; a chunk that
is missing reads as `FILL`, which no row contains. Every song has its own shards at its own
place, which is known beforehand: they are written in any order, by any process, once.

This module, `location`, `sealing` and `batches` are all of `data` that a training machine needs.
"""

import dataclasses
import functools
import hashlib
import json
import os
from typing import Any

import numpy as np
import tensorstore as ts

from mashjax.data.location import kvstore_spec, local_folder, open_location, read_file
from mashjax.data.sealing import AGAIN, sha256, unsealed
from mashjax.errors import UserError

FORMAT = "mashjax-store"
VERSION = 2
MANIFEST = "MANIFEST.json"
PLAN = "PLAN.json"
SPLITS = ("train", "valid", "test")
SONG_ROW = ("lead", "backing")
MASHUP_ROW = ("label", "original1", "original2")
MELODY_ROW = ("lead", "backing", "notes")
TRACK_ROW = (
    *(f"chroma{k}" for k in range(12)),
    *(f"timbre{k}" for k in range(12)),
    *("exists", "words", "counts", "labels"),
)
ROWS = {
    "stems": SONG_ROW,
    "songs": SONG_ROW,
    "midi": SONG_ROW,
    "labelled": MASHUP_ROW,
    "melody": MELODY_ROW,
    "genre": TRACK_ROW,
}
"""The sources of a stored row, by layout."""

PAIR = ("lead1", "backing1", "lead2", "backing2")
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
    clips_per_song: int = 12  # rows of one song, at most (not for mashups)
    tempos_per_octave: int = 9  # of the grid: each song goes to both tempi around its own, < 8 %
    key_step: int = 4  # semitones between the keys of the grid
    max_shift: int = 3  # semitones by which a song may move to such a key
    partners: int = 32  # kept of each example, the best by harmony
    loudness: float = -18.0  # LUFS of each whole song, lead and backing together
    align: str = "auto"  # mashups: "auto" finds the originals in them; "none": as they are
    min_confidence: float = 0.5  # mashups: below it an original counts as not found
    whole: bool = True  # mashups: all of it in examples; False: one example from its start
    soundfont: str = ""  # sha256 of the midi and melody layouts' soundfonts, with commas
    voices: str = ""  # sha256 of the midi layout's recorded voices, likewise
    stems_map: str = ""  # sha256 of the stems layout's mapping file
    genres: str = ""  # genre: names of the classes, one a line
    words: str = ""  # genre: the vocabulary, with spaces
    short: str = "keep"  # genre: songs of too few segments; "drop": they are rejected
    balance: str = "none"  # genre: "over", "under": classes as frequent as the largest, smallest
    mashjax_version: str = ""

    @property
    def samples(self) -> int:
        return round(self.seconds * self.sample_rate)

    @property
    def row(self) -> tuple[str, ...]:
        """The sources of a stored row."""
        return ROWS[self.layout]

    @property
    def rows_per_song(self) -> int:
        """The rows set aside for one song or mashup; those that it does not need stay unwritten."""
        if self.row in (SONG_ROW, MELODY_ROW):
            return self.clips_per_song
        return 1024 if self.row == MASHUP_ROW and self.whole else 1

    @property
    def rows_per_shard(self) -> int:
        """Rows in one file; 16 of 12 s are 25 MB of three sources."""
        whole = self.row in (SONG_ROW, MELODY_ROW)
        return self.rows_per_song if whole else min(16, self.rows_per_song)

    @property
    def hash(self) -> str:
        """sha256 of all fields."""
        fields = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(fields.encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Store:
    """A finished store, opened by `open_store`."""

    path: str
    settings: Settings
    manifest: dict[str, Any]
    manifest_hash: str
    arrays: dict[str, Any]

    @property
    def sources(self) -> tuple[str, ...]:
        """What `read` gives of an example."""
        return self._given(self.settings.row)

    @staticmethod
    def _given(row: tuple[str, ...]) -> tuple[str, ...]:
        return PAIR if row == SONG_ROW else row

    def count(self, split: str) -> int:
        """Number of examples in `split` ("train", "valid" or "test")."""
        return len(self.examples(split))

    def examples(self, split: str) -> list[dict[str, Any]]:
        """What the manifest says of each example of `split`: its row, its song, where it is from.

        Of an example made of two songs, this is song 1; song 2 is what it says of the partner.
        """
        if split not in SPLITS:
            raise UserError(f"{self.path} has no split {split!r}; it has {', '.join(SPLITS)}")
        return self.manifest["examples"][split]

    def check_sound(self, sample_rate: int, *sources: tuple[str, ...]) -> None:
        """Raises UserError where it holds none of `sources`, or audio at another rate in Hz."""
        if self.sources not in sources:
            wanted = " or ".join(name for name, row in ROWS.items() if self._given(row) in sources)
            raise UserError(
                f"{self.path}: is of --layout={self.settings.layout}, and this needs {wanted}"
            )
        if self.settings.sample_rate != sample_rate:
            raise UserError(
                f"{self.path}: holds audio at {self.settings.sample_rate} Hz, and the config says "
                f"model.sample_rate={sample_rate}"
            )

    def partners(self, split: str) -> np.ndarray:
        """The examples that each example can be mixed with: int32 [examples, most], best first.

        -1 where there are no more; all have one at least. No columns where rows are examples.

        Raises:
          UserError: the file is damaged or missing.
        """
        if self.settings.row != SONG_ROW:
            return np.zeros((self.count(split), 0), np.int32)
        try:
            partners = _open_array(self.path, "partners", split, dtype=ts.int32).read().result()
        except ValueError as error:
            raise UserError(f"{self.path}: partners/{split} is damaged; {AGAIN}") from error
        if partners.shape[0] != self.count(split) or (partners[:, :1] < 0).any():
            raise UserError(f"{self.path}: partners/{split} is missing or damaged; {AGAIN}")
        return partners

    def read(self, split: str, idx: np.ndarray, partner: np.ndarray | None = None) -> np.ndarray:
        """Read examples in one indexed read.

        Args:
          split: "train", "valid" or "test".
          idx: int [batch], examples of the split; repeats are allowed.
          partner: int [batch], the examples that give song 2; default: each one's best partner.
            Only where rows are songs.

        Returns:
          int16 [batch, sources, samples], sources in the order of `sources`; see `decode`.

        Raises:
          UserError: an index is out of range, or a row is missing or damaged.
        """
        idx = np.asarray(idx, np.int64)
        if self.settings.row != SONG_ROW:
            if partner is not None:
                raise ValueError(f"a row of {self.settings.layout} has no partners")
            return self._rows(split, idx)
        if partner is None:
            self._check(split, idx)
            partner = self._best_partners[split][idx]
        x = self._rows(split, np.stack([idx, partner], axis=1).ravel())
        return x.reshape(len(idx), len(PAIR), -1)

    @functools.cached_property
    def _best_partners(self) -> dict[str, np.ndarray]:
        return {split: self.partners(split)[:, 0] for split in SPLITS}

    @functools.cached_property
    def _row_numbers(self) -> dict[str, np.ndarray]:
        return {
            split: np.array([example["row"] for example in self.examples(split)], np.int64)
            for split in SPLITS
        }

    def _check(self, split: str, idx: np.ndarray) -> None:
        n = self.count(split)
        if idx.size and not (idx.min() >= 0 and idx.max() < n):
            raise UserError(f"{self.path}: {split} has examples 0 to {n - 1}, asked for {idx}")

    def _rows(self, split: str, idx: np.ndarray) -> np.ndarray:
        self._check(split, idx)
        rows = self._row_numbers[split][idx]
        x = np.empty((len(rows), len(self.settings.row), self.settings.samples), np.int16)
        try:
            # Into memory of NumPy's, which is a quarter quicker to get than TensorStore's own.
            ts.array(x, copy=False, write=True).write(self.arrays[split][rows]).result()
        except ValueError:
            x = np.stack([self._row(split, i) for i in idx.tolist()])
        missing = idx[(x[:, :, 0] == FILL).any(-1)]
        if missing.size:
            raise UserError(self._damage(split, int(missing[0]), "is missing"))
        return x

    def _row(self, split: str, i: int) -> np.ndarray:
        try:
            return self.arrays[split][int(self._row_numbers[split][i])].read().result()
        except ValueError as error:
            why = f"is damaged or cannot be read ({str(error).splitlines()[0][:300]})"
            raise UserError(self._damage(split, i, why)) from error

    def _damage(self, split: str, i: int, what: str) -> str:
        example = self.examples(split)[i]
        return (
            f"{self.path}: example {i} of {split} (row {example['row']}, {example['song']}) "
            f"{what}; preprocess --verify names the files; {AGAIN}"
        )


def decode(x: Any) -> Any:
    """int16 samples, of NumPy or of JAX, as float32 in [-1, 1]."""
    return x.astype(np.float32) / np.float32(SCALE)


def encode(y: np.ndarray) -> np.ndarray:
    """Float samples within [-1, 1] to int16, never `FILL`."""
    if not np.isfinite(y).all() or np.abs(y).max(initial=0) > 1:
        raise ValueError("samples must be finite and within [-1, 1]")
    return np.round(y * np.float32(SCALE)).astype(np.int16)


def open_store(path: str | os.PathLike) -> Store:
    """Open a finished store.

    Raises:
      UserError: there is no store, it is unfinished, of another version, one of its
        files is missing, or one that describes its arrays has changed.
    """
    where = os.fspath(path)
    manifest, manifest_hash = read_manifest(where)
    files = open_location(where)
    present = {name.decode() for name in files.list().result()}
    for name, file in manifest["files"].items():
        if name not in present:
            raise UserError(f"{where}: {name} is missing; {AGAIN}")
        if name.endswith("zarr.json") and sha256(read_file(files, name)) != file["sha256"]:
            raise UserError(f"{where}: {name} has changed since it was written; {AGAIN}")
    try:
        settings = Settings(**manifest["settings"])
    except TypeError as error:
        raise UserError(f"{where}: settings of another mashjax version ({error})") from error
    if settings.layout not in ROWS:
        raise UserError(f"{where}: its layout {settings.layout!r} is of another mashjax version")
    arrays = {split: _open_array(where, split) for split in SPLITS}
    return Store(where, settings, manifest, manifest_hash, arrays)


def read_manifest(where: str) -> tuple[dict[str, Any], str]:
    """The manifest of the store at `where` and the sha256 of its bytes.

    Raises:
      UserError: there is none, it is damaged, or of another version.
    """
    files = open_location(where)
    folder = local_folder(where)
    if folder is not None and not folder.is_dir():
        raise UserError(f"{where}: no such store; make one with python -m mashjax.preprocess")
    raw = read_file(files, MANIFEST)
    if raw is None:
        if read_file(files, PLAN) is not None:
            raise UserError(
                f"{where} is still being written, or its making was interrupted: "
                "run the same preprocess command to go on"
            )
        raise UserError(f"{where} has no {MANIFEST}: not a store")
    manifest = unsealed(raw, where=f"{where}/{MANIFEST}")
    if manifest.get("format") != FORMAT:
        raise UserError(f"{where}/{MANIFEST} is not a {FORMAT} manifest")
    if manifest.get("version") != VERSION:
        raise UserError(
            f"{where} is a store of version {manifest.get('version')}, this mashjax reads "
            f"{VERSION}; {AGAIN}"
        )
    return manifest, hashlib.sha256(raw).hexdigest()


def verify(path: str | os.PathLike) -> list[str]:
    """Names of the files of the store at `path` that are missing or differ from the manifest.

    Raises:
      UserError: the manifest itself is missing or damaged.
    """
    where = os.fspath(path)
    manifest, _ = read_manifest(where)
    files = open_location(where)
    return [
        name
        for name, file in manifest["files"].items()
        if sha256(read_file(files, name)) != file["sha256"]
    ]


def _open_array(where: str, *parts: str, dtype: Any = ts.int16) -> Any:
    spec = {"driver": "zarr3", "kvstore": kvstore_spec(where, *parts)}
    try:
        return ts.open(spec, read=True, dtype=dtype).result()
    except ValueError as error:
        raise UserError(f"{where}/{'/'.join(parts)} does not open: {error}") from error
