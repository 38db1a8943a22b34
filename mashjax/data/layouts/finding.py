"""The songs of a folder, by layout, and the files beside the folder that a layout needs."""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Sequence

from mashjax.data.sealing import file_sha256
from mashjax.data.sources import Rejected, Source
from mashjax.data.store import Settings
from mashjax.errors import UserError

LAYOUTS = ("labelled", "stems", "songs", "midi", "melody", "genre")
SCORES = ("midi", "melody")  # those whose sound is made of POP909's folders


@dataclasses.dataclass(frozen=True)
class Beside:
    """Files beside the folder of songs; `LAYOUTS_OF` says which layouts each is for."""

    soundfont: tuple[str, ...] = ()  # .sf2 or .sf3 files
    voices: str = ""  # a folder of recordings, of one voice each, that sing the melodies
    stems_map: str = ""  # a JSON file that says which stems lead
    genres: str = ""  # of these and the following see `layouts.tracks.find_tracks`
    splits: tuple[str, ...] = ()
    lyrics: tuple[str, ...] = ()
    plays: str = ""

    @property
    def recordings(self) -> tuple[pathlib.Path, ...]:
        """The files of `voices`. Raises UserError if there is none."""
        from mashjax.data.layouts.voices import find_voices

        return find_voices(self.voices) if self.voices else ()

    def hashed_into(self, settings: Settings) -> Settings:
        """Settings that say what these files held: with others it is another store."""
        return dataclasses.replace(
            settings,
            soundfont=",".join(map(file_sha256, self.soundfont)),
            voices=",".join(map(file_sha256, self.recordings)),
            stems_map=file_sha256(self.stems_map) if self.stems_map else "",
        )


LAYOUTS_OF = {
    "soundfont": SCORES,
    "voices": SCORES,
    "stems_map": ("stems",),
    **dict.fromkeys(("genres", "splits", "lyrics", "plays"), ("genre",)),
}


def find_songs(
    folder: str | os.PathLike, settings: Settings, beside: Beside
) -> tuple[Sequence[Source], list[Rejected]]:
    """The songs of `folder`, as `settings.layout` says, and what cannot be used.

    Raises:
      UserError: a file is given that is not for this layout, or one that is needed is missing;
        there are no songs; see the layout's `find_...`.
    """
    for name, layouts in LAYOUTS_OF.items():
        if getattr(beside, name) and settings.layout not in layouts:
            raise UserError(
                f"--{name} is for --layout={' or '.join(layouts)}, not for {settings.layout}"
            )
    match settings.layout:
        case "stems":
            from mashjax.data.layouts.stems import find_stems_songs

            return find_stems_songs(folder, stems_map=beside.stems_map or None), []
        case "songs":
            from mashjax.data.layouts.plain_songs import find_plain_songs

            return find_plain_songs(folder), []
        case "midi" | "melody":
            from mashjax.data.layouts.melodies import find_melodies
            from mashjax.data.layouts.midi import find_midi_songs

            scores = find_midi_songs(
                pathlib.Path(folder),
                soundfonts=beside.soundfont,
                voices=beside.recordings,
                seed=settings.seed,
            )
            melody = settings.layout == "melody"
            return find_melodies(scores, settings=settings) if melody else scores, []
        case "labelled":
            from mashjax.data.layouts.labelled import find_mashups

            mashups, left_out = find_mashups(folder)
            return mashups, [Rejected(*one) for one in left_out]
        case "genre":
            from mashjax.data.layouts.tracks import find_tracks

            found = find_tracks(
                folder,
                genres=beside.genres,
                splits=beside.splits,
                lyrics=beside.lyrics,
                plays=beside.plays,
            )
            for what, count in found.counts.items():
                print(f"{count} {what}", file=sys.stderr)
            return found.sources, found.left_out
    raise UserError(f"--layout={settings.layout} is unknown; use {', '.join(LAYOUTS)}")
