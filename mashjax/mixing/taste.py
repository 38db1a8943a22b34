"""A lead that is heard over its backing, and the user's hand on both songs."""

import dataclasses

import numpy as np
from scipy import ndimage, signal

WORKING_LUFS = -18.0  # both songs' level before masks: headroom for their sum
BAND = (200.0, 5000.0)  # Hz; where voices live
MARGIN_DB = 1.0
"""The least level of a lead over its backing: what hit records have had on average since 1975
(Gerdes & Siedenburg 2023, "Lead-vocal level in recordings of popular music 1946-2020", JASA
Express Letters 3(4))."""
ACTIVE_DB = WORKING_LUFS - 10  # in that band; below it a lead pauses, or is what masks let slip
HOP_SECONDS = 0.08
LEVEL_FRAMES = 5  # a level looks at 0.4 s, as EBU R128's momentary loudness does
FADE_FRAMES = 7  # ducking takes 0.5 s down and as long up again: a hand on a fader, no pumping
SILENCE_DB = -100.0
_BLOCK = 1 << 19  # samples at a time, so that memory does not grow with the song


@dataclasses.dataclass(frozen=True)
class Section:
    """From `start` to `end` (seconds) song `lead` (1 or 2) gives the lead."""

    start: float
    end: float
    lead: int


@dataclasses.dataclass(frozen=True)
class Levels:
    """Levels between 200 Hz and 5 kHz in dB over `times` (seconds, [frames]).

    part_db: of each song's part as mixed; removed_db: of what the masks took out of each song;
    ducked_db: by how much each part made way for the other's lead, 0 or more; all [2, frames].
    lead_over_backing_db: [frames], the lead by its highest level within 0.3 s; NaN where it pauses.
    """

    times: np.ndarray
    part_db: np.ndarray
    removed_db: np.ndarray
    ducked_db: np.ndarray
    lead_over_backing_db: np.ndarray


def weigh(
    songs: np.ndarray,
    parts: np.ndarray,
    *,
    sr: int,
    sections: list[Section],
    duck: float,
    balance: float,
) -> tuple[np.ndarray, Levels]:
    """Turn the backing down where the lead needs it, then weigh both songs.

    songs, parts: [2, channels, samples] as in `Mashup`; neither is changed. Where the lead is
    active and less than `MARGIN_DB` over the backing, the backing goes down until it is, by `duck`
    dB at most. balance: -1 (song 1 alone) to 1 (song 2 alone): the songs' powers are multiplied
    by 1 - balance and 1 + balance.
    """
    part_db = np.stack([band_db(part, sr=sr) for part in parts])
    removed_db = np.stack(
        [band_db(song, minus=part, sr=sr) for song, part in zip(songs, parts, strict=True)]
    )
    times = level_times(part_db.shape[1], sr=sr)
    starts = [section.start for section in sections]
    lead = np.array([s.lead for s in sections])[np.searchsorted(starts[1:], times, side="right")]
    gains = np.sqrt([1 - balance, 1 + balance])
    sings = np.stack([(lead == k + 1) & (part_db[k] > ACTIVE_DB) for k in range(2)])
    # A syllable counts by its loudest window, not by those that only reach into it.
    loud_db = ndimage.maximum_filter1d(part_db, 2 * LEVEL_FRAMES - 1, axis=1, mode="nearest")
    over_db = loud_db - part_db[::-1]  # each song as the lead over the other
    # Nothing makes way for a lead that the balance takes away.
    ways = [_ducking(over_db[k], sings[k], most=duck) * min(1, gains[k]) for k in range(2)]
    ducked_db = np.stack(ways[::-1])
    if balance or ducked_db.any():
        parts = parts.copy()
        for part, ducked, gain in zip(parts, ducked_db, gains, strict=True):
            _turn_down(part, times, ducked, gain=gain, sr=sr)
    gains_db = _db(gains**2)[:, None]
    over_db = over_db + gains_db - gains_db[::-1] + ducked_db[::-1]
    return parts, Levels(
        times=times,
        part_db=np.maximum(part_db - ducked_db + gains_db, SILENCE_DB),
        removed_db=removed_db,
        ducked_db=ducked_db,
        lead_over_backing_db=np.where(sings.any(axis=0), np.where(lead == 1, *over_db), np.nan),
    )


def band_db(y: np.ndarray, *, sr: int, minus: np.ndarray | None = None) -> np.ndarray:
    """Levels [frames] of `y` [channels, samples], less `minus`, in `BAND`: dB, channels summed."""
    top = min(BAND[1], 0.45 * sr)
    sos = signal.butter(2, (BAND[0], top), "bandpass", fs=sr, output="sos")
    hop = round(HOP_SECONDS * sr)
    block = _BLOCK // hop * hop
    state = np.zeros((len(sos), len(y), 2))
    power = []
    for start in range(0, y.shape[1], block):
        piece = y[:, start : start + block]
        if minus is not None:
            piece = piece - minus[:, start : start + block]
        filtered, state = signal.sosfilt(sos, piece, zi=state)
        filtered = np.pad(filtered, ((0, 0), (0, -filtered.shape[1] % hop)))
        power.append(np.square(filtered).reshape(len(y), -1, hop).mean(axis=2).sum(axis=0))
    return _db(ndimage.uniform_filter1d(np.concatenate(power), LEVEL_FRAMES, mode="nearest"))


def level_times(frames: int, *, sr: int) -> np.ndarray:
    """The middles of the frames of `band_db` in seconds."""
    return (np.arange(frames) + 0.5) * round(HOP_SECONDS * sr) / sr


def _ducking(over_db: np.ndarray, sings: np.ndarray, *, most: float) -> np.ndarray:
    """By how many dB [frames] a backing makes way; it is down before it needs to be."""
    needed = np.where(sings, np.clip(MARGIN_DB - over_db, 0, most), 0.0)
    held = ndimage.maximum_filter1d(needed, FADE_FRAMES, mode="nearest")
    return ndimage.uniform_filter1d(held, FADE_FRAMES, mode="nearest")


def _turn_down(
    part: np.ndarray, times: np.ndarray, ducked_db: np.ndarray, *, gain: float, sr: int
) -> None:
    for start in range(0, part.shape[1], _BLOCK):
        piece = part[:, start : start + _BLOCK]
        at = (start + np.arange(piece.shape[1])) / sr
        piece *= (gain * 10 ** (-np.interp(at, times, ducked_db) / 20)).astype(np.float32)


def _db(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, 10 ** (SILENCE_DB / 10)))
