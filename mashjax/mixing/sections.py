"""Sections: at phrase boundaries the lead may change from one song to the other."""

import dataclasses
import itertools

import numpy as np

from mashjax.audio.loudness import match
from mashjax.audio.resample import resample
from mashjax.audio.stft import StftSettings
from mashjax.mixing.render import render
from mashjax.mixing.taste import ACTIVE_DB, WORKING_LUFS, Section, band_db, level_times
from mashjax.music import tonality
from mashjax.music.structure import Phrases
from mashjax.music.tiv import tiv
from mashjax.tasks.mashup import Masks

HARMONY = 0.5  # how much the fit of a lead to its backing counts beside how much it sings
CLEAR = 0.25  # what a change must be better by, in phrases sung; twice that where nothing changes


def arrange(
    mono: np.ndarray,
    roles: tuple[Masks, Masks],
    phrases: Phrases,
    *,
    lead: int,
    stft_settings: StftSettings,
) -> tuple[Masks, list[Section]]:
    """Let the lead change between the songs: one mashup's masks made of two, and its sections.

    mono: the aligned songs [2, samples] at the network's rate; roles: the masks under which
    song 1 leads, and those under which song 2 does, both with `mask1` for song 1.
    lead: the song that leads unless the other has clearly more to sing.
    """
    sr = stft_settings.sample_rate
    songs = np.stack([match(y[None], sr=sr, lufs=WORKING_LUFS)[0] for y in mono])
    worth = [
        _worth(songs, masks, phrases, lead=k, stft_settings=stft_settings)
        for k, masks in enumerate(roles, start=1)
    ]
    sections = choose(np.stack(worth), phrases, lead=lead)
    return join(roles, sections, fade=phrases.beat), sections


def choose(worth: np.ndarray, phrases: Phrases, *, lead: int) -> list[Section]:
    """The most worthy lead of each phrase, changing where that is clearly better.

    worth: [2, phrases] of song 1's and song 2's lead. A change is cheaper where the music changes.
    """
    costs = np.concatenate([[CLEAR], CLEAR * (2 - phrases.novelty)])
    total = np.where(np.arange(1, 3) == lead, 0.0, -np.inf)
    changed = []
    for here, cost in zip(worth.T, costs, strict=True):
        change = total[::-1] - cost
        changed.append(change > total)
        total = np.maximum(total, change) + here
    leads = [int(total.argmax())]
    for to in reversed(changed[1:]):
        leads.append(1 - leads[-1] if to[leads[-1]] else leads[-1])
    sections: list[Section] = []
    for (start, end), k in zip(itertools.pairwise(phrases.edges), reversed(leads), strict=True):
        if sections and sections[-1].lead == k + 1:
            sections[-1] = dataclasses.replace(sections[-1], end=float(end))
        else:
            sections.append(Section(float(start), float(end), k + 1))
    return sections


def join(roles: tuple[Masks, Masks], sections: list[Section], *, fade: float) -> Masks:
    """The masks of the song that leads in each section.

    Their powers fade for `fade` seconds, and are there when a section begins: what one of them
    lets through keeps its power together with what the other does, and what both let through
    stays as it is.
    """
    one, two = roles
    at, song2 = [0.0], [sections[0].lead - 1]
    for before, section in itertools.pairwise(sections):
        at += [section.start - fade, section.start]
        song2 += [before.lead - 1, section.lead - 1]
    share = np.interp(one.times, at, song2).astype(np.float32)[:, None]
    power = lambda a, b: np.sqrt((1 - share) * a**2 + share * b**2)  # noqa: E731
    angle = lambda a, b: (1 - share) * a + share * b  # noqa: E731
    return dataclasses.replace(
        one,
        mask1=power(one.mask1, two.mask1),
        mask2=power(one.mask2, two.mask2),
        rotation1=angle(one.rotation1, two.rotation1),
        rotation2=angle(one.rotation2, two.rotation2),
    )


def _worth(
    songs: np.ndarray, masks: Masks, phrases: Phrases, *, lead: int, stft_settings: StftSettings
) -> np.ndarray:
    """What speaks for a song's lead in each phrase: how much it sings, how it fits the backing.

    songs: [2, 1, samples], at the working level.
    """
    sr = stft_settings.sample_rate
    parts = render(songs, sr=sr, masks=masks, stft_settings=stft_settings)
    sings = band_db(parts[lead - 1], sr=sr) > ACTIVE_DB
    fits = _harmony(parts[:, 0], beat=phrases.beat, sr=sr)
    beats = (np.arange(len(fits)) + 0.5) * phrases.beat
    sung = _means(sings, level_times(len(sings), sr=sr), phrases.edges)
    return sung + HARMONY * _means(fits, beats, phrases.edges)


def _harmony(parts: np.ndarray, *, beat: float, sr: int) -> np.ndarray:
    """How close the notes of both `parts` [2, samples] are in each beat, 0..1 as in mashability."""
    vectors = []
    for part in parts:
        found = tonality.peaks(resample(part, sr_in=sr, sr_out=tonality.SR))
        chroma, _ = tonality.pitch_classes(found, tuning_cents=tonality.tuning(found))
        starts = np.arange(0, len(chroma), beat * tonality.SR / tonality.HOP).astype(int)
        vectors.append(tiv(np.add.reduceat(chroma, starts)))
    lengths = np.prod([np.linalg.norm(v, axis=1) for v in vectors], axis=0)
    product = (vectors[0] * np.conj(vectors[1])).sum(axis=1).real
    return 0.5 + 0.5 * product / np.maximum(lengths, 1e-9)


def _means(x: np.ndarray, times: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Means of `x` at `times` between each two `edges`."""
    phrase = np.searchsorted(edges[1:-1], times, side="right")
    count = np.bincount(phrase, minlength=len(edges) - 1)
    return np.bincount(phrase, weights=x, minlength=len(edges) - 1) / np.maximum(count, 1)
