"""Where in one recording the windows of another are, at any tempo and in any key.

Everything here is `partials.coarser` by `COARSE`: [BANDS, frames] at `RATE` frames a second.
A ratio that holds for 20 s is searched as such, because a free path strays wherever another song
is louder: DTW of chroma and MFCC frames in 12 keys came within half a second and 2 % for 8 of 20
originals in mashups of real songs, this for all 20.
"""

import numpy as np
from scipy import fft, ndimage

from mashjax.music import partials

COARSE = 4  # frames of `partials` that are taken together: 93 ms
RATE = partials.RATE / COARSE
RATIOS = (0.75, 4 / 3)  # seconds of x per second of y
SHIFTS = np.arange(-6, 6)  # semitones
SEARCH_SECONDS = 20.0
SEARCH_WINDOWS = 16  # at most, spread evenly
RATIO_STEP = 0.01  # at the ends of a search window 50 ms of error: half a frame
CHANCE = 2.5  # standard deviations that any window reaches here and there by chance
PATH_SECONDS, PATH_HOP = 8.0, 2.0
SLIDE = 0.5  # what 93 ms of drift from one window to the next cost the path
JUMP = 60.0  # what a cut or loop costs it: as much as 5 to 15 s that match
CLEAR = 6.0  # above it a window counts as heard, however well
REPEATS, ALIKE, APART = 4, 0.8, 0.5  # kept places, share of the best match, seconds between


