import numpy as np
import pytest

from mashjax.music.analysis import Analysis
from mashjax.music.segmentation import segment
from mashjax.music.tonality import Key


def song(sections: list[int], *, silent: int = 0, seed: int = 0) -> Analysis:
    """Sections of so many bars, each with chords and a sound of its own, after silent bars."""
    rng = np.random.default_rng(seed)
    bars = silent + sum(sections)
    beats = 0.5 * np.arange(4 * bars + 1)
    part = np.concatenate([np.full(silent, 0), np.repeat(np.arange(len(sections)), sections)])
    chords = 0.1 + rng.random((len(sections), 4, 12)).round()
    sound = 1 + rng.random((len(sections), 24))
    heard = np.repeat(np.arange(bars) >= silent, 4)[:, None]
    noise = 1 + 0.1 * rng.random((4 * bars, 24))
    return Analysis(
        seconds=float(beats[-1]),
        tempo_bpm=120.0,
        beats=beats,
        downbeats=beats[::4],
        beats_per_bar=4,
        steady=True,
        beat_confidence=1.0,
        key=Key("C", "major", 1.0),
        key_likelihood=np.full((2, 12), 1 / 24),
        tuning_cents=0.0,
        cells=beats,
        chroma=np.repeat(chords[part, np.arange(bars) % 4], 4, axis=0) * heard,
        rhythm=np.ones((4 * bars, 8)),
        spectrum=np.repeat(sound[part], 4, axis=0) * noise * heard,
        voice=0.5,
    )


@pytest.mark.parametrize(
    "sections",
    [[8, 8, 16, 8], [4, 8, 8, 4, 16, 8], [8, 8, 8, 8], [16, 4, 16, 4, 8], [2, 8, 8, 16, 2, 8]],
)
@pytest.mark.parametrize("seed", range(3))
def test_phrases_begin_where_sections_do(sections, seed):
    found = segment(song(sections, seed=seed))
    wanted = {4 * sum(sections[:k]) for k, bars in enumerate(sections) if bars >= 4}
    assert len(wanted & {p.first for p in found}) >= len(wanted) - 1


def test_phrases_are_of_4_8_or_16_bars_and_do_not_overlap():
    rng = np.random.default_rng(1)
    for seed in range(20):
        sections = rng.integers(1, 20, 6).tolist()
        found = segment(song(sections, seed=seed))
        ends = [p.first + 4 * p.bars for p in found]
        assert {p.bars for p in found} <= {4, 8, 16}
        assert all(end <= p.first for end, p in zip(ends, found[1:], strict=False))
        assert ends[-1] <= 4 * sum(sections)
        assert sum(p.bars for p in found) > 0.7 * sum(sections)


def test_silent_bars_are_left_out():
    assert segment(song([8, 8], silent=5))[0].first == 20


def test_less_than_four_bars_are_no_phrase():
    assert segment(song([3])) == []
