"""Audio with genres: folders that are called so, or a table; described by our own analysis.

A table is a CSV file with the columns file (a path below the folder) and genre, and of artist,
title, split and popularity those that are known. Words are in song.txt beside song.mp3.
"""

import csv
import dataclasses
import math
import os
import pathlib

from mashjax.data.layouts import labels
from mashjax.data.layouts.folders import Folder, artist, cannot_be_read, nothing_found
from mashjax.data.lyrics import Lyrics, LyricsFiles
from mashjax.data.sources import Rejected
from mashjax.data.tracks import Found, Track
from mashjax.errors import UserError

TABLE = "genres.csv"
COLUMNS = ("file", "genre", "artist", "title", "split", "popularity")


@dataclasses.dataclass(frozen=True)
class AudioTrack(labels.TrackFile):
    """A song's sound, and what is said of it."""

    artist: str = ""
    title: str = ""
    popularity: float | None = None

    def load(self) -> Track:
        """Raises: UserError: the sound cannot be read, or is too short; the words are damaged."""
        return dataclasses.replace(
            read_audio(self.path),
            track_id=self.id,
            artist=self.artist,
            title=self.title,
            words=self.words,
            genre=self.genre,
            popularity=self.popularity,
            split=self.split,
        )


def read_audio(path: str | os.PathLike) -> Track:
    """Analyse a sound file; a segment is a part of a beat. Nothing but the sound is known of it.

    Raises:
      UserError: it cannot be read, or lasts less than two seconds.
    """
    from mashjax.audio.files import read
    from mashjax.audio.resample import to_mono
    from mashjax.music.timbre import beat_parts
    from mashjax.music.tonality import TONICS

    clip = read(path)
    song = beat_parts(to_mono(clip.y), sr=clip.sr)
    known = song.analysis.key.confidence > 0
    beat = song.analysis.tempo_bpm is not None
    return Track(
        track_id=pathlib.Path(path).stem,
        artist="",
        title=pathlib.Path(path).stem,
        seconds=song.analysis.seconds,
        chroma=song.chroma,
        timbre=song.timbre,
        starts=song.starts,
        tempo_bpm=song.analysis.tempo_bpm,
        key=TONICS.index(song.analysis.key.tonic) if known else None,
        mode=int(song.analysis.key.mode == "major") if known else None,
        time_signature=song.analysis.beats_per_bar if beat else None,
    )


def find_audio_tracks(
    tree: list[Folder],
    *,
    genres: str = "",
    splits: tuple[str, ...] = (),
    lyrics: tuple[str, ...] = (),
    labelled: bool = True,
) -> Found:
    """Every sound file of a tree that has a genre, sorted by id; none is opened.

    An id is a file's path below the tree's root, without its ending.

    Args:
      tree: see `folders.walk`.
      genres: a table; default: genres.csv in the root, or else the names of the folders there.
      splits: see `labels.read_splits`; what they do not name is left out.
      lyrics: see `LyricsFiles`; beside them, text files beside the sounds.
      labelled: False: those without a genre, too.

    Raises:
      UserError: there is no sound; the table is damaged, or names files that are not there.
    """
    root = tree[0]
    if not any(f.audio for f in tree):
        raise nothing_found(tree, wanted="songs (wav, flac, mp3, ogg) or tracks (h5)")
    if not genres and TABLE in root.files:
        genres = os.fspath(root.path / TABLE)
    table = _read_table(genres) if genres else {}
    of_split, sung = labels.read_splits(splits), LyricsFiles(lyrics)
    sources: dict[str, AudioTrack] = {}
    left_out = [Rejected(f.id, f.problem) for f in tree if f.problem]
    for folder in tree:
        for name in folder.audio + folder.unreadable:
            path, file = folder.path / name, folder.id_of(name)
            id = os.path.splitext(file)[0]
            said = table.pop(file, {})
            of_folder = {} if genres or "/" not in file else {"genre": file.split("/")[0]}
            if name in folder.unreadable:
                left_out.append(Rejected(file, cannot_be_read(path)))
            elif id in sources:
                why = f"{path}: {sources[id].path} is called so, too; that one is used"
                left_out.append(Rejected(file, why))
            else:
                words = path.with_suffix(".txt")
                beside = Lyrics(words) if words.name in folder.files else None
                sources[id] = _track(id, path, of_folder | said, lyrics=sung.of(id) or beside)
    if table:
        raise UserError(f"{genres}: names {next(iter(table))}, which is not in {root.path}")
    kept, counts = list(sources.values()), {"tracks": len(sources)}
    if labelled:
        kept = [track for track in kept if track.genre]
        counts["tracks without a genre"] = len(sources) - len(kept)
    if splits:
        labels.check_joined(splits[0], of_split.keys(), sources.keys(), what="split")
        kept = [dataclasses.replace(t, split=of_split.get(t.id)) for t in kept]
    if any(track.split for track in kept):
        counts["tracks in no split"] = sum(not track.split for track in kept)
        kept = [track for track in kept if track.split]
    counts["tracks without lyrics"] = sum(track.lyrics is None for track in kept)
    return Found(sorted(kept, key=lambda track: track.id), left_out, counts)


def _track(id: str, path: pathlib.Path, said: dict[str, str], *, lyrics: Lyrics | None):
    """said: of the columns, those that are known."""
    by = artist(f"{said['artist']} - x") if "artist" in said else artist(path.stem)
    popularity = said.get("popularity")
    return AudioTrack(
        id=id,
        group=by or id,
        path=path,
        artist=said.get("artist", by or ""),
        title=said.get("title", path.stem),
        genre=said.get("genre"),
        split=said.get("split"),
        popularity=None if popularity is None else float(popularity),
        lyrics=lyrics,
    )


def _read_table(path: str | os.PathLike) -> dict[str, dict[str, str]]:
    """Rows by their file: of the known columns, those that are filled in."""
    table: dict[str, dict[str, str]] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not {"file", "genre"} <= set(reader.fieldnames or ()):
                raise UserError(f"{path}: its first line must name the columns file and genre")
            for row in reader:
                where = f"{path}:{reader.line_num}"
                said = {k: row[k].strip() for k in COLUMNS if (row.get(k) or "").strip()}
                if "file" not in said:
                    raise UserError(f"{where}: names no file")
                if "split" in said:
                    said["split"] = _split(said["split"], where)
                if "popularity" in said:
                    _check_number(said["popularity"], where)
                if table.setdefault(said["file"], said) is not said:
                    raise UserError(f"{where}: {said['file']} was named before")
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is no CSV in UTF-8: {error}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return table


def _split(name: str, where: str) -> str:
    if name.lower() not in labels.NAMES:
        raise UserError(f"{where}: its split is {name!r}; use train, valid or test")
    return labels.NAMES[name.lower()]


def _check_number(text: str, where: str) -> None:
    try:
        good = math.isfinite(float(text))
    except ValueError:
        good = False
    if not good:
        raise UserError(f"{where}: its popularity is {text!r}, which is no number")