def search(x: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    """Ratio and semitones at which most windows of `x` agree where `y` begins."""
    n, w = x.shape[1], min(x.shape[1], round(SEARCH_SECONDS * RATE))
    count = min(SEARCH_WINDOWS, int(np.ceil(2 * (n - w) / w)) + 1)
    begins = np.unique(np.linspace(0, n - w, count).astype(int))
    windows = np.stack([x[:, b : b + w] for b in begins])
    steps = int(np.ceil(np.log(RATIOS[1] / RATIOS[0]) / RATIO_STEP))
    best, found = -1.0, (1.0, 0)
    for ratio in np.geomspace(*RATIOS, steps + 1):
        slow = _slowed(y, ratio=ratio)
        m = slow.shape[1]
        scores, lags = match(windows, slow, shifts=SHIFTS)
        votes = np.zeros((len(SHIFTS), m + n), np.float32)
        for b, score in zip(begins, scores, strict=True):
            clear = np.maximum(score - CHANCE, 0) ** 2
            # Far from the middle of `x` an error of the ratio moves the beginning.
            reach = int(np.ceil(abs(b + w / 2 - n / 2) * RATIO_STEP / 2))
            votes[:, lags + b + m] += ndimage.maximum_filter1d(clear, 2 * reach + 1, axis=1)
        if votes.max() > best:
            best = float(votes.max())
            found = float(ratio), int(SHIFTS[votes.max(axis=1).argmax()])
    return found


def match(
    windows: np.ndarray, y: np.ndarray, *, shifts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How well each of `windows` [windows, bands, w] matches `y` [bands, m] anywhere.

    Returns the correlation [windows, shifts, lags], in standard deviations of each window's,
    and the lags in frames: frame t of a window is frame t - lag of `y`. At least half of the
    window, or of `y`, takes part.
    """
    (_, bands, w), m = windows.shape, y.shape[1]
    size = fft.next_fast_len(m + w, real=True)
    fx = np.ascontiguousarray(fft.rfft(windows, size, axis=2).transpose(2, 0, 1))
    fy = np.conj(fft.rfft(y, size, axis=1)).T
    shifted = np.zeros((*fy.shape, len(shifts)), np.complex64)
    for k, s in enumerate(shifts):
        shifted[:, max(s, 0) : bands + min(s, 0), k] = fy[:, max(-s, 0) : bands - max(s, 0)]
    products = fft.irfft(np.matmul(fx, shifted).transpose(1, 2, 0), size, axis=2)
    half = min(w, m) // 2
    lags = np.arange(half - m, w - half + 1)
    total = np.concatenate([[0.0], np.cumsum((y**2).sum(axis=0), dtype=np.float64)])
    energy = total[np.clip(w - lags, 0, m)] - total[np.clip(-lags, 0, m)]
    scores = products[:, :, lags] / np.sqrt(np.maximum(energy, 0.5 * total[-1] * w / m) + 1e-9)
    return scores / np.sqrt((scores**2).mean(axis=(1, 2), keepdims=True) + 1e-12), lags


def path(
    x: np.ndarray, y: np.ndarray, *, ratio: float
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Windows of `x` without a jump between them: the longest such piece.

    Returns the middle of each in seconds [windows], and the places in `y` where the piece
    matches: as the path has it, and where `y` repeats itself. A place is the time in `y` of
    each window's middle, and its weight, both [windows].
    """
    n, w = x.shape[1], min(round(PATH_SECONDS * RATE), x.shape[1] // 2)
    begins = np.linspace(0, n - w, int(np.ceil((n - w) / (PATH_HOP * RATE))) + 1).astype(int)
    slow = _slowed(y, ratio=ratio)
    m = slow.shape[1]
    found, lags = match(np.stack([x[:, b : b + w] for b in begins]), slow, shifts=np.array([0]))
    scores = np.zeros((len(begins), m + n), np.float32)  # by the frame at which y begins, + m
    for row, b, score in zip(scores, begins, found, strict=True):
        row[lags + b + m] = score[0]
    rows = np.arange(len(begins))
    columns = _best_path(scores)
    heard = np.clip(scores[rows, columns], 0, CLEAR)
    cuts = np.flatnonzero(np.abs(np.diff(columns)) > 1) + 1
    piece = max(np.split(rows, cuts), key=lambda p: heard[p].sum())
    middle = begins[piece] + w / 2
    places = []
    for move in _repeats(scores[piece], columns[piece]):
        at = columns[piece] + move
        source = (middle - (at - m)) / ratio
        places.append((source / RATE, np.clip(scores[piece, at], 0, CLEAR) + 1e-6))
    return middle / RATE, places


def _slowed(y: np.ndarray, *, ratio: float) -> np.ndarray:
    """`y` [bands, frames] lasting `ratio` times as long."""
    return partials.sampled(y, at=np.arange(int((y.shape[1] - 1) * ratio)) / ratio)


def _best_path(scores: np.ndarray) -> np.ndarray:
    """The column of each row of `scores` [rows, columns] on the path with the largest sum.

    From row to row it may slide one column at the cost of `SLIDE`, or go anywhere for `JUMP`.
    """
    total, back = scores[0], []
    columns = np.arange(scores.shape[1])
    for row in scores[1:]:
        padded = np.pad(total, 1, constant_values=-np.inf)
        near = np.stack([padded[:-2] - SLIDE, total, padded[2:] - SLIDE])
        stay, jump = near.max(axis=0), total.max() - JUMP
        back.append(np.where(stay >= jump, columns + near.argmax(axis=0) - 1, total.argmax()))
        total = np.maximum(stay, jump) + row
    best = [int(total.argmax())]
    for pointers in reversed(back):
        best.append(int(pointers[best[-1]]))
    return np.array(best[::-1])


def _repeats(scores: np.ndarray, columns: np.ndarray) -> list[int]:
    """By how many columns the whole path may move and match nearly as well; 0 comes first."""
    rows = np.arange(len(columns))
    moves = np.arange(-columns.min(), scores.shape[1] - columns.max())
    sums = np.array([scores[rows, columns + move].sum() for move in moves])
    least, kept = ALIKE * sums[moves == 0][0], [0]
    for move in moves[np.argsort(-sums)][: np.count_nonzero(sums >= least)]:
        if len(kept) < REPEATS and np.abs(move - np.array(kept)).min() > APART * RATE:
            kept.append(int(move))
    return kept
