import numpy as np
import pytest

from mashjax.music.alignment import Alignment
from mashjax.music.analysis import Analysis
from mashjax.music.structure import novelty, phrases
from mashjax.music.tonality import Key

BEAT = 0.5


def song(bars: int, *, changes: list[int], start: float = 0.0) -> Analysis:
    """Two chords in turn, one a bar; at each of `changes` (bars) they and the sound change."""
    rng = np.random.default_rng(0)
    beats = start + BEAT * np.arange(4 * bars + 1)
    part = np.searchsorted(changes, np.arange(bars), side="right")
    chords = 0.1 + rng.random((len(changes) + 1, 2, 12)).round()
    sound = 1 + rng.random((len(changes) + 1, 24))
    chroma = np.repeat(chords[part, np.arange(bars) % 2], 4, axis=0)
    spectrum = np.repeat(sound[part], 4, axis=0) * (1 + 0.1 * rng.random((4 * bars, 24)))
    return Analysis(
        seconds=float(beats[-1]),
        tempo_bpm=60 / BEAT,
        beats=beats,
        downbeats=beats[::4],
        beats_per_bar=4,
        steady=True,
        beat_confidence=1.0,
        key=Key("C", "major", 1.0),
        key_likelihood=np.full((2, 12), 1 / 24),
        tuning_cents=0.0,
        cells=beats,
        chroma=chroma,
        rhythm=np.ones((4 * bars, 8)),
        spectrum=spectrum,
        voice=0.5,
    )


def aligned(a: Analysis, b: Analysis, *, tempo: float | None = 120.0, ratio: float = 1.0):
    """Both songs from their first beats on, played `ratio` times as long, under song 1's lead."""
    seconds = min(a.seconds - a.beats[0], b.seconds - b.beats[0])
    output = np.array([0.0, ratio * seconds])
    maps = tuple((s.beats[0] + np.array([0.0, seconds]), output) for s in (a, b))
    return Alignment(
        lead=1,
        tempo_bpm=tempo,
        stretch=(ratio, ratio),
        shift_semitones=(0.0, 0.0),
        start_seconds=(float(a.beats[0]), float(b.beats[0])),
        seconds=float(output[-1]),
        time_maps=(maps[0], maps[1]),
        mashability={},
        why="",
    )


def test_the_music_changes_where_it_was_made_to():
    new = novelty(song(40, changes=[16, 28]))
    assert len(new) == 161
    assert (new[:88].argmax(), 88 + new[88:].argmax()) == (64, 112)
    away = np.abs(np.arange(161)[:, None] - [64, 112]).min(axis=1) > 8
    assert new[away].max() < 0.3 * min(new[64], new[112])


@pytest.mark.parametrize("first", [0, 3, 5])
def test_phrases_of_eight_bars_begin_where_the_music_changes(first):
    a = song(48, changes=[first + 8, first + 24, first + 32])
    b = song(48, changes=[first + 24], start=1.0)
    found = phrases(a, b, aligned(a, b, tempo=100.0, ratio=1.2))
    bar = 4 * BEAT * 1.2
    inner = (first or 8) + np.arange(0, 48, 8)
    inner = inner[(inner >= 8) & (inner <= 40)]  # none is shorter than a phrase
    np.testing.assert_allclose(found.edges, [0, *inner * bar, 48 * bar], atol=1e-6)
    assert (found.bars, found.beat) == (8, 0.6)
    assert inner[found.novelty.argmax()] == first + 24  # where both songs change


def test_a_short_mashup_has_phrases_of_four_bars():
    a = song(24, changes=[12])
    found = phrases(a, a, aligned(a, a))
    np.testing.assert_allclose(found.edges, 8.0 * np.arange(7), atol=1e-6)
    assert found.bars == 4


def test_less_than_two_phrases_are_one():
    a = song(6, changes=[])
    found = phrases(a, a, aligned(a, a))
    np.testing.assert_allclose(found.edges, [0, 12])
    assert len(found.novelty) == 0


def test_without_common_beats_there_are_no_phrases():
    a = song(24, changes=[12])
    assert phrases(a, a, aligned(a, a, tempo=None)) is None


def test_music_that_does_not_change_has_no_novelty():
    a = song(24, changes=[])
    flat = Analysis(**{**vars(a), "chroma": np.ones((96, 12)), "spectrum": np.ones((96, 24))})
    assert novelty(flat).max() < 1e-9
    none = {"cells": np.zeros(1), "chroma": np.ones((0, 12)), "spectrum": np.ones((0, 24))}
    np.testing.assert_array_equal(novelty(Analysis(**{**vars(a), **none})), [0])
