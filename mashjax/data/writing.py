"""Write a store: a plan, every song's rows and record in any order, then the manifest."""

import base64
import dataclasses
import io
import shutil
from typing import Any

import numpy as np
import tensorstore as ts

from mashjax.data.location import (
    kvstore_spec,
    local_folder,
    no_room_is_an_error,
    open_location,
    read_file,
)
from mashjax.data.partners import find_partners
from mashjax.data.sealing import sealed, sha256, unsealed
from mashjax.data.sources import HOP_LENGTH, N_FFT, Made, Moments, Rejected
from mashjax.data.store import (
    FILL,
    FORMAT,
    MANIFEST,
    PLAN,
    SONG_ROW,
    SPLITS,
    TRACK_ROW,
    VERSION,
    Settings,
    encode,
)
from mashjax.data.track_rows import balanced
from mashjax.data.zarr import sharded

RECORDS = "records/"


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the rows of one song go: known before anything is read."""

    store: str
    split: str
    index: int  # of the song within its split

    @property
    def record(self) -> str:
        return f"{RECORDS}{self.split}/{self.index}.json"

    def shards(self, settings: Settings) -> range:
        """The numbers of the shards set aside for it."""
        each = settings.rows_per_song // settings.rows_per_shard
        return range(self.index * each, (self.index + 1) * each)

    def shard_name(self, shard: int) -> str:
        return f"{self.split}/c/{shard}/0/0"


def create_arrays(store: str, songs: dict[str, int], *, settings: Settings) -> None:
    """Create the arrays of all splits, with room for `songs` of each."""
    for split in SPLITS:
        example = [1, len(settings.row), settings.samples]
        _create(
            kvstore_spec(store, split),
            shape=[songs[split] * settings.rows_per_song, *example[1:]],
            shard=[settings.rows_per_shard, *example[1:]],
            chunk=example,
            dtype="int16",
            fill=FILL,
            names=["row", "source", "sample"],
        )


def write_song(place: Place, made: Made, *, files: dict[str, Any], settings: Settings) -> None:
    """Write a song's rows, each shard in one go, then the record that says so."""
    per_shard = settings.rows_per_shard
    first_row = place.index * settings.rows_per_song
    written: dict[str, dict[str, Any]] = {}
    with no_room_is_an_error(place.store):
        location = open_location(place.store)
        _forget(location, place, settings)
        array = _open(kvstore_spec(place.store, place.split))
        for n, shard in zip(
            range(0, len(made.rows), per_shard), place.shards(settings), strict=False
        ):
            rows = np.full((per_shard, *made.rows.shape[1:]), FILL, np.int16)
            part = made.rows[n : n + per_shard]
            rows[: len(part)] = encode(part)
            start = first_row + n
            array[start : start + per_shard].write(rows).result()
            name = place.shard_name(shard)
            raw = read_file(location, name)
            assert raw is not None
            written[name] = {"bytes": len(raw), "sha256": sha256(raw)}
        record = {
            "about": {**made.about, "files": files},
            "examples": [{"row": first_row + n, **e} for n, e in enumerate(made.examples)],
            "written": written,
            "harmony": [_packed(h) for h in made.harmony],
            "moments": [_packed(x) for x in made.moments[:2]] + [made.moments.frames],
        }
        location.write(place.record, sealed(record)).result()


def write_rejected(
    place: Place, rejected: Rejected, *, files: dict[str, Any], settings: Settings
) -> None:
    """Record that a song is left out."""
    with no_room_is_an_error(place.store):
        location = open_location(place.store)
        _forget(location, place, settings)
        record = {"rejected": dataclasses.asdict(rejected), "about": {"files": files}}
        location.write(place.record, sealed(record)).result()


def read_record(place: Place) -> dict[str, Any] | None:
    """The record of a song whose rows are all written; None if there is none, or a damaged one."""
    raw = read_file(open_location(place.store), place.record)
    if raw is None:
        return None
    return unsealed(raw, where=f"{place.store}/{place.record}")


def rows_are_there(place: Place, record: dict[str, Any]) -> bool:
    """Whether the shards that a record speaks of are as they were written."""
    location = open_location(place.store)
    return all(
        sha256(read_file(location, name)) == file["sha256"]
        for name, file in record.get("written", {}).items()
    )


