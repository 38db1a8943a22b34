"""The genre layout: songs with genres, whatever they come as."""

import dataclasses
import os
import pathlib

from mashjax.data.layouts import msd
from mashjax.data.layouts.audio_tracks import find_audio_tracks, read_audio
from mashjax.data.layouts.folders import ending, walk
from mashjax.data.lyrics import Lyrics, LyricsFiles
from mashjax.data.tracks import Found, Track
from mashjax.errors import UserError


def find_tracks(
    folder: str | os.PathLike,
    *,
    genres: str = "",
    splits: tuple[str, ...] = (),
    lyrics: tuple[str, ...] = (),
    plays: str = "",
    labelled: bool = True,
) -> Found:
    """The songs of a folder: of the Million Song Dataset if it has .h5 files, otherwise audio.

    Args:
      folder: see `find_msd_tracks` and `find_audio_tracks`, which say what the others are.
      labelled: only songs that have a genre.

    Raises:
      UserError: nothing is found, or what is said of the songs elsewhere is missing or damaged.
    """
    tree = walk(folder)
    if any(ending(name) in msd.ENDINGS for f in tree for name in f.files):
        if labelled and not genres:
            raise UserError(
                f"{folder}: song files of the Million Song Dataset do not say their genres: give "
                "--genres=FILE, such as tagtraum's msd_tagtraum_cd2c.cls"
            )
        found = msd.find_msd_tracks(
            tree, genres=genres, splits=splits, lyrics=lyrics, plays=plays, labelled=labelled
        )
    elif plays:
        raise UserError(f"{plays}: play counts are for the Million Song Dataset; see genres.csv")
    else:
        found = find_audio_tracks(
            tree, genres=genres, splits=splits, lyrics=lyrics, labelled=labelled
        )
    return dataclasses.replace(found, counts={k: n for k, n in found.counts.items() if n})


def read_track(path: str | os.PathLike, *, lyrics: tuple[str, ...] = ()) -> Track:
    """One song: a file of the Million Song Dataset, or a sound file.

    lyrics: see `LyricsFiles`; else, song.txt beside song.mp3.

    Raises:
      UserError: it cannot be read, or its words cannot.
    """
    is_msd = ending(os.fspath(path)) in msd.ENDINGS
    track = msd.read_msd(path) if is_msd else read_audio(path)
    words = LyricsFiles(lyrics).of(track.track_id)
    beside = pathlib.Path(path).with_suffix(".txt")
    if words is None and beside.is_file():
        words = Lyrics(beside)
    return dataclasses.replace(track, words=words.read() if words else None)
