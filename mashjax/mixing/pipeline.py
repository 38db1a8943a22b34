"""Two clips in, one mashup out."""

import concurrent.futures
import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mashjax.audio.files import MIN_SECONDS, Clip
from mashjax.audio.loudness import TARGET_LUFS, master, match
from mashjax.audio.resample import resample, to_channels, to_mono
from mashjax.audio.stretch import warp
from mashjax.errors import UserError
from mashjax.mixing.share import song2_share
from mashjax.mixing.taste import WORKING_LUFS, Levels, Section, weigh
from mashjax.music import structure
from mashjax.music.alignment import Alignment, Limits, align
from mashjax.music.analysis import Analysis, analyse

_CHOICES = {
    "lead": ("auto", "1", "2"),
    "align": ("auto", "none"),
    "masks": ("model", "none"),
    "arrange": ("full", "sections"),
}
_RANGES = {"balance": (-1, 1), "wet": (0, 1), "duck": (0, 24)}


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user may ask of a mashup; times in seconds."""

    checkpoint: str | os.PathLike | None = None  # None: the one shipped in the package
    lead: str = "auto"  # or "1", "2": the song that gives the voice
    align: str = "auto"  # or "none": the files already share one timeline
    masks: str = "model"  # or "none": the aligned overlay
    arrange: str = "full"  # or "sections": the lead changes between the songs
    balance: float = 0.0  # -1: only song 1; 1: only song 2
    wet: float = 1.0  # how far masks and ducking act; 0: the overlay
    melody: bool = False  # a piano plays what the lead sings
    duck: float = 6.0  # dB by which the backing makes way for the lead, at most
    start1: float | None = None
    start2: float | None = None
    duration: float | None = None
    limits: Limits = Limits()
    loudness: float = TARGET_LUFS  # LUFS

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UserError(f"{name} is {getattr(self, name)!r}: say {' or '.join(choices)}")
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(f"{name} is {getattr(self, name):g}: say {low} to {high}")
        if self.arrange == "sections" and self.masks == "none":
            raise UserError("arrange is 'sections' and masks is 'none': sections need the masks")
        if self.melody and (self.masks == "none" or self.arrange == "sections"):
            raise UserError("a melody needs masks='model', to hear the lead, and arrange='full'")


@dataclasses.dataclass(frozen=True)
class Mashup:
    """A mashup and what it was made of.

    y: the mastered mix [channels, samples]; songs: both songs, aligned and whole, and
    parts: what is heard of them (masked, ducked, balanced), each [2, channels, samples];
    parts.sum(0) is the unmastered mix. report: the decisions, as DESIGN's JSON.
    """

    y: np.ndarray
    sr: int
    songs: np.ndarray
    parts: np.ndarray
    report: dict[str, Any]


def make_mashup(
    load: Callable[[int], Clip],
    *,
    names: tuple[str, str],
    options: Options,
    accept: Callable[[int, int], None] = lambda sr, channels: None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Mashup:
    """Read, analyse, align, mask and master two songs.

    load(0) and load(1) give the clips; they are called side by side. accept(sr, channels)
    is told the output's shape as soon as it is known, and may refuse it.

    Raises:
      UserError: what `load` raises; a start beyond the end of a song; an unusable checkpoint.
    """
    clock = Clock()
    with clock("read"):
        progress("reading both songs")
        clips = _both(load)
    with clock("analyse"):
        progress("finding beats and keys")
        analyses = _both(lambda k: _analyse(clips[k]))
    with clock("align"):
        progress("aligning")
        if options.align == "none":
            alignment = _as_is(analyses[0], analyses[1], options)
        else:
            alignment = align(
                *analyses,
                lead=options.lead,
                start1=options.start1,
                start2=options.start2,
                duration=options.duration,
                limits=options.limits,
            )
        sr = clips[alignment.lead - 1].sr
        accept(sr, max(clip.y.shape[0] for clip in clips))
        songs = np.stack(_both(lambda k: _align(clips[k], k, clips, alignment, sr)))
    with clock("model"):
        parts, hop, window = songs, round(0.0232 * sr), 4 * round(0.0232 * sr)
        sections, phrases, duck = [Section(0.0, alignment.seconds, alignment.lead)], None, 0.0
        if options.masks == "model":
            from mashjax.mixing.masking import masked

            progress("asking the network")
            if options.arrange == "sections":
                phrases = structure.phrases(analyses[0], analyses[1], alignment)
            parts, sections, hop, window = masked(
                songs,
                sr=sr,
                sections=sections,
                phrases=phrases,
                checkpoint=options.checkpoint,
                wet=options.wet,
            )
            duck = options.wet * options.duck
        if options.melody:
            from mashjax.mixing.hearing import as_piano

            progress("playing the lead on a piano")
            lead = alignment.lead - 1
            parts[lead] = as_piano(parts[lead], sr=sr, name=names[lead])
        parts, levels = weigh(
            songs, parts, sr=sr, sections=sections, duck=duck, balance=options.balance
        )
        times, share = song2_share(parts, sr=sr, hop=hop, window=window)
    with clock("write"):
        progress("mastering")
        mastered = master(parts.sum(axis=0), sr=sr, lufs=options.loudness)
        y = mastered.y
    arranged = [_who_leads(sections, phrases)] if options.arrange == "sections" else []
    report = {
        "songs": [
            describe(name, clip, analysis)
            for name, clip, analysis in zip(names, clips, analyses, strict=True)
        ],
        "alignment": {
            "lead": alignment.lead,
            "tempo_bpm": _rounded(alignment.tempo_bpm, 3),
            "stretch": [round(x, 5) for x in alignment.stretch],
            "shift_semitones": [round(x, 3) for x in alignment.shift_semitones],
            "start_seconds": [round(x, 4) for x in alignment.start_seconds],
            "mashability": {k: _rounded(v, 3) for k, v in alignment.mashability.items()},
            "why": "; ".join([alignment.why, *arranged]),
        },
        "sections": [
            {"start": round(s.start, 3), "end": round(s.end, 3), "lead": s.lead} for s in sections
        ],
        "mask": {"times": times.round(4).tolist(), "song2_share": share.round(4).tolist()},
        "levels": _told(levels),
        "output": {
            "path": None,
            "sample_rate": sr,
            "channels": y.shape[0],
            "seconds": round(y.shape[1] / sr, 3),
            "lufs": round(mastered.lufs, 2),
            "true_peak_dbtp": round(mastered.true_peak, 2),
        },
        "timing_seconds": clock.seconds,
    }
    return Mashup(y, sr, songs, parts, report)


def _analyse(clip: Clip) -> Analysis:
    return analyse(to_mono(clip.y), sr=clip.sr)


def _as_is(a: Analysis, b: Analysis, options: Options) -> Alignment:
    """The two files as they are: one timeline, no stretch, no shift."""
    starts = (options.start1 or 0.0, options.start2 or 0.0)
    seconds = min(a.seconds - starts[0], b.seconds - starts[1], options.duration or np.inf)
    if seconds < MIN_SECONDS:
        raise UserError(
            f"from {starts[0]:g} s and {starts[1]:g} s on, {max(seconds, 0):g} s are to be mixed; "
            f"at least {MIN_SECONDS:g} s are needed: start earlier, or ask for longer"
        )
    lead = (2 if b.voice > a.voice else 1) if options.lead == "auto" else int(options.lead)
    line = np.array([0.0, seconds])
    return Alignment(
        lead=lead,
        tempo_bpm=(a, b)[lead - 1].tempo_bpm,
        stretch=(1.0, 1.0),
        shift_semitones=(0.0, 0.0),
        start_seconds=starts,
        seconds=seconds,
        time_maps=((starts[0] + line, line), (starts[1] + line, line)),
        mashability={"harmony": None, "rhythm": None, "spectrum": None, "total": None},
        why="taken as one timeline, as asked: neither stretched nor shifted",
    )


def _align(clip: Clip, song: int, clips: list[Clip], alignment: Alignment, sr: int) -> np.ndarray:
    """The song on the common timeline, at the output's rate, channels and working level."""
    source, output = alignment.time_maps[song]
    y = resample(clip.y, sr_in=clip.sr, sr_out=sr)
    y = warp(
        y,
        sr=sr,
        source_times=source,
        output_times=output,
        semitones=alignment.shift_semitones[song],
    )
    y = to_channels(y, channels=max(c.y.shape[0] for c in clips))
    return match(y, sr=sr, lufs=WORKING_LUFS)[0]


