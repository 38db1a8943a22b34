"""Two parts that are to sound together: found, matched, and told to the one who mixes them."""

import base64
import threading
from typing import Any

from fastapi import HTTPException

from mashjax.library import finding
from mashjax.library.comparing import Match
from mashjax.library.database import Library
from mashjax.library.finding import Finder, Part, Partner, weights_in_use
from mashjax.library.segments import SCALARS, Segment, pack, unpack


class Partners:
    """Searches a library for whoever asks, one at a time: a `Finder` belongs to one thread."""

    def __init__(self, library: Library):
        self._library, self._finder, self._turn = library, Finder(library), threading.Lock()

    def of(self, query: Part, *, role: str, top: int) -> list[Partner]:
        """The best of the library, best first."""
        weights = weights_in_use(self._library)
        with self._turn:
            return self._finder.partners(query, role=role, top=top, weights=weights)


def match(library: Library, query: Part, partner: Part, *, role: str) -> Match:
    """How two parts go together, as `Partners` would find it.

    Raises:
      HTTPException: 409, no stretch and no shift within the rules bring them together.
    """
    found = finding.match(query, partner, role=role, weights=weights_in_use(library))
    if found is None:
        raise HTTPException(409, "these parts do not go together: their tempi or keys differ")
    return found


def segment_to(segment: Segment) -> dict[str, Any]:
    """A segment as JSON can hold it."""
    scalars = {name: getattr(segment, name) for name in SCALARS}
    return {"scalars": scalars, "arrays": base64.b64encode(pack(segment)).decode()}


def segment_from(sent: dict[str, Any]) -> Segment:
    """The segment of which `segment_to` told."""
    return unpack(base64.b64decode(sent["arrays"]), **sent["scalars"])
