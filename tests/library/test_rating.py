"""What is kept of a listener's verdict, and what is learned from it."""

import contextlib
import dataclasses

import pytest
import sqlalchemy as sa

from mashjax.errors import UserError
from mashjax.library.comparing import WEIGHTS as WEIGHTS_BEFORE
from mashjax.library.comparing import compare
from mashjax.library.database import open_library
from mashjax.library.finding import weights_in_use
from mashjax.library.rating import Side, learn_weights, newest_ratings, rate, rate_pair
from mashjax.library.tables import RATINGS, SONGS, WEIGHTS


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


@pytest.fixture
def library(where, fill, segment):
    """Twelve songs of one segment each, whose ids are 1 to 12."""
    with contextlib.closing(open_library(where, create=True)) as library:
        fill(library, {f"{k}.wav": [segment(k, tempo=118 + k % 5)] for k in range(1, 13)})
        yield library


def rated(library, stars) -> None:
    """Rate all pairs of segment 1 and others with either role by `stars` of the match."""
    for pair in [f"1-{k}-{role}" for k in range(2, 13) for role in ("lead", "backing")]:
        match = rate_pair(library, pair, 3)
        rate_pair(library, pair, stars(match))


def test_a_pair_is_rated_by_its_name(library, segment):
    match = rate_pair(library, "3-2-backing", 2)
    assert match.role == "backing"
    rate_pair(library, "3-2-lead", 4)
    rate_pair(library, "3-2-backing", 5)
    rows = {row.role: row for row in newest_ratings(library)}
    assert {role: row.rating for role, row in rows.items()} == {"backing": 5, "lead": 4}
    assert rows["backing"].parts == pytest.approx(match.parts)
    assert rows["backing"].features["query"]["tempo_bpm"] == 121.0
    with library.reading() as connection:
        hashes = {
            row.id: row.sha256 for row in connection.execute(sa.select(SONGS.c.id, SONGS.c.sha256))
        }
    assert rows["lead"].query_sha256 == hashes[3]
    assert rows["lead"].partner_sha256 == hashes[2]


@pytest.mark.parametrize("pair", ["3-2", "3-2-any", "x", "", "3-2-lead-1", "-3-2-lead", "³-2-lead"])
def test_what_is_no_pair_is_refused(library, pair):
    with pytest.raises(UserError, match="not a pair; match find names them"):
        rate_pair(library, pair, 3)


def test_a_pair_that_is_gone_or_cannot_be_mixed_is_refused(library, fill, segment):
    with pytest.raises(UserError, match="there is no segment 99 any more"):
        rate_pair(library, "1-99-lead", 3)
    with library.writing() as connection:
        connection.execute(sa.delete(SONGS).where(SONGS.c.path == "2.wav"))
    with pytest.raises(UserError, match=r"1-2-lead: there is no segment 2 any more"):
        rate_pair(library, "1-2-lead", 3)
    fill(library, {"waltz.wav": [dataclasses.replace(segment(50), beats_per_bar=3)]})
    with pytest.raises(UserError, match="cannot be mixed: not of one meter"):
        rate_pair(library, "1-13-lead", 3)
    with pytest.raises(UserError, match="a rating of 0"):
        rate_pair(library, "1-3-lead", 0)
    assert newest_ratings(library) == []


def test_weights_are_learned_and_both_versions_are_kept(library):
    """A listener who hears nothing but whether two rhythms go together."""
    order = sorted(rate_pair(library, f"1-{k}-lead", 3).parts["rhythm"] for k in range(2, 13))
    rated(library, lambda match: 1 + sum(match.parts["rhythm"] > order[k] for k in (2, 4, 6, 8)))
    learned, version = learn_weights(library)
    assert learned.ratings == 22 and learned.better and version == 2
    assert learned.after["rhythm"] > WEIGHTS_BEFORE["rhythm"] + 0.02
    assert "22 ratings are few" in learned.note
    assert weights_in_use(library) == pytest.approx(learned.after)
    with library.reading() as connection:
        kept = connection.execute(sa.select(WEIGHTS).order_by(WEIGHTS.c.version)).all()
    assert [row.in_use for row in kept] == [False, True]
    assert kept[0].weights == WEIGHTS_BEFORE
    assert kept[1].agreement["ratings"] == 22
    again, version = learn_weights(library)
    assert version == 3 and again.before == pytest.approx(learned.after)


def test_too_little_to_learn_from_is_refused(library):
    with pytest.raises(UserError, match="has ratings of 0 pairs, and to learn from them takes 10"):
        learn_weights(library)
    rated(library, lambda match: 4)
    with pytest.raises(UserError, match="all 22 pairs have the rating 4"):
        learn_weights(library)
    assert weights_in_use(library) == WEIGHTS_BEFORE