def _who_leads(sections: list[Section], phrases: structure.Phrases | None) -> str:
    """What came of `arrange="sections"`."""
    if phrases is None:
        return f"no common bars, so song {sections[0].lead} leads throughout"
    if len(sections) == 1:
        return f"song {sections[0].lead} leads throughout: it has the most to sing"
    times = "once" if len(sections) == 2 else f"{len(sections) - 1} times"
    return f"the lead changes {times}, between phrases of {phrases.bars} bars"


def _told(levels: Levels) -> dict[str, Any]:
    """Levels for the report, in dB."""
    over = levels.lead_over_backing_db
    return {
        "times": levels.times.round(4).tolist(),
        "part_db": levels.part_db.round(1).tolist(),
        "removed_db": levels.removed_db.round(1).tolist(),
        "ducked_db": levels.ducked_db.round(1).tolist(),
        "lead_over_backing_db": [None if np.isnan(x) else round(float(x), 1) for x in over],
    }


def describe(name: str, clip: Clip, analysis: Analysis) -> dict[str, Any]:
    """What the report says of a song."""
    described = {
        "path": name,
        "seconds": round(clip.seconds, 3),
        "sample_rate": clip.sr,
        "channels": clip.y.shape[0],
        "tempo_bpm": _rounded(analysis.tempo_bpm, 3),
        "beats_per_bar": analysis.beats_per_bar if analysis.tempo_bpm else None,
        "key": {
            "tonic": analysis.key.tonic,
            "mode": analysis.key.mode,
            "confidence": round(analysis.key.confidence, 3),
        },
    }
    if clip.note:
        described["note"] = clip.note
    return described


def _both(f: Callable[[int], Any]) -> list[Any]:
    """[f(0), f(1)], side by side: FFT, decoders and resamplers let go of Python's lock."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(f, range(2)))


def _rounded(x: float | None, digits: int) -> float | None:
    return None if x is None else round(x, digits)


class Clock:
    """Seconds per stage, for the report."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._stages: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._stages[stage] = self._stages.get(stage, 0.0) + time.monotonic() - began

    @property
    def seconds(self) -> dict[str, float]:
        total = time.monotonic() - self._began
        return {k: round(v, 3) for k, v in {**self._stages, "total": total}.items()}
