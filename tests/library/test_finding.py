import contextlib
import dataclasses

import numpy as np
import pytest
import sqlalchemy as sa

from mashjax.errors import UserError
from mashjax.library import finding
from mashjax.library.comparing import WEIGHTS
from mashjax.library.database import open_library
from mashjax.library.finding import Finder, Part, find, parts_of, weights_in_use
from mashjax.library.rules import read_rules
from mashjax.library.segments import VERSION, Song
from mashjax.library.sketching import sketch
from mashjax.library.tables import SEGMENTS, SONGS, segment_row
from mashjax.library.tables import WEIGHTS as WEIGHTS_TABLE
from mashjax.music.alignment import Limits

WIDE = Limits(max_stretch=0.12, max_shift=3)


@pytest.fixture
def library(where):
    with contextlib.closing(open_library(where, create=True)) as library:
        yield library


def add(library, path, *segments, sha256="", version=VERSION) -> int:
    song = {
        "path": path,
        "sha256": sha256 or f"of {path}",
        "size": 1,
        "mtime_ns": 1,
        "added": 0.0,
        "version": version,
        "seconds": 60.0,
        "sample_rate": 44100,
        "channels": 2,
        "beats_per_bar": 4,
        "tonic": 0,
        "mode": "major",
        "key_confidence": 0.9,
        "doubts": ["no clear key"],
    }
    with library.writing() as connection:
        id = connection.scalar(sa.insert(SONGS).returning(SONGS.c.id), song)
        rows = [
            {"song_id": id, **segment_row(dataclasses.replace(s, number=n), sketch=sketch(s))}
            for n, s in enumerate(segments)
        ]
        if rows:
            connection.execute(sa.insert(SEGMENTS), rows)
    return id


def transposed(segment, by, **changes):
    tonic = (segment.tonic + by) % 12
    chroma = np.roll(segment.chroma, by, axis=1)
    return dataclasses.replace(segment, tonic=tonic, chroma=chroma, **changes)


def passed(library, query, *, limits, diagonals=False, song_id=None) -> set[str]:
    """Paths of the songs whose segments the rules let through."""
    rule = read_rules(diagonals=diagonals).candidates(query, song_id=song_id, limits=limits)
    with library.reading() as connection:
        ids = [int(i) for i in (connection.scalar(rule) or "").split(",") if i]
        songs = sa.select(SONGS.c.path).join(SEGMENTS).where(SEGMENTS.c.id.in_(ids))
        return set(connection.scalars(songs))


def test_tempi_and_meters(library, segment):
    query = segment(0, tempo=120)
    for tempo in (107, 108, 132, 134, 55, 60, 66, 67, 240, 264, 180):
        add(library, str(tempo), segment(1, tempo=tempo))
    add(library, "waltz", dataclasses.replace(segment(1, tempo=120), beats_per_bar=3))
    add(library, "old", segment(1, tempo=120), version=VERSION - 1)
    own = add(library, "own", segment(1, tempo=120))
    near = {"108", "132", "55", "60", "66", "240", "264"}
    limits = Limits(max_stretch=0.115, max_shift=6)
    assert passed(library, query, limits=limits) == {*near, "own"}
    assert passed(library, query, limits=limits, song_id=own) == near
    assert passed(library, query, limits=Limits(0.0, 6)) == {"60", "240", "own"}


def test_keys_are_judged_after_the_shift(library, segment):
    """Of all 24 keys, against C major; Camelot's neighbours without a shift."""
    for mode in ("major", "minor"):
        for tonic in range(12):
            add(library, f"{tonic} {mode}", dataclasses.replace(segment(1), tonic=tonic, mode=mode))
    unsure = dataclasses.replace(segment(1), tonic=6, key_confidence=0.0)
    add(library, "unsure", unsure)
    query = segment(0, key=0)
    related = {"0 major", "7 major", "5 major", "9 minor", "unsure"}
    assert passed(library, query, limits=Limits(0.1, 0)) == related
    diagonal = {"4 minor", "2 minor"}
    assert passed(library, query, limits=Limits(0.1, 0), diagonals=True) == related | diagonal
    a_minor = dataclasses.replace(query, tonic=9, mode="minor")
    assert passed(library, a_minor, limits=Limits(0.1, 0)) == {
        "9 minor", "4 minor", "2 minor", "0 major", "unsure",
    }  # fmt: skip
    # One semitone in all (half of one for each song): 0, 5, 7 and their neighbours; 9 and its.
    one = {f"{t} major" for t in (11, 0, 1, 4, 5, 6, 7, 8)} | {f"{t} minor" for t in (8, 9, 10)}
    assert passed(library, query, limits=Limits(0.1, 0.5)) == one | {"unsure"}
    assert len(passed(library, query, limits=WIDE)) == 25
    nothing_known = dataclasses.replace(query, key_confidence=0.0)
    assert len(passed(library, nothing_known, limits=Limits(0.1, 0))) == 25


