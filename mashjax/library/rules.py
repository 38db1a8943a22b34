"""What must hold before two segments are compared at all: `rules.json`, as SQL.

Within the shifts that are allowed, nearly every key can be had from every other. So the rule of
keys is a rule for the shift: a candidate must reach a related key by a shift within the limits, and
only such shifts are compared. A key that is not sure (`sure_key`) forbids nothing: its segment's
chords are all that is known, and they are compared beat by beat. Of 50 planted pairs (two halves
of a band, `tests/benchmarks/ranking.py`) the rule judges 28 and forbids no true shift; with keys
from a confidence of 0.3 on it would judge 49 and keep two apart whose keys were heard wrongly.
"""

import dataclasses
import functools
import json
import pathlib
from typing import Any

import numpy as np
import sqlalchemy as sa

from mashjax.library.segments import VERSION, Segment
from mashjax.library.tables import SEGMENTS, SONGS
from mashjax.music.alignment import Limits
from mashjax.music.mashability import SHIFTS

MODES = ("major", "minor")


@dataclasses.dataclass(frozen=True)
class Rules:
    """The table, and which of its rows count."""

    meter: list[dict[str, Any]]
    tempo: list[dict[str, Any]]
    keys: list[dict[str, Any]]
    sure_key: float  # confidence from which on a key counts

    def related(self, query: Segment) -> np.ndarray:
        """Which keys, bool [2 (major, minor), 12 tonics], go with the query's."""
        keys = np.zeros((2, 12), bool)
        for row in self.keys:
            if row["query"] == query.mode:
                keys[MODES.index(row["partner"]), (query.tonic + row["semitones"]) % 12] = True
        return keys | (query.key_confidence < self.sure_key)

    def shifts(self, query: Segment, candidates: list[Segment]) -> np.ndarray:
        """By which of `SHIFTS` each candidate reaches a related key, bool [candidates, SHIFTS]."""
        mode = np.array([MODES.index(c.mode) for c in candidates], int)[:, None]
        tonic = np.array([c.tonic for c in candidates], int)[:, None]
        unsure = np.array([c.key_confidence < self.sure_key for c in candidates], bool)[:, None]
        return self.related(query)[mode, (tonic + SHIFTS) % 12] | unsure

    def relation(self, query: Segment, candidate: Segment, *, semitones: int) -> str:
        """What the candidate's key, so many semitones higher, is to the query's; "": no related
        one, or one of the keys is not sure."""
        if min(query.key_confidence, candidate.key_confidence) < self.sure_key:
            return ""
        wanted = (query.mode, candidate.mode, (candidate.tonic + semitones - query.tonic) % 12)
        rows = (r for r in self.keys if (r["query"], r["partner"], r["semitones"]) == wanted)
        return next((row["say"] for row in rows), "")

    def candidates(
        self, query: Segment, *, song_id: int | None, limits: Limits
    ) -> sa.Select[tuple[str]]:
        """The ids of all segments that pass, but for those of the song `song_id`: one text, with
        commas (100,000 ids are read in a tenth of the time that as many rows take)."""
        s = SEGMENTS.c
        outdated = sa.select(SONGS.c.id).where(SONGS.c.version != VERSION)
        conditions = [s.song_id.not_in(outdated), self._reachable(query, limits)]
        if song_id is not None:
            conditions.append(s.song_id != song_id)
        most = 1 + limits.max_stretch
        each = []  # a range of the index each; an OR of them would read the whole index
        for meter in self.meter:
            for tempo in self.tempo:
                bpm = query.tempo_bpm / tempo["times"]
                each.append(
                    sa.select(s.id).where(
                        s.beats_per_bar == round(query.beats_per_bar / meter["times"]),
                        s.tempo_bpm.between(bpm / most, bpm * most),
                        *conditions,
                    )
                )
        ids = sa.union_all(*each).subquery().c.id
        return sa.select(sa.func.aggregate_strings(sa.cast(ids, sa.Text), ","))

    def _reachable(self, query: Segment, limits: Limits) -> sa.ColumnElement[bool]:
        """Whether some shift within the limits leads to a related key."""
        shifts = SHIFTS[np.abs(SHIFTS) <= 2 * limits.max_shift + 0.5]  # tuning adds up to a half
        related = self.related(query)
        keys = np.any([np.roll(related, -shift, axis=1) for shift in shifts], axis=0)
        if keys.all():
            return sa.true()
        s = SEGMENTS.c
        tonics = [np.flatnonzero(of_mode).tolist() for of_mode in keys]
        return sa.or_(
            s.key_confidence < self.sure_key,
            *(
                sa.and_(s.mode == mode, s.tonic.in_(of_mode))
                for mode, of_mode in zip(MODES, tonics, strict=True)
            ),
        )


@functools.cache
def read_rules(*, diagonals: bool = False) -> Rules:
    """The table; diagonals: with the keys that are both a fifth and a mode away."""
    table = json.loads(pathlib.Path(__file__).with_name("rules.json").read_text())
    keys = [row for row in table["keys"] if diagonals or not row.get("diagonal")]
    return Rules(**{**table, "keys": keys})
