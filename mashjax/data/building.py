"""From a layout's songs to a store: every song on its own, then the manifest.

A song is loaded, cut and written by one job, which leaves a record. Jobs run anywhere, in any
order, and are the same each time they run: a run that was killed goes on with the songs that have
no record, or whose files are no longer those that the record names.
"""

import collections
import contextlib
import dataclasses
import fcntl
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mashjax.data.clips import make_clips
from mashjax.data.executors import executor, run_all
from mashjax.data.layouts.melodies import make_melody
from mashjax.data.location import local_folder, no_room_is_an_error, open_location, read_file
from mashjax.data.mashups import make_mashup
from mashjax.data.sealing import file_sha256, sealed, unsealed
from mashjax.data.sources import Made, Rejected, Source, split_sources
from mashjax.data.store import (
    FORMAT,
    MANIFEST,
    MASHUP_ROW,
    MELODY_ROW,
    PLAN,
    SONG_ROW,
    SPLITS,
    TRACK_ROW,
    VERSION,
    Settings,
    read_manifest,
)
from mashjax.data.track_rows import make_track
from mashjax.data.writing import (
    Place,
    clean,
    create_arrays,
    discard,
    finish,
    read_record,
    rows_are_there,
    write_rejected,
    write_song,
)
from mashjax.errors import UserError

MAKE: dict[tuple[str, ...], Callable[..., Made]] = {
    SONG_ROW: make_clips,
    MASHUP_ROW: make_mashup,
    MELODY_ROW: make_melody,
    TRACK_ROW: make_track,
}
"""What makes the rows of a song, by what a row is."""

Progress = Callable[[int, int], None]
"""Called with (songs done, songs in all)."""


@dataclasses.dataclass(frozen=True)
class Summary:
    """What became of the songs.

    songs: found; kept: of an earlier run that was interrupted; examples: of each split;
    pairs: of examples that go together; without_partner: clips that are in no pair;
    originals: of each mashup, where they were found in it, as the manifest says;
    seconds: of audio that went in; size: bytes of the store.
    """

    songs: int
    kept: int
    examples: dict[str, int]
    pairs: int
    without_partner: int
    rejected: list[Rejected]
    originals: dict[str, list[dict[str, Any]]]
    seconds: float
    size: int


def build_store(
    sources: Sequence[Source],
    store: str,
    *,
    settings: Settings,
    left_out: Sequence[Rejected] = (),
    workers: int = 1,
    scheduler: str = "",
    strict: bool = False,
    progress: Progress = lambda done, total: None,
) -> Summary:
    """Make a store of songs or mashups, or go on where an earlier call was interrupted.

    The result depends on the sources and the settings, not on workers or interruptions.

    Args:
      sources: with different ids.
      store: a folder or an address; absent, empty, or begun with the same sources and settings.
      settings: go into the store.
      left_out: what the layout could not use; goes into the manifest.
      workers: processes of this machine.
      scheduler: address of a Dask scheduler, whose workers do it instead; they must see the
        sources and the store at the same paths.
      strict: a song that cannot be used ends it all.
      progress: called after each song.

    Raises:
      UserError: the store is of other songs or settings, is being written by someone else or
        cannot be written; nothing is left to store; a song cannot be used and `strict` says no.
    """
    if strict and left_out:
        raise UserError(f"{left_out[0].id}: {left_out[0].why} (--strict)")
    plan, places = _plan(sources, store, settings)
    with _begun(store, plan, places, settings=settings) as finished:
        kept = 0
        if not finished:
            for outcome in _make_all(sources, places, settings, workers, scheduler, progress):
                if strict and isinstance(outcome, Rejected):
                    raise UserError(f"{outcome.id}: {outcome.why} (--strict)")
                kept += outcome == "kept"
            finish(store, places, settings=settings, left_out=list(left_out))
    manifest, _ = read_manifest(store)
    rejected = [Rejected(**r) for r in manifest["rejected"]]
    if not sum(manifest["counts"].values()):
        discard(store)
        raise UserError(_nothing_left(manifest, rejected))
    return Summary(
        songs=len(sources) + len(left_out),
        kept=len(sources) if finished else kept,
        examples=manifest["counts"],
        pairs=manifest["pairs"],
        without_partner=manifest["without_partner"],
        rejected=rejected,
        originals={
            name: song["originals"]
            for name, song in manifest["songs"].items()
            if "confidence" in song.get("originals", [{}])[0]
        },
        seconds=sum(song["seconds"] for song in manifest["songs"].values()),
        size=sum(file["bytes"] for file in manifest["files"].values()),
    )


def make_song(source: Source, *, place: Place, settings: Settings) -> str | Rejected:
    """Make and write one song's rows and record: "made", "kept" or why it was rejected."""
    try:
        record = read_record(place)
    except UserError:  # damaged: as good as none
        record = None
    try:
        files = _hashes(source)
    except UserError as error:
        rejected = Rejected(source.id, str(error))
        write_rejected(place, rejected, files={}, settings=settings)
        return rejected
    if record and record["about"]["files"] == files and rows_are_there(place, record):
        return Rejected(**record["rejected"]) if "rejected" in record else "kept"
    try:
        made = MAKE[settings.row](source, settings=settings)
    except UserError as error:
        rejected = Rejected(source.id, str(error))
        write_rejected(place, rejected, files=files, settings=settings)
        return rejected
    write_song(place, made, files=files, settings=settings)
    return "made"


