"""What is kept of a listener's verdict."""

import contextlib

import pytest
import sqlalchemy as sa

from mashjax.errors import UserError
from mashjax.library.comparing import compare
from mashjax.library.database import open_library
from mashjax.library.rating import Side, rate
from mashjax.library.tables import RATINGS


def test_a_rating_keeps_the_score_and_both_segments_as_they_were(where, segment):
    query, partner = segment(1), segment(2, tempo=124.0)
    match = compare(query, [partner], role="lead")[0]
    sides = Side("a" * 64, query), Side("b" * 64, partner)
    with contextlib.closing(open_library(where, create=True)) as library:
        rate(library, *sides, match=match, rating=4)
        with pytest.raises(UserError, match="a rating of 6: say 1"):
            rate(library, *sides, match=match, rating=6)
        with library.reading() as connection:
            (row,) = connection.execute(sa.select(RATINGS)).all()
    assert (row.rating, row.role, row.parts) == (4, "lead", pytest.approx(match.parts))
    assert (row.query_sha256, row.partner_sha256) == ("a" * 64, "b" * 64)
    assert (row.partner_start, row.partner_end) == (0.0, partner.end)
    assert row.features["partner"]["tempo_bpm"] == 124.0
    assert row.features["query"]["mode"] == "major"
