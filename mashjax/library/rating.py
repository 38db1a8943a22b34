"""What listeners thought of pairs: kept with what the library knew of them, to be learned from."""

import dataclasses
import re
import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from mashjax.errors import UserError
from mashjax.library.comparing import PARTS, ROLES, Match
from mashjax.library.comparing import WEIGHTS as DEFAULT_WEIGHTS
from mashjax.library.database import Library
from mashjax.library.finding import Part, match, read_parts, weights_in_use
from mashjax.library.learning import FOLDS, STARS, Learned, learn
from mashjax.library.segments import SCALARS, Segment
from mashjax.library.tables import RATINGS, SEGMENTS, SONGS, WEIGHTS
from mashjax.music.alignment import Limits

LEAST = 2 * FOLDS
"""Rated pairs from which on something is learned, so that some can be held back."""

ANYTHING = Limits(max_stretch=1.0, max_shift=6.0)
"""A pair may have been found within other limits than the defaults."""

_PAIR = re.compile(rf"(\d{{1,15}})-(\d{{1,15}})-({'|'.join(ROLES)})")


@dataclasses.dataclass(frozen=True)
class Side:
    """A segment of the song whose file has this SHA-256."""

    sha256: str
    segment: Segment


def rate(library: Library, query: Side, partner: Side, *, match: Match, rating: int) -> None:
    """Keep what somebody thought of a pair, 1 (bad) to 5 (good), with its score's parts.

    Raises:
      UserError: no such rating; the library cannot be written.
    """
    if rating not in STARS:
        raise UserError(f"a rating of {rating}: say {STARS[0]} (bad) to {STARS[-1]} (good)")
    sides = {"query": query, "partner": partner}
    row = {
        "at": time.time(),
        "role": match.role,
        "parts": {name: float(value) for name, value in match.parts.items()},
        "features": {
            name: {scalar: getattr(side.segment, scalar) for scalar in SCALARS}
            for name, side in sides.items()
        },
        "rating": rating,
    }
    for name, side in sides.items():
        row[f"{name}_sha256"] = side.sha256
        row[f"{name}_start"], row[f"{name}_end"] = side.segment.start, side.segment.end
    with library.writing() as connection:
        connection.execute(sa.insert(RATINGS), row)


def rate_pair(library: Library, pair: str, rating: int) -> Match:
    """Rate a pair by its name. A pair that is rated again has the new rating.

    pair: as `match find` calls it: both segments' ids and the query's role, "12-34-lead".

    Returns what was rated.

    Raises:
      UserError: not a pair, one that is not there any more, one that cannot be mixed; as `rate`.
    """
    named = _PAIR.fullmatch(pair)
    if not named:
        raise UserError(f"{pair}: not a pair; match find names them, such as 12-34-lead")
    ids, role = (int(named[1]), int(named[2])), named[3]
    with library.reading() as connection:
        parts = {part.id: part for part in read_parts(connection, SEGMENTS.c.id.in_(ids))}
        songs = SONGS.c.id.in_([part.song_id for part in parts.values()])
        rows = connection.execute(sa.select(SONGS.c.id, SONGS.c.sha256).where(songs))
        hashes = {row.id: row.sha256 for row in rows}
    for number in ids:
        if number not in parts:
            raise UserError(
                f"{pair}: there is no segment {number} any more, its song was removed or described "
                "anew; run match find again"
            )
    query, partner = (parts[number] for number in ids)
    found = _match(query, partner, role=role, weights=weights_in_use(library))
    if found is None:
        raise UserError(f"{pair}: these two cannot be mixed: not of one meter, tempo and key")
    sides = [Side(hashes[part.song_id], part.segment) for part in (query, partner)]
    rate(library, *sides, match=found, rating=rating)
    return found


def newest_ratings(library: Library) -> list[Any]:
    """The newest rating of each pair: rows of RATINGS."""
    with library.reading() as connection:
        rows = connection.execute(sa.select(RATINGS).order_by(RATINGS.c.id)).all()
    names = [f"{side}_{what}" for side in ("query", "partner") for what in ("sha256", "start")]
    return list(
        {tuple(getattr(row, name) for name in (*names, "role")): row for row in rows}.values()
    )


def learn_weights(library: Library) -> tuple[Learned, int]:
    """Refit the weights of the score from all ratings, and keep them as a new version.

    They come into use if held-out ratings agree with them at least as well as with those before,
    which are kept, too: the default ones as version 1.

    Returns what was learned, and the new version's number.

    Raises:
      UserError: too few ratings, or none that differ.
    """
    rows = [row for row in newest_ratings(library) if set(PARTS) <= set(row.parts)]
    if len(rows) < LEAST:
        raise UserError(
            f"{library.name}: has ratings of {len(rows)} pairs, and to learn from them takes "
            f"{LEAST}; rate more with: python -m mashjax.match rate PAIR 1..5"
        )
    stars = [row.rating for row in rows]
    if len(set(stars)) == 1:
        raise UserError(
            f"{library.name}: all {len(rows)} pairs have the rating {stars[0]}, which says nothing "
            "about what makes one better than another"
        )
    parts = [{name: row.parts[name] for name in PARTS} for row in rows]
    learned = learn(parts, stars, weights=weights_in_use(library))
    agreement = {
        "ratings": learned.ratings,
        "before": learned.agreement_before,
        "after": learned.agreement_after,
    }
    new = {"at": time.time(), "weights": learned.after, "agreement": agreement}
    with library.writing() as connection:
        if connection.scalar(sa.select(sa.func.count()).select_from(WEIGHTS)) == 0:
            default = {"at": time.time(), "weights": DEFAULT_WEIGHTS, "agreement": {}}
            connection.execute(sa.insert(WEIGHTS).values(**default, in_use=True))
        if learned.better:
            connection.execute(sa.update(WEIGHTS).values(in_use=False))
        added = sa.insert(WEIGHTS).values(**new, in_use=learned.better)
        version = connection.scalar(added.returning(WEIGHTS.c.version))
    return learned, version


def _match(query: Part, partner: Part, *, role: str, weights: Mapping[str, float]):
    """As a search within the usual limits finds it; else as one within any may have found it."""
    usual = match(query, partner, role=role, weights=weights)
    return usual or match(
        query, partner, role=role, weights=weights, limits=ANYTHING, diagonals=True
    )
