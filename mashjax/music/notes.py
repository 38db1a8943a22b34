"""What a network says of every frame, as notes: the most probable melody of all.

A melody is notes and rests in turn. Each has a probability for its length, and one note for what
follows it; how pop melodies are written says both. The best melody is found by dynamic
programming over all beginnings and ends (a hidden semi-Markov model; Yu 2010, Artificial
Intelligence 174(2)).
"""

import dataclasses

import numpy as np

from mashjax.audio.midi import Note

# Of 67,000 notes of POP909's melodies: seconds of notes and of rests (log-normal), the share of
# notes that another one follows at once, and how often it is 0, 1, .. 12 semitones away.
NOTE_LOG_SECONDS = (-1.16, 0.69)
REST_LOG_SECONDS = (-1.96, 0.86)
JOINED = 0.33
INTERVALS = (0.23, 0.087, 0.36, 0.14, 0.038, 0.065, 1e-3, 0.041, 9e-3, 0.013, 5e-3, 4e-4, 9e-3)
WIDER = 1e-4

# Found on 24 validation examples: F of onset and pitch .84 (0.35 and 1.0, an earlier network: .73).
# On real singing (five songs' leads by the mask, half a minute of a stem) no others were better.
FRAME_WEIGHT = 0.2
"""How far a frame is believed: neighbouring frames say nearly the same."""
ONSET_WEIGHT = 1.7
ONSETS_A_SECOND = 2.0
"""How many onsets a network expects that knows nothing: it says how likely one is, and what lengths
say of that must not count twice."""
SUNG = 1.0
"""By how much, in log odds of each frame, a note is likelier to sound than the network says, which
learned of clear voices: in real ones, above all in those taken out of a mix, too few are found."""
SURE = 1e-3  # no frame is believed to be surer than this
LONGEST = 2.5  # seconds; notes and rests may be longer, at the price of the last of them


def notes_of(
    note: np.ndarray,
    onset: np.ndarray,
    voicing: np.ndarray,
    *,
    frame_seconds: float,
    lowest: int,
    velocity: int = 80,
) -> list[Note]:
    """The most probable melody.

    note: [frames, pitches], probabilities of the MIDI numbers from `lowest` on if a note sounds;
    onset: [frames], that one begins; voicing: [frames], that one sounds. Frame t stands for the
    time from (t - 1/2) to (t + 1/2) * frame_seconds.
    """
    frames, pitches = note.shape
    if frames == 0:
        return []
    step = max(2, min(round(LONGEST / frame_seconds), frames))
    sung, begins = (np.clip(x.astype(np.float64), SURE, 1 - SURE) for x in (voicing, onset))
    heard = np.empty((pitches + 1, frames))  # the last row is the rest
    heard[:-1] = np.log(sung) + np.log(np.clip(note.T.astype(np.float64), SURE, 1))
    heard[-1] = np.log1p(-sung) - SUNG
    total = np.zeros((pitches + 1, frames + 1))
    np.cumsum(FRAME_WEIGHT * heard, axis=1, out=total[:, 1:])
    usual = ONSETS_A_SECOND * frame_seconds
    struck = ONSET_WEIGHT * (np.log(begins / usual) - np.log((1 - begins) / (1 - usual)))
    lengths = np.stack(
        [_log_lengths(x, step, frame_seconds) for x in (NOTE_LOG_SECONDS, REST_LOG_SECONDS)]
    )
    follows = np.log(JOINED) + _log_intervals(pitches)

    # entered[k, step + t]: the best of all that ends at t and goes on as k, less what k was heard
    # until t. Before 0 there is nothing.
    entered = np.full((pitches + 1, step + frames), -np.inf)
    entered[:-1, step] = struck[0] - np.log(pitches)
    entered[-1, step] = 0.0
    by_age = np.empty((pitches + 1, step))  # the oldest first
    by_age[:-1], by_age[-1] = lengths[0, ::-1], lengths[1, ::-1]
    slope = by_age[:, 0] - by_age[:, 1]  # what a frame more costs one that is older
    older, older_since = np.full(pitches + 1, -np.inf), np.zeros(pitches + 1, int)
    since = np.empty((frames + 1, pitches + 1), np.int32)  # where what ends here began
    before = np.empty((frames + 1, pitches + 1), np.int16)  # and what was before it
    every = np.arange(pitches + 1)
    for t in range(1, frames + 1):
        candidates = entered[:, t : t + step] + by_age
        best = candidates.argmax(axis=1)
        score = candidates[every, best]
        older += slope
        too_old = older > score
        since[t] = np.where(too_old, older_since, t - step + best)
        ended = np.where(too_old, older, score) + total[:, t]
        # The next frame's oldest are one too many for the table.
        leaves = candidates[:, 0]
        newer = leaves > older
        older = np.where(newer, leaves, older)
        older_since = np.where(newer, t - step, older_since)
        if t == frames:
            break
        joined = ended[:-1, None] + follows
        by = joined.argmax(axis=0)
        from_note = joined[by, every[:-1]]
        from_rest = ended[-1] - np.log(pitches)
        before[t, :-1] = np.where(from_rest > from_note, pitches, by)
        before[t, -1] = ended[:-1].argmax()
        entered[:-1, step + t] = np.maximum(from_rest, from_note) + struck[t] - total[:-1, t]
        rested = ended[:-1].max() + np.log1p(-JOINED)
        entered[-1, step + t] = rested - total[-1, t]

    found: list[Note] = []
    t, k = frames, int(ended.argmax())
    while t > 0:
        start = int(since[t, k])
        if k < pitches:
            edges = [max(0.0, (at - 0.5) * frame_seconds) for at in (start, t)]
            found.append(Note(edges[0], edges[1], lowest + k, velocity))
        t, k = start, int(before[start, k])
    return found[::-1]


def with_velocities(notes: list[Note], y: np.ndarray, *, sr: int) -> list[Note]:
    """`notes` as loud as they are sung in `y` [samples]: 40 to 112, 2 for a decibel."""
    edges = np.clip(np.round([[n.start * sr, n.end * sr] for n in notes]).astype(int), 0, len(y))
    power = [float(np.mean(y[a:b].astype(np.float64) ** 2)) if b > a else 0.0 for a, b in edges]
    level = 10 * np.log10(np.maximum(power, 1e-10))
    middle = np.median(level) if len(level) else 0.0
    velocity = np.clip(np.round(80 + 2 * (level - middle)), 40, 112).astype(int)
    return [dataclasses.replace(n, velocity=int(v)) for n, v in zip(notes, velocity, strict=True)]


def _log_lengths(log_seconds: tuple[float, float], count: int, frame_seconds: float) -> np.ndarray:
    """Log probability that something lasts 1 .. `count` frames."""
    mean, deviation = log_seconds
    x = np.log(np.arange(1, count + 2) * frame_seconds)
    density = -x - 0.5 * ((x - mean) / deviation) ** 2 - np.log(deviation * np.sqrt(2 * np.pi))
    return density[:count] + np.log(frame_seconds)


def _log_intervals(pitches: int) -> np.ndarray:
    """Log probability [pitches, pitches] of a note after another."""
    table = np.full(max(pitches, len(INTERVALS)), WIDER)
    table[: len(INTERVALS)] = INTERVALS
    table[1:] /= 2  # up or down
    apart = np.abs(np.arange(pitches)[:, None] - np.arange(pitches))
    return np.log(table[apart])