def finish(
    store: str, places: dict[str, Place], *, settings: Settings, left_out: list[Rejected]
) -> dict[str, Any]:
    """Gather the records of all songs into the manifest, and remove them.

    places: of each song, in the order of the store. Returns the manifest's content.
    """
    location = open_location(store)
    examples: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    harmony: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    files: dict[str, dict[str, Any]] = {}
    songs, rejected, sums = {}, [dataclasses.asdict(r) for r in left_out], []
    for name, place in places.items():
        record = read_record(place)
        assert record is not None, f"{place.record} has vanished"
        if "rejected" in record:
            rejected.append(record["rejected"])
            continue
        songs[name] = {"split": place.split, **record["about"]}
        examples[place.split] += record["examples"]
        harmony[place.split] += [_unpacked(h) for h in record["harmony"]]
        files |= record["written"]
        total, square, frames = record["moments"]
        sums.append(Moments(_unpacked(total), _unpacked(square), frames))
    if settings.row == TRACK_ROW:
        train = examples[SPLITS[0]]
        examples[SPLITS[0]] = balanced(train, settings.balance, seed=settings.seed)
    alone, pairs = 0, 0
    with no_room_is_an_error(store):
        if settings.row == SONG_ROW:
            for split in SPLITS:
                found = len(examples[split])
                examples[split], partners = _paired(examples[split], harmony[split], settings)
                alone += found - len(examples[split])
                pairs += _count_pairs(partners)
                _write_partners(store, split, partners)
        described = [f"{split}/zarr.json" for split in SPLITS]
        described += [
            name.decode()
            for name in location.list(ts.KvStore.KeyRange("partners/", "partners0")).result()
            if not name.endswith(b"__lock")
        ]
        for name in described:
            raw = read_file(location, name)
            assert raw is not None
            files[name] = {"bytes": len(raw), "sha256": sha256(raw)}
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "settings": dataclasses.asdict(settings),
            "settings_hash": settings.hash,
            "counts": {split: len(of) for split, of in examples.items()},
            "pairs": pairs,
            "without_partner": alone,
            "files": files,
            "songs": songs,
            "rejected": rejected,
            "statistics": _statistics(sums),
            "examples": examples,
        }
        location.write(MANIFEST, sealed(manifest)).result()
    clean(store)
    return manifest


def clean(store: str) -> None:
    """Remove what only an unfinished store needs."""
    _remove(store, RECORDS, PLAN)


def discard(store: str) -> None:
    """Remove a whole store, and nothing else that may lie there."""
    _remove(store, RECORDS, PLAN, MANIFEST, "partners/", *(f"{split}/" for split in SPLITS))
    folder = local_folder(store)
    if folder is not None and not any(folder.iterdir()):
        folder.rmdir()


def _remove(store: str, *names: str) -> None:
    """Remove files, and folders that end with a slash."""
    location, folder = open_location(store), local_folder(store)
    with no_room_is_an_error(store):
        for name in names:
            if not name.endswith("/"):
                location.write(name, None).result()
            elif folder is None:
                location.delete_range(ts.KvStore.KeyRange(name, name[:-1] + "0")).result()
            elif (folder / name).is_dir():
                shutil.rmtree(folder / name)
        # What a write that was killed left behind.
        for leftover in [] if folder is None else folder.rglob("*.__lock"):
            leftover.unlink()


def _paired(
    examples: list[dict[str, Any]], harmony: list[np.ndarray], settings: Settings
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """The clips that have partners, and those by their new numbers."""
    partners = find_partners(
        [e["cell"] for e in examples],
        [e["song"] for e in examples],
        harmony,
        most=settings.partners,
    )
    # Whoever has a partner is one, and `most` cuts no one's list to nothing: all stay in the set.
    kept = np.flatnonzero(partners[:, 0] >= 0)
    renumbered = np.full(len(examples) + 1, -1, np.int32)
    renumbered[kept] = np.arange(len(kept))
    return [examples[i] for i in kept], renumbered[partners[kept]]


def _count_pairs(partners: np.ndarray) -> int:
    """Pairs of examples of which one at least is among the other's partners."""
    example, _ = np.nonzero(partners >= 0)
    both = np.stack([example, partners[partners >= 0]])
    return len(np.unique(np.sort(both, axis=0), axis=1).T)


def _write_partners(store: str, split: str, partners: np.ndarray) -> None:
    array = _create(
        kvstore_spec(store, "partners", split),
        shape=list(partners.shape),
        shard=[max(1, len(partners)), partners.shape[1]],
        chunk=[max(1, len(partners)), partners.shape[1]],
        dtype="int32",
        fill=-1,
        names=["example", "partner"],
    )
    array.write(partners).result()


def _statistics(sums: list[Moments]) -> dict[str, Any]:
    """Mean and scale of log10 power in each bin of all songs, as `sources.moments` says."""
    frames = sum(m.frames for m in sums)
    if not frames:
        return {}
    mean = np.sum([m.total for m in sums], axis=0) / frames
    square = np.sum([m.square for m in sums], axis=0) / frames
    scale = np.sqrt(np.maximum(square - mean**2, 0))
    return {
        "what": "log10 of the power of each STFT bin, all inputs of all rows",
        "n_fft": N_FFT,
        "hop_length": HOP_LENGTH,
        "mean": np.round(mean, 5).tolist(),
        "scale": np.round(scale, 5).tolist(),
    }


def _forget(location: Any, place: Place, settings: Settings) -> None:
    """Remove what an earlier version of a song left: its record first."""
    location.write(place.record, None).result()
    for shard in place.shards(settings):
        location.write(place.shard_name(shard), None).result()


def _create(kvstore: dict[str, Any], **metadata: Any) -> Any:
    spec = {"driver": "zarr3", "kvstore": kvstore, "metadata": sharded(**metadata)}
    return ts.open(spec, create=True, delete_existing=True).result()


def _open(kvstore: dict[str, Any]) -> Any:
    return ts.open({"driver": "zarr3", "kvstore": kvstore}, write=True).result()


def _packed(array: np.ndarray) -> str:
    file = io.BytesIO()
    np.save(file, array)
    return base64.b64encode(file.getvalue()).decode()


def _unpacked(text: str) -> np.ndarray:
    return np.load(io.BytesIO(base64.b64decode(text)))
