"""From a layout's songs to a store: prepare songs, plan pairs, cut excerpts, write."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mashjax.data.pairs import cut_pair, plan_pairs
from mashjax.data.songs import Rejected, Song, SongSource, prepare_song, split_songs
from mashjax.data.store import SPLITS, Settings
from mashjax.data.writing import StoreWriter
from mashjax.errors import UserError

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


@dataclasses.dataclass(frozen=True)
class Summary:
    """What became of the songs."""

    songs: int
    examples: dict[str, int]  # per split
    rejected_songs: list[Rejected]
    rejected_pairs: list[Rejected]
    seconds: float  # of audio in the store, counting an example once
    size: int  # bytes


def build_store(
    sources: Iterable[SongSource],
    output: str | pathlib.Path,
    *,
    settings: Settings,
    workers: int = 1,
    progress: Progress = lambda stage, done, total: None,
) -> Summary:
    """Make every pair's excerpts and write them to a new store.

    The result depends on the songs and the settings, not on the workers.

    Args:
      sources: songs, with different ids.
      output: where the store will be; must not exist.
      settings: go into the store.
      workers: processes; 1 works in this one.
      progress: called now and then.

    Raises:
      UserError: `output` exists or cannot be written, or nothing is left to store.
    """
    sources = list(sources)
    with StoreWriter(output, settings=settings) as writer, _pool(workers) as pool:
        scratch = writer.partial / "scratch"
        scratch.mkdir()
        songs, rejected_songs = _prepare(sources, str(scratch), settings, pool, workers, progress)
        splits = split_songs([song.id for song in songs])
        rejected_pairs = []
        pairs = [
            (split, a, b)
            for split in SPLITS
            for a, b in plan_pairs([s for s in songs if splits[s.id] == split], settings=settings)
        ]
        jobs = ((cut_pair, (a, b), {"settings": settings}) for _, a, b in pairs)
        results = _in_order(pool, jobs, ahead=2 * workers)
        for done, ((split, _, _), result) in enumerate(zip(pairs, results, strict=True), 1):
            if isinstance(result, Rejected):
                rejected_pairs.append(result)
            else:
                for example in result:
                    writer.add(split, example.sources, **example.about)
            progress("pairs", done, len(pairs))
        shutil.rmtree(scratch)
        if not sum(writer.counts.values()):
            raise UserError(_nothing_left(songs, rejected_songs, rejected_pairs))
        writer.finish(
            songs={song.id: {"split": splits[song.id], **_about(song)} for song in songs},
            rejected={
                "songs": [dataclasses.asdict(r) for r in rejected_songs],
                "pairs": [dataclasses.asdict(r) for r in rejected_pairs],
            },
        )
    return Summary(
        songs=len(sources),
        examples=writer.counts,
        rejected_songs=rejected_songs,
        rejected_pairs=rejected_pairs,
        seconds=sum(writer.counts.values()) * settings.seconds,
        size=sum(p.stat().st_size for p in pathlib.Path(output).rglob("*") if p.is_file()),
    )


def _prepare(
    sources: list[SongSource],
    scratch: str,
    settings: Settings,
    pool: concurrent.futures.Executor,
    workers: int,
    progress: Progress,
) -> tuple[list[Song], list[Rejected]]:
    songs, rejected = [], []
    jobs = ((prepare_song, (s,), {"folder": scratch, "settings": settings}) for s in sources)
    for done, result in enumerate(_in_order(pool, jobs, ahead=2 * workers), 1):
        if isinstance(result, Rejected):
            rejected.append(result)
        else:
            songs.append(result)
        progress("songs", done, len(sources))
    if len(songs) < 2:
        raise UserError(_nothing_left(songs, rejected, []))
    return songs, rejected


def _about(song: Song) -> dict[str, Any]:
    """A song's entry in the manifest."""
    return {
        **song.about,
        "tempo_bpm": song.tempo_bpm,
        "beats_per_bar": int(song.analysis.beats_per_bar),
        "key": f"{song.analysis.key.tonic} {song.analysis.key.mode}",
    }


def _nothing_left(
    songs: list[Song], rejected_songs: list[Rejected], rejected_pairs: list[Rejected]
) -> str:
    counts = (
        f"no pair is left of {len(songs)} songs ({len(rejected_songs)} songs and "
        f"{len(rejected_pairs)} pairs rejected)"
    )
    if len(songs) < 2 and not rejected_songs:
        return f"{counts}: a pair needs two songs"
    if rejected_pairs or len(songs) < 2:
        first = (rejected_pairs + rejected_songs)[0]
        return f"{counts}; for example {first.id}: {first.why}"
    tempi = ", ".join(f"{song.id} {song.tempo_bpm:.0f}" for song in songs[:6])
    return f"{counts}: no two of one split are near enough in tempo ({tempi} BPM)"


def _in_order(
    pool: concurrent.futures.Executor, jobs: Iterable[tuple[Callable, tuple, dict]], *, ahead: int
) -> Iterator[Any]:
    """Results in the jobs' order, with at most `ahead` of them waiting in memory."""
    waiting: collections.deque[concurrent.futures.Future] = collections.deque()
    for function, args, kwargs in jobs:
        waiting.append(pool.submit(function, *args, **kwargs))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Here(concurrent.futures.Executor):
    """Runs each job at once, in this process."""

    def submit(self, fn, /, *args, **kwargs):
        future: concurrent.futures.Future = concurrent.futures.Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[concurrent.futures.Executor]:
    """An executor whose waiting jobs are dropped when the block fails."""
    if workers == 1:
        yield _Here()
        return
    # Workers are one per core; a BLAS that starts threads in each only gets in their way.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it: a killed parent would be waited for forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
