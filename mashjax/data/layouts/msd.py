"""The Million Song Dataset: one HDF5 file per song, named after its track id.

A file has a table of one row at /metadata/songs and at /analysis/songs, and arrays of its segments
beside the latter (Bertin-Mahieux et al., ISMIR 2011). Words, genres, splits and play counts come
from other files, and are joined by track id.
"""

import dataclasses
import math
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

from mashjax.data.layouts import labels
from mashjax.data.layouts.folders import Folder, artist, ending
from mashjax.data.lyrics import LyricsFiles
from mashjax.data.sources import Rejected
from mashjax.data.tracks import PITCH_CLASSES, TIMBRES, Found, Track
from mashjax.errors import UserError

ENDINGS = (".h5", ".hdf5")
UNIQUE_TRACKS = "unique_tracks.txt"
"""The dataset's own list of what its tracks are; lies in its folder AdditionalFiles."""


@dataclasses.dataclass(frozen=True)
class MsdTrack(labels.TrackFile):
    """A song's file, and what other files say of it."""

    plays: int | None = None

    def load(self) -> Track:
        """Raises: UserError: see `read_msd`; or the words are damaged, or the id is another's."""
        track = read_msd(self.path)
        if track.track_id != self.id:
            raise UserError(f"{self.path}: holds track {track.track_id}, not what its name says")
        return dataclasses.replace(
            track,
            words=self.words,
            genre=self.genre,
            popularity=track.popularity if self.plays is None else float(self.plays),
            split=self.split,
        )


def read_msd(path: str | os.PathLike) -> Track:
    """A song file of the dataset, without words, genre and split.

    Popularity is its song_hotttnesss.

    Raises:
      UserError: it cannot be opened, is no HDF5, is cut short, is of several songs, lacks what is
        read here, or has no segments.
    """
    with _Opened(path) as song:
        about, songs = song.row("metadata/songs"), song.row("analysis/songs")
        chroma = song.array("analysis/segments_pitches", PITCH_CLASSES)
        timbre = song.array("analysis/segments_timbre", TIMBRES)
        starts = song.array("analysis/segments_start")
        if not len(chroma) == len(timbre) == len(starts):
            raise UserError(
                f"{path}: is damaged: {len(starts)} segments, but {len(chroma)} rows of pitches "
                f"and {len(timbre)} of timbre"
            )
        if not len(starts):
            raise UserError(f"{path}: has no segments; it was too short to be analysed")
        tempo, key, mode = (_number(songs, name) for name in ("tempo", "key", "mode"))
        beats, hotness = _number(songs, "time_signature"), _number(about, "song_hotttnesss")
        return Track(
            track_id=_text(songs, "track_id"),
            artist=_text(about, "artist_name"),
            title=_text(about, "title"),
            seconds=_number(songs, "duration") or float(starts[-1]),
            chroma=chroma.astype(np.float32),
            timbre=timbre.astype(np.float32),
            starts=starts,
            tempo_bpm=tempo or None,  # 0: none was found
            key=int(key) if key is not None and 0 <= key < PITCH_CLASSES else None,
            mode=int(mode) if mode in (0, 1) else None,
            time_signature=int(beats) if beats is not None and beats > 0 else None,
            popularity=hotness,
        )


def find_msd_tracks(
    tree: list[Folder],
    *,
    genres: str = "",
    splits: tuple[str, ...] = (),
    lyrics: tuple[str, ...] = (),
    plays: str = "",
    labelled: bool = True,
) -> Found:
    """Every song file of a tree that has a genre.

    Files are not opened, except for their artists where the tree has no unique_tracks.txt.

    Args:
      tree: see `folders.walk`.
      genres: see `labels.read_genres`.
      splits: see `labels.read_splits`; what they do not name is left out.
      lyrics: see `LyricsFiles`.
      plays: see `labels.read_plays`; in place of song_hotttnesss.
      labelled: False: those without a genre, too.

    Raises:
      UserError: one of the other files is missing or damaged, or fits no song of the folder.
    """
    paths, left_out = _paths(tree)
    of_genre = labels.read_genres(genres) if genres else {}
    of_split = labels.read_splits(splits) if splits else {}
    counts = {"tracks": len(paths)}
    if genres:
        labels.check_joined(genres, of_genre.keys(), paths.keys(), what="genre")
        counts["tracks without a genre"] = len(paths.keys() - of_genre.keys())
        counts["genres of absent tracks"] = len(of_genre.keys() - paths.keys())
    if labelled:
        paths = {id: path for id, path in paths.items() if id in of_genre}
    if splits:
        labels.check_joined(splits[0], of_split.keys(), paths.keys(), what="split")
        counts["tracks in no split"] = len(paths.keys() - of_split.keys())
        paths = {id: path for id, path in paths.items() if id in of_split}
    sung = LyricsFiles(lyrics)
    if lyrics:
        labels.check_joined(lyrics[0], sung.ids, paths.keys(), what="lyrics")
        counts["tracks without lyrics"] = len(paths.keys() - sung.ids)
        counts["lyrics of absent tracks"] = len(sung.ids - paths.keys())
        counts["lyrics given twice"] = sung.repeated
    played = labels.read_plays(plays) if plays else {}
    known = _unique_tracks(tree)
    sources = []
    for id, path in paths.items():
        try:
            about = known.get(id) or _about(path)
        except UserError as error:
            left_out.append(Rejected(id, str(error)))
            continue
        sources.append(
            MsdTrack(
                id=id,
                group=artist(f"{about.artist} - {about.title}") or id,
                path=path,
                genre=of_genre.get(id),
                split=of_split.get(id),
                lyrics=sung.of(id),
                plays=played.get(id, played.get(about.song_id)),
            )
        )
    if plays:
        with_plays = {s.id for s in sources if s.plays is not None}
        labels.check_joined(plays, with_plays, {s.id for s in sources}, what="play count")
        counts["tracks without a play count"] = len(sources) - len(with_plays)
    return Found(sorted(sources, key=lambda s: s.id), left_out, counts)


