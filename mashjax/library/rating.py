"""What listeners thought of pairs: kept with what the library knew of them, to be learned from."""

import dataclasses
import time

import sqlalchemy as sa

from mashjax.errors import UserError
from mashjax.library.comparing import Match
from mashjax.library.database import Library
from mashjax.library.learning import STARS
from mashjax.library.segments import SCALARS, Segment
from mashjax.library.tables import RATINGS


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
