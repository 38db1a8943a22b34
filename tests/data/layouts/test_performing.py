import numpy as np
import pytest

from mashjax.audio.midi import Note
from mashjax.data.layouts.performing import RATE, SHORTEST, perform, span
from mashjax.data.layouts.singer import sing_freely

SCORE = [Note(0.5 * k, 0.5 * k + 0.4, 60 + (0, 2, 4, 4)[k % 4], 100) for k in range(40)]
SECONDS = 20.5


@pytest.fixture(scope="module")
def performances():
    return [perform(SCORE, seconds=SECONDS, rng=np.random.default_rng(k)) for k in range(30)]


def test_notes_are_the_melodys_one_after_another_and_near_their_times(performances):
    for sung in performances:
        assert [n.pitch for n in sung.notes] == [n.pitch for n in SCORE][: len(sung.notes)]
        assert len(sung.notes) >= len(SCORE) - 1
        for note, following in zip(sung.notes, sung.notes[1:], strict=False):
            assert note.end <= following.start + 1e-9
            assert note.end - note.start >= SHORTEST - 1e-9
        away = [a.start - b.start for a, b in zip(sung.notes, SCORE, strict=False)]
        assert np.abs(away).max() < 0.2


def test_singers_differ_and_all_sing_about_in_tune(performances):
    tuning, joined = [], []
    for sung in performances:
        middles = [span((n.start + n.end) / 2, n.end) for n in sung.notes]
        out = [np.median(sung.pitch[m]) - n.pitch for m, n in zip(middles, sung.notes, strict=True)]
        assert np.mean(np.abs(out) < 0.6) > 0.9  # of what ends a note, a fall may be more
        tuning.append(np.median(out))
        pairs = list(zip(sung.notes, sung.notes[1:], strict=False))
        joined.append(np.mean([a.end == b.start for a, b in pairs]))
    assert np.ptp(tuning) > 0.4
    assert min(joined) < 0.6 and max(joined) > 0.85


def test_notes_on_one_syllable_are_connected_and_differ(performances):
    for sung in performances:
        starts = {n.start for n in sung.syllables}
        assert sung.syllables[-1].end == sung.notes[-1].end
        for note, following in zip(sung.notes, sung.notes[1:], strict=False):
            if following.start not in starts:
                assert note.end == following.start and note.pitch != following.pitch
    assert any(len(sung.syllables) < len(sung.notes) for sung in performances)


def test_what_is_sung_sounds_at_the_pitch_and_where_it_is_said_to():
    """By autocorrelation, within 30 cents, of the frames that are steady and voiced."""
    sr = 16000
    y, sung, voiced = sing_freely(SCORE, seconds=SECONDS, sr=sr, rng=np.random.default_rng(3))
    right = []
    for note in sung.notes:
        k = round((note.start + 0.6 * (note.end - note.start)) * RATE)
        frame = y[round(k / RATE * sr) - 400 :][:800] * np.hanning(800)
        if not voiced[k - 5 : k + 5].all() or np.ptp(sung.pitch[k - 5 : k + 5]) > 0.2:
            continue
        likeness = np.fft.irfft(np.abs(np.fft.rfft(frame, 16384)) ** 2)
        lag = sr / (440 * 2 ** ((sung.pitch[k] - 69) / 12))
        near = slice(int(lag * 0.8), int(lag * 1.25))
        peak = near.start + np.argmax(likeness[near])
        right.append(abs(12 * np.log2(peak / lag)) < 0.3)
    assert len(right) > 15
    assert np.mean(right) > 0.9
    quiet = np.ones(len(voiced), bool)
    for note in sung.notes:
        quiet[span(note.start - 0.1, note.end + 0.1)] = False
    assert not voiced[quiet].any()