def _plan(
    sources: Sequence[Source], store: str, settings: Settings
) -> tuple[dict[str, Any], dict[str, Place]]:
    """What will be where."""
    used: collections.Counter[str] = collections.Counter()
    places = {}
    for id, split in split_sources(sources).items():
        places[id] = Place(store, split, used[split])
        used[split] += 1
    plan = {
        "format": FORMAT,
        "version": VERSION,
        "settings": dataclasses.asdict(settings),
        "songs": [[name, place.split, place.index] for name, place in places.items()],
    }
    return plan, places


@contextlib.contextmanager
def _begun(
    store: str, plan: dict[str, Any], places: dict[str, Place], *, settings: Settings
) -> Iterator[bool]:
    """Create the store, or check that what is there is the same; True if it is finished already."""
    location, folder = open_location(store), local_folder(store)
    if folder is not None:
        _check_folder(folder)
    if read_file(location, MANIFEST) is not None:
        manifest, _ = read_manifest(store)
        _check_same(manifest["settings"], plan["settings"], store)
        before = {*manifest["songs"], *(r["id"] for r in manifest["rejected"])}
        _check_songs(before, set(places), store)
        clean(store)
        yield True
        return
    raw = read_file(location, PLAN)
    if raw is not None:
        begun = unsealed(raw, where=f"{store}/{PLAN}")
        _check_same(begun["settings"], plan["settings"], store)
        _check_songs({name for name, *_ in begun["songs"]}, set(places), store)
    with no_room_is_an_error(store), _locked(folder):
        if raw is None:
            counts = collections.Counter(place.split for place in places.values())
            create_arrays(store, {split: counts[split] for split in SPLITS}, settings=settings)
            location.write(PLAN, sealed(plan)).result()
        yield False


def _check_folder(folder: pathlib.Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; name a folder for the store")
    if not folder.parent.is_dir():
        raise UserError(f"{folder.parent}: no such folder to write the store in")
    if folder.is_dir() and any(folder.iterdir()):
        ours = [folder / name for name in ("LOCK", PLAN, MANIFEST, *SPLITS)]
        if not any(path.exists() for path in ours):
            raise UserError(f"{folder}: holds other files; choose another --output")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be created: {error.strerror}") from error


def _check_songs(before: set[str], now: set[str], store: str) -> None:
    changed = sorted(before ^ now)
    # What a layout leaves out has no place, and is in the manifest nevertheless.
    if not now <= before or (changed and len(before) == len(now)):
        raise UserError(
            f"{store}: was made of {len(before)} songs, and now there are {len(now)} (for example, "
            f"{changed[0]} is {'new' if changed[0] in now else 'gone'}): choose another --output"
        )


def _check_same(before: dict[str, Any], now: dict[str, Any], store: str) -> None:
    # A setting that is newer than the store was as its default is.
    before = dataclasses.asdict(Settings()) | before
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            old, new = (f"{of.get(name)}"[:100] for of in (before, now))
            raise UserError(
                f"{store}: was made with {name}={old}, and this command says "
                f"{new}; choose another --output, or the same settings"
            )


@contextlib.contextmanager
def _locked(folder: pathlib.Path | None) -> Iterator[None]:
    """Let no second run write to a folder; the lock ends with the process, however that ends."""
    if folder is None:
        yield
        return
    with open(folder / "LOCK", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"{folder}: is being written by another run") from error
        try:
            yield
        finally:
            (folder / "LOCK").unlink()


def _make_all(
    sources: Sequence[Source],
    places: dict[str, Place],
    settings: Settings,
    workers: int,
    scheduler: str,
    progress: Progress,
) -> Iterator[str | Rejected]:
    jobs = (
        (make_song, (source,), {"place": places[source.id], "settings": settings})
        for source in sources
    )
    with executor(workers, scheduler=scheduler) as pool:
        # A cluster's size is not known, and may change: enough are sent to keep it busy.
        ahead = 256 if scheduler else 2 * workers
        for done, outcome in enumerate(run_all(pool, jobs, ahead=ahead), 1):
            progress(done, len(sources))
            yield outcome


def _hashes(source: Source) -> dict[str, list[dict[str, str]]]:
    """What a source's files hold."""
    hashes: dict[str, list[dict[str, str]]] = {}
    for part, paths in source.files.items():
        hashes[part] = []
        for path in paths:
            try:
                hashes[part].append({"name": path.name, "sha256": file_sha256(path)})
            except OSError as error:
                raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return hashes


def _nothing_left(manifest: dict[str, Any], rejected: list[Rejected]) -> str:
    songs = manifest["songs"]
    if rejected and len(songs) < 2:
        return (
            f"nothing is left to store: {len(rejected)} of {len(rejected) + len(songs)} songs "
            f"rejected; for example {rejected[0].id}: {rejected[0].why}"
        )
    if len(songs) < 2:
        return "nothing is left to store: a pair needs two songs"
    some = ", ".join(
        f"{name} {song['tempo_bpm']:.0f} BPM {song['key']}"
        for name, song in list(songs.items())[:5]
    )
    return f"nothing is left to store: no two songs fit in tempo, key and meter ({some})"
