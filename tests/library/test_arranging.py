import dataclasses
import io
import json

import mido
import numpy as np
import pytest
import soundfile

from mashjax.audio.files import Clip
from mashjax.errors import UserError
from mashjax.library.arranging import Choice, cue_sheet, piece, play, tempo_map
from mashjax.library.comparing import PARTS, Match
from mashjax.mixing.pipeline import Options
from mashjax.mixing.sets import Tracks

SR = 22050


def matched(part, partner, *, double: float = 1.0, offset: float = 0.0, shift: float = 0.0):
    return Match(
        role="lead",
        total=0.5,
        parts=dict.fromkeys(PARTS, 0.5),
        stretch_percent=100 * (partner.tempo_bpm * double / part.tempo_bpm - 1),
        shift_semitones=shift,
        offset_bars=offset,
    )


def choose(tmp_path, part, partner, **how):
    return Choice(part, partner, tmp_path / "partner.wav", matched(part, partner, **how))


def moved(segment, seconds: float):
    return dataclasses.replace(
        segment,
        start=seconds,
        end=segment.end + seconds,
        beats=segment.beats + np.float32(seconds),
    )


def test_a_piece_is_what_both_share(segment, tmp_path):
    """The partner's first bar at the third of the song's eight, of which it has four."""
    part, partner = segment(0), moved(segment(1, bars=4, tempo=125), 10.0)
    got = piece(choose(tmp_path, part, partner, offset=2.0, shift=1.5), partner=3)
    assert (got.partner, got.semitones) == (3, 1.5)
    np.testing.assert_allclose(got.beats, 4.0 + 0.5 * np.arange(17), atol=1e-5)
    np.testing.assert_allclose(got.partner_beats, 10.0 + 0.48 * np.arange(17), atol=1e-5)
    # It began two bars before the song's part: its last two bars, over the first two.
    got = piece(choose(tmp_path, part, partner, offset=-2.0), partner=0)
    np.testing.assert_allclose(got.beats, 0.5 * np.arange(9), atol=1e-5)
    np.testing.assert_allclose(got.partner_beats, 10.0 + 0.48 * np.arange(8, 17), atol=1e-5)


@pytest.mark.parametrize(("tempos", "double"), [((120, 60), 2), ((60, 120), 0.5)])
def test_half_the_tempo_plays_with_the_whole(segment, tmp_path, tempos, double):
    part, partner = segment(0, tempo=tempos[0]), segment(1, tempo=tempos[1])
    got = piece(choose(tmp_path, part, partner, double=double), partner=0)
    assert len(got.beats) == len(got.partner_beats) == 33
    np.testing.assert_allclose(np.diff(got.beats), 0.5, atol=1e-5)
    np.testing.assert_allclose(np.diff(got.partner_beats), 0.5, atol=1e-5)


def test_a_cue_sheet_counts_in_frames_and_keeps_to_one_line(tmp_path):
    text = cue_sheet(tmp_path / "a.mp3", ['A "b"\nc', "d"], [0.0, 75.52])
    assert text.splitlines() == [
        'FILE "a.mp3" MP3',
        "  TRACK 01 AUDIO",
        "    TITLE \"A 'b' c\"",
        "    INDEX 01 00:00:00",
        "  TRACK 02 AUDIO",
        '    TITLE "d"',
        "    INDEX 01 01:15:39",
    ]


def test_a_tempo_map_leads_to_the_beats():
    beats = np.cumsum(np.concatenate([[0.0], np.full(8, 0.5), np.linspace(0.5, 0.6, 8)]))
    silence = Clip(np.zeros((1, 10), np.float32), SR)
    content = tempo_map(
        Tracks(silence, silence, [0.0, float(beats[8])], beats), ["one", "zwei ☂"], beats_per_bar=3
    )
    midi = mido.MidiFile(file=io.BytesIO(content))
    assert midi.length == pytest.approx(beats[-1], abs=1e-4)
    at, marks, meters = 0.0, [], []
    for event in midi:
        at += event.time
        if event.type == "marker":
            marks.append((event.text, round(at, 3)))
        if event.type == "time_signature":
            meters.append((event.numerator, event.denominator))
    assert marks == [("one", 0.0), ("zwei ?", 4.0)]
    assert meters == [(3, 4)]


def test_a_set_is_written_whole(segment, tmp_path):
    """Two parts of the song, which lie apart, with two places of one partner, 4 % faster."""
    rng = np.random.default_rng(0)
    song, other = tmp_path / "song.wav", tmp_path / "partner.wav"
    soundfile.write(song, 0.1 * rng.normal(size=(60 * SR, 2)), SR)
    soundfile.write(other, 0.1 * rng.normal(size=50 * 16000), 16000)
    four = segment(0, bars=4), segment(1, bars=4, tempo=125)
    choices = [
        choose(tmp_path, four[0], four[1], shift=1.0),
        choose(tmp_path, moved(four[0], 24.0), moved(four[1], 8.0)),
    ]
    out = tmp_path / "set.flac"
    report = play(song, choices, out=out, options=Options(masks="none"))
    assert [one["start"] for one in report["set"]] == [0.0, 8.0]
    assert [one["part"]["start"] for one in report["set"]] == [0.0, 24.0]
    assert [one["partner"]["start"] for one in report["set"]] == [0.0, 8.0]
    assert report["alignment"]["lead"] == 1
    assert json.loads((tmp_path / "set.json").read_text())["set"] == report["set"]
    assert soundfile.info(out).duration == pytest.approx(16.0, abs=1e-3)
    stems = tmp_path / "set_stems"
    names = ["part1.wav", "part2.wav", "song1.wav", "song2.wav", "tempo.mid"]
    assert sorted(p.name for p in stems.iterdir()) == names
    assert "INDEX 01 00:08:00" in (tmp_path / "set.cue").read_text()
    assert mido.MidiFile(stems / "tempo.mid").length == pytest.approx(16.0, abs=1e-4)


def test_a_song_that_became_shorter_is_refused_and_nothing_written(segment, tmp_path):
    song, other = tmp_path / "song.wav", tmp_path / "partner.wav"
    noise = 0.1 * np.random.default_rng(0).normal(size=10 * SR)
    soundfile.write(song, noise, SR)
    soundfile.write(other, noise, SR)
    choices = [choose(tmp_path, segment(0, bars=4), moved(segment(1, bars=4), 4.0))]
    with pytest.raises(UserError, match=r"partner.wav: is shorter than when it was indexed"):
        play(song, choices, out=tmp_path / "set.wav", options=Options(masks="none"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["partner.wav", "song.wav"]
