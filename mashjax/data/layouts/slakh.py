"""Which stem leads a song of Slakh (Manilow et al. 2019), by its metadata.yaml.

Slakh is MIDI files played by samplers: nobody sings, and what carries the melody is not said.
"""

import pathlib
from typing import Any

import yaml

from mashjax.errors import UserError

METADATA = "metadata.yaml"

LEADS: tuple[tuple[int, ...], ...] = (
    (53, 54, 85),  # solo voices: where a MIDI file keeps what was sung
    (80, 81, 82, 83, 84, 86, 87),  # synth leads
    (22, 64, 65, 66, 67, 68, 69, 70, 71),  # reeds, and the harmonica that Slakh counts as an organ
    (72, 73, 74, 75, 76, 77, 78, 79),  # pipes
    (56, 57, 58, 59, 60),  # brass, one player
    (40, 41, 42, 110),  # bowed strings, one player
    (21, 23),  # accordions
    (61, 62, 63),  # brass sections
    (52,),  # choir: mostly chords
    (26, 27, 29, 30),  # electric guitars
    (24, 25, 28, 31),  # other guitars
    (104, 105, 106, 107, 108, 109, 111),  # sitar to shanai
    (8, 9, 10, 11, 12, 13, 14, 15),  # mallets and bells
    (0, 1, 2, 3, 4, 5, 6, 7),  # pianos
    (16, 17, 18, 19, 20),  # organs
    (44, 45, 46, 48, 49, 50, 51, 55),  # strings in sections, harp
    tuple(range(88, 96)),  # pads
)
"""General MIDI programs, from 0, the likeliest melody first. What is not here never leads: basses,
contrabass, timpani, percussion, effects."""

NEVER = ("Drums", "Bass")
"""Classes that never lead, whatever their program."""


def roles(path: pathlib.Path, stems: list[pathlib.Path]) -> dict[pathlib.Path, str]:
    """ "lead", "backing" or "ignore" for each stem file; {} if the file is not Slakh's.

    The stems of the likeliest program lead; where several parts have it, they double or
    answer each other, and all of them lead. Stems without audio of their own, by the file, are
    ignored; stems that it does not list back the lead.

    Raises:
      UserError: the file cannot be read.
    """
    entries = _entries(path)
    if entries is None:
        return {}
    ranks = {p: _rank(entries[p.stem]) for p in stems if p.stem in entries}
    leading = {p: rank for p, rank in ranks.items() if rank is not None}
    first = min(leading.values(), default=None)
    found = {}
    for p in stems:
        silent = entries.get(p.stem, {}).get("audio_rendered") is False
        lead = first is not None and ranks.get(p) == first
        found[p] = "ignore" if silent else "lead" if lead else "backing"
    return found


def _entries(path: pathlib.Path) -> dict[str, dict[str, Any]] | None:
    """The entries of metadata.yaml's `stems`, None if there are none."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it is built
    try:
        fields = yaml.load(path.read_bytes(), Loader=loader)
    except OSError as error:
        raise UserError(f"{path}: may not be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" near line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}: is not readable as YAML{where}; restore it") from error
    entries = fields.get("stems") if isinstance(fields, dict) else None
    if not isinstance(entries, dict):
        return None
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            raise UserError(f"{path}: says nothing about the stem {name}; restore it")
    return {str(name): entry for name, entry in entries.items()}


def _rank(entry: dict[str, Any]) -> tuple[int, int] | None:
    """Place in LEADS and program, smaller is likelier; None if the stem cannot lead."""
    program = entry.get("program_num")
    if entry.get("audio_rendered") is False or entry.get("is_drum"):
        return None
    if entry.get("inst_class") in NEVER:
        return None
    place = next((i for i, programs in enumerate(LEADS) if program in programs), None)
    return None if place is None else (place, LEADS[place].index(program))