def test_the_planted_partner_is_first_with_its_transform_and_a_reason(library, segment):
    query = segment(0, tempo=120)
    planted = transposed(query, -2, tempo_bpm=124.8)
    for number in range(1, 30):
        add(library, f"{number}.wav", transposed(segment(number, tempo=119), number))
    id = add(library, "planted.wav", segment(50), planted, segment(51))
    found = Finder(library).partners(Part("query", query), role="lead", limits=WIDE, top=5)
    best = found[0]
    assert (best.part.song, best.part.song_id, best.part.segment.number) == ("planted.wav", id, 1)
    assert best.match.shift_semitones == pytest.approx(2)
    assert best.match.stretch_percent == pytest.approx(4, abs=0.01)
    assert best.why.startswith(
        "same tempo once it is played 4.0 % slower, in the same key once it is moved 2 semitones "
        "up, the chords change together, "
    )
    assert len(found) == 5 and len({p.part.song for p in found}) == 5  # one segment of each song
    totals = [p.match.total for p in found]
    assert totals == sorted(totals, reverse=True)


def test_only_shifts_to_related_keys_are_compared(library, segment):
    """The chords would agree best a tritone away from where the keys say they may."""
    query = segment(0)
    wrong = dataclasses.replace(transposed(query, 3), tonic=9)
    add(library, "x", wrong)
    finder = Finder(library)
    best = finder.partners(Part("query", query), limits=WIDE)[0]
    assert (9 + round(best.match.shift_semitones)) % 12 in (0, 5, 7)
    unsure = dataclasses.replace(query, key_confidence=0.0)
    assert finder.partners(Part("query", unsure), limits=WIDE)[0].match.shift_semitones == -3


def test_a_finder_sees_what_comes_and_goes(library, segment):
    finder, query = Finder(library), Part("query", segment(0))

    def songs():
        return {partner.part.song for partner in finder.partners(query, limits=WIDE)}

    assert songs() == set()
    add(library, "a", segment(1))
    assert songs() == {"a"}
    add(library, "b", segment(2))
    assert songs() == {"a", "b"}
    with library.writing() as connection:
        connection.execute(sa.delete(SONGS).where(SONGS.c.path == "b"))
    assert songs() == {"a"}
    add(library, "c", segment(3))
    assert songs() == {"a", "c"}


def test_what_another_version_sketched_is_not_read(library, segment):
    add(library, "old", segment(1), version=VERSION - 1)
    with library.writing() as connection:
        connection.execute(sa.update(SEGMENTS).values(sketch=b"shorter"))
    add(library, "new", segment(2))
    found = Finder(library).partners(Part("query", segment(0)), limits=WIDE)
    assert [partner.part.song for partner in found] == ["new"]


def test_a_song_of_the_library_is_known_by_its_content_or_path(
    library, segment, tmp_path, monkeypatch
):
    path = tmp_path / "elsewhere.wav"
    path.write_bytes(b"sound")
    sha256 = finding.file_sha256(path)
    id = add(library, "x.wav", segment(0), segment(1), sha256=sha256)
    add(library, "old.wav", segment(2), version=VERSION - 1)
    add(library, "beatless.wav")
    for song in (path, "x.wav"):
        parts = parts_of(song, library)
        assert [(p.song, p.song_id, p.segment.number) for p in parts] == [
            ("x.wav", id, 0), ("x.wav", id, 1),
        ]  # fmt: skip
    assert all(partner.part.song_id != id for _, found in find(path, library) for partner in found)
    with pytest.raises(
        UserError, match=r"beatless.wav: has no part that could be matched: no clear"
    ):
        parts_of("beatless.wav", library)
    with pytest.raises(UserError, match=r"old.wav: no such file"):
        parts_of("old.wav", library)
    path.write_bytes(b"other sound")
    song = Song(9.0, 44100, 2, 120.0, 4, 0, "major", 0.5, (), (segment(4),))
    monkeypatch.setattr(finding, "song_of", {path: song}.get)
    assert [(p.song, p.id) for p in parts_of(path, library)] == [(str(path), None)]


def test_a_library_without_songs_of_this_version_says_so(library, segment):
    add(library, "old.wav", segment(2), version=VERSION - 1)
    with pytest.raises(UserError, match="has no songs that this mashjax described"):
        find("old.wav", library)


def test_learned_weights_are_used(library):
    assert weights_in_use(library) == WEIGHTS
    learned = {**WEIGHTS, "harmony": 0.9}
    with library.writing() as connection:
        for in_use, weights in ((False, WEIGHTS), (True, learned), (False, {})):
            row = {"at": 0.0, "weights": dict(weights), "agreement": {}, "in_use": in_use}
            connection.execute(sa.insert(WEIGHTS_TABLE), row)
    assert weights_in_use(library) == learned


def test_explanations_count_beats(library, segment):
    slow = segment(3, bars=8, tempo=60)
    add(library, "slow", slow)
    found = Finder(library).partners(Part("query", segment(0, tempo=120)), limits=WIDE)
    assert found[0].why.startswith("same tempo after doubling, ")