class _About(NamedTuple):
    song_id: str
    artist: str
    title: str


def _paths(tree: list[Folder]) -> tuple[dict[str, pathlib.Path], list[Rejected]]:
    """Song files by track id; those of an id that was there before are left out."""
    paths: dict[str, pathlib.Path] = {}
    left_out = [Rejected(f.id, f.problem) for f in tree if f.problem]
    for folder in tree:
        for name in folder.files:
            if ending(name) in ENDINGS:
                id, path = os.path.splitext(name)[0], folder.path / name
                if id in paths:
                    why = f"{path}: its track is at {paths[id]}, too; that one is used"
                    left_out.append(Rejected(folder.id_of(name), why))
                else:
                    paths[id] = path
    return paths, left_out


def _unique_tracks(tree: list[Folder]) -> dict[str, _About]:
    """What a unique_tracks.txt in the tree says: track id<SEP>song id<SEP>artist<SEP>title."""
    known = {}
    for folder in tree:
        for name in folder.files:
            if name.endswith(UNIQUE_TRACKS):
                for number, line in labels.lines_of(folder.path / name):
                    parts = line.split("<SEP>")
                    if len(parts) != 4:
                        raise UserError(
                            f"{folder.path / name}:{number}: is not track id<SEP>song id<SEP>"
                            "artist<SEP>title"
                        )
                    known[parts[0]] = _About(*parts[1:])
    return known


def _about(path: pathlib.Path) -> _About:
    with _Opened(path) as song:
        row = song.row("metadata/songs")
        return _About(*(_text(row, name) for name in ("song_id", "artist_name", "title")))


class _Opened:
    """An HDF5 file whose every fault is a sentence about it."""

    def __init__(self, path: str | os.PathLike) -> None:
        try:
            import h5py
        except ImportError as error:
            raise UserError(f"{path}: needs h5py: pip install 'mashjax[genre]'") from error
        self._path = path
        if not os.path.isfile(path):
            raise UserError(f"{path}: no such file")
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            why = "is cut short" if "truncated" in str(error) else "cannot be read as HDF5"
            raise UserError(f"{path}: {why}; get it again, or leave it out") from error

    def __enter__(self) -> "_Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def row(self, name: str) -> dict[str, Any]:
        """The one row of a table, by column."""
        table = self._read(name)
        if table.shape != (1,) or table.dtype.names is None:
            raise UserError(
                f"{self._path}: {name} is a table of {table.size} rows; files of one song are read"
            )
        return dict(zip(table.dtype.names, table[0], strict=True)) | {"": self._path}

    def array(self, name: str, columns: int | None = None) -> np.ndarray:
        """Float64 [rows] or [rows, columns], all finite."""
        x = self._read(name)
        if x.dtype.kind != "f" or x.shape[1:] != ((columns,) if columns else ()):
            raise UserError(f"{self._path}: {name} is {x.dtype} {list(x.shape)}; is it another's?")
        if not np.isfinite(x).all():
            raise UserError(f"{self._path}: {name} holds what is no number")
        return x.astype(np.float64)

    def _read(self, name: str) -> np.ndarray:
        try:
            return np.asarray(self._file[name][()])
        except (KeyError, AttributeError, TypeError) as error:
            raise UserError(
                f"{self._path}: has no {name}: it is no song file of the Million Song Dataset"
            ) from error
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(f"{self._path}: {name} is damaged; get the file again") from error


def _text(row: dict[str, Any], column: str) -> str:
    return _cell(row, column).decode("utf-8", "replace")


def _number(row: dict[str, Any], column: str) -> float | None:
    value = float(_cell(row, column))
    return value if math.isfinite(value) else None


def _cell(row: dict[str, Any], column: str) -> Any:
    if column not in row:
        raise UserError(f"{row['']}: has no {column}: it is not of the Million Song Dataset")
    return row[column]
