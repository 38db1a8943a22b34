"""Tempo and beats: a rough path through the song, refitted to one grid where there is one."""

import dataclasses

import numpy as np
from scipy import fft, ndimage

from mashjax.music.onsets import Onsets, frame_of, time_of

COARSE = 3  # frames of novelty per frame in which tempo and the rough path are searched
WINDOW = 8.0  # seconds of each local autocorrelation
TEMPI = 40.0 * 2 ** np.arange(0, 2.6, 1 / 60)  # BPM, 1.2 % apart
PREFERRED = 115.0  # BPM; the prior's middle
MULTIPLES = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1, 3 / 2, 2, 3, 4, 6, 8)  # of the beat
# What autocorrelation at those lags says for a tempo, in the two low groups of bands and in
# the two high ones, and what the tempo itself says: softmax regression on 160 made songs, 50
# pop songs rendered from MIDI and 23 recordings.
LOW_WEIGHTS = 7 * np.array(
    [-1.88, -0.12, -0.36, -0.33, 0.03, 0.43, 0.50, 0.04, -0.30, 1.59, -0.03, 0.75]
)
HIGH_WEIGHTS = 7 * np.array(
    [1.44, 0.28, -0.05, -0.40, -0.06, 1.79, 0.27, 0.32, -0.28, -0.43, 1.41, -0.08]
)
TEMPO_SLOPE = 0.26
TEMPO_BEND = -2.43
GROUPS = (slice(0, 3), slice(3, 9), slice(9, 16), slice(16, 24))  # bands heard separately
TIGHTNESS = 100.0
WEAKEST = 0.04  # novelty of the strongest onsets; a drone has 0.03, soft pads with a kick 0.05
FLATTEST = 2.0  # strong onsets over the mean; noise has 1.75, soft pads with a kick 2.2
SLACK = 0.060  # seconds around a beat in which its onset is looked for
EARLIEST = 0.025  # seconds before the highest, where such a top may lie
RISE = 0.7  # of the folded onsets' top, where a beat is said to be
RISE_DELAY = 0.006  # seconds from there to the onset: between a click, 8 ms, and a soft tone, 4 ms
FIRST_TOP = 0.3  # of the highest, from which on an earlier top is the beat
NEAR = 0.12  # beats; a steady song's rough path is mostly so near its grid or halfway off
STEADY = 0.020  # seconds which the beats of a steady song may stray from its grid


@dataclasses.dataclass(frozen=True)
class Beats:
    """times [n] in seconds; confidence 0..1; steady: an exact grid."""

    times: np.ndarray
    tempo_bpm: float | None
    steady: bool
    confidence: float


NONE = Beats(times=np.zeros(0), tempo_bpm=None, steady=True, confidence=0.0)


def track(o: Onsets, *, seconds: float) -> Beats:
    """Beats of the whole song from its novelty.

    The rough path is Ellis's dynamic programming (2007, J. New Music Res. 36(1)) with a
    period that follows the local tempo; the grid is the frequency at which the novelty's
    Fourier transform and its multiples peak, and its phase is where the folded onset rises.
    """
    rate = o.rate / COARSE
    if len(o.total) < 2 * o.rate or not _has_onsets(o.total):
        return NONE
    n = _coarse(o.total)
    periods, clarity = _local_periods(
        [_coarse(o.novelty[g].mean(axis=0)) for g in GROUPS], rate=rate
    )
    path = _path(n, periods=periods * rate)
    if len(path) < 4:
        return NONE
    rough = np.asarray(time_of((path + 0.5) * COARSE - 0.5))
    fine = ndimage.gaussian_filter1d(o.total, 1.5)
    steady, times = _grid(fine, n, rate=rate, rough=rough, seconds=seconds)
    if not steady:
        times = _follow(fine, rough)
    times = settle(times, o=o, seconds=seconds)
    tempo = 60.0 / float(np.median(np.diff(times)))
    return Beats(times=times, tempo_bpm=tempo, steady=steady, confidence=float(min(1, clarity)))


def settle(beats: np.ndarray, *, o: Onsets, seconds: float) -> np.ndarray:
    """`beats` moved together onto the onsets around them, and continued to both ends."""
    beats = beats + _phase(o, beats)
    before, after = np.median(np.diff(beats)[:8]), np.median(np.diff(beats)[-8:])
    head = beats[0] - before * np.arange(max(0, int(beats[0] / before)), 0, -1)
    tail = beats[-1] + after * np.arange(1, max(0, int((seconds - beats[-1]) / after)) + 1)
    beats = np.concatenate([head, beats, tail])
    return beats[(beats >= 0) & (beats < seconds)]


def _has_onsets(novelty: np.ndarray) -> bool:
    """Whether sound begins at all: a drone's novelty is weak, a noise's has no peaks."""
    n = len(novelty) // COARSE * COARSE
    x = novelty[:n].reshape(-1, COARSE).mean(axis=1)
    strong, average = np.quantile(x, 0.98), x.mean()
    return bool(strong > WEAKEST and strong > FLATTEST * average)


def _coarse(novelty: np.ndarray) -> np.ndarray:
    """Novelty every `COARSE` frames, its slow swell taken out, unit standard deviation."""
    n = len(novelty) // COARSE * COARSE
    x = novelty[:n].reshape(-1, COARSE).mean(axis=1)
    x = np.maximum(0.0, x - ndimage.uniform_filter1d(x, 101))
    x = x / np.sqrt(ndimage.uniform_filter1d(x * x, 1001) + 0.05 * np.mean(x * x) + 1e-9)
    return x.astype(np.float64)


def _local_periods(groups: list[np.ndarray], *, rate: float) -> tuple[np.ndarray, float]:
    """The beat's period in seconds at each frame, and how clear it is (0..1)."""
    frames = len(groups[0])
    length = int(min(WINDOW * rate, frames))
    starts = np.arange(0, max(1, frames - length + 1), int(rate))
    acfs = [_autocorrelation(n, starts=starts, length=length) for n in groups]
    half = len(acfs) // 2
    rhythm = np.zeros((len(starts), len(TEMPI)))
    clarity = np.zeros((len(starts), len(TEMPI)))
    for part, weights in ((acfs[:half], LOW_WEIGHTS), (acfs[half:], HIGH_WEIGHTS)):
        at = _at_multiples(np.mean(part, axis=0), lags=60.0 / TEMPI * rate)
        rhythm += np.einsum("m,mst->st", weights, at)
        clarity += at[[MULTIPLES.index(m) for m in (1, 2, 4)]].mean(axis=0) / 2
    octaves = np.log2(TEMPI / PREFERRED)
    score = 0.5 * (rhythm + rhythm.mean(axis=0)) + TEMPO_SLOPE * octaves + TEMPO_BEND * octaves**2
    best = _viterbi(score)
    centres = starts + length / 2
    periods = np.interp(np.arange(frames), centres, 60.0 / TEMPI[best])
    return periods, float(np.mean(clarity[np.arange(len(starts)), best]))


def _at_multiples(acf: np.ndarray, *, lags: np.ndarray) -> np.ndarray:
    """`acf` [starts, length] at `MULTIPLES` of `lags`, [multiples, starts, lags].

    Where the window is too short for a bar, two beats stand for it.
    """
    values = []
    for m in MULTIPLES:
        at = np.minimum(m * lags, acf.shape[1] - 2)
        i = at.astype(int)
        values.append(acf[:, i] * (1 - at + i) + acf[:, i + 1] * (at - i))
    fits = [m * lags < 0.93 * acf.shape[1] for m in MULTIPLES]
    two, four = MULTIPLES.index(2), MULTIPLES.index(4)
    values[four] = np.where(fits[four], values[four], values[two])
    return np.stack([np.where(ok, v, values[four]) for ok, v in zip(fits, values, strict=True)])


def _autocorrelation(n: np.ndarray, *, starts: np.ndarray, length: int) -> np.ndarray:
    """Of each window of `n`, [starts, length]; lag 0 is 1, the shrinking overlap made up for."""
    size = fft.next_fast_len(2 * length)
    view = np.lib.stride_tricks.sliding_window_view(ndimage.gaussian_filter1d(n, 1.0), length)[
        starts
    ]
    x = view - view.mean(axis=1, keepdims=True)
    acf = fft.irfft(np.abs(fft.rfft(x, size, axis=1)) ** 2, axis=1)[:, :length]
    acf = acf / (acf[:, :1] + 0.1 * acf[:, :1].mean() + 1e-9 * length)
    return acf * (length / (length - np.arange(length) * 0.9))


def _viterbi(score: np.ndarray) -> np.ndarray:
    """The best path through `score` [time, tempo]; a step of one tempo costs 0.5, up to 8."""
    steps = np.arange(-8, 9)
    cost = 0.5 * np.abs(steps)
    total = score[0]
    back = []
    for row in score[1:]:
        padded = np.pad(total, 8, constant_values=-np.inf)
        choices = np.lib.stride_tricks.sliding_window_view(padded, 17) - cost
        back.append(choices.argmax(axis=1))
        total = choices.max(axis=1) + row
    path = [int(total.argmax())]
    for choice in reversed(back):
        path.append(path[-1] + int(steps[choice[path[-1]]]))
    return np.array(path[::-1])


def _path(n: np.ndarray, *, periods: np.ndarray) -> np.ndarray:
    """Beat frames that maximise novelty minus the squared log of each interval's error."""
    width = 0.03
    sigma = max(1.0, float(np.median(periods)) * width)
    local = ndimage.gaussian_filter1d(n, sigma)
    local = local / (local.std() + 1e-9)
    total = local.copy()
    back = np.full(len(n), -1)
    penalties: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    rounded = np.round(periods).astype(int)
    for i in range(len(n)):
        p = int(rounded[i])
        if p not in penalties:
            ago = np.arange(round(p / 2), 2 * p + 1)[::-1]
            penalties[p] = ago, -TIGHTNESS * np.log(ago / p) ** 2
        ago, penalty = penalties[p]
        if i < ago[0]:
            keep = ago <= i
            ago, penalty = ago[keep], penalty[keep]
            if not len(ago):
                continue
        choices = total[i - ago[0] : i - ago[-1] + 1] + penalty
        j = int(choices.argmax())
        if choices[j] > 0 or back[i - ago[j]] >= 0:
            total[i] = local[i] + choices[j]
            back[i] = i - ago[j]
    tail = int(2 * rounded[-1])
    i = len(n) - tail + int(total[-tail:].argmax()) if tail < len(n) else int(total.argmax())
    frames = [i]
    while back[i] >= 0:
        i = int(back[i])
        frames.append(i)
    return np.array(frames[::-1], float)


def _grid(
    fine: np.ndarray, n: np.ndarray, *, rate: float, rough: np.ndarray, seconds: float
) -> tuple[bool, np.ndarray]:
    """Whether one grid holds throughout, and its beats from 0 to `seconds`."""
    guess = 1.0 / np.median(np.diff(rough))
    size = fft.next_fast_len(8 * len(n))
    spectrum = np.abs(fft.rfft(n - n.mean(), size))
    step = rate / size
    f = np.arange(int(guess * 0.98 / step), int(guess * 1.02 / step) + 2)
    multiples = [(1, 1.0), (2, 1.0), (3, 0.5), (4, 1.0)]
    power = sum(
        w * ndimage.maximum_filter1d(spectrum, k + 1 | 1)[np.minimum(k * f, len(spectrum) - 1)]
        for k, w in multiples
    )
    period = 1.0 / (f[int(np.argmax(power))] * step)
    phase = rough[len(rough) // 2]
    for _ in range(4):
        k = np.arange(np.ceil(-phase / period), np.ceil((seconds - phase) / period))
        beats = phase + period * k
        shift, weight = _offsets(fine, beats, around=4.0)
        keep = weight > 0.1 * weight.max()
        for _ in range(5):
            slope, level = _line(k[keep], shift[keep], weight[keep])
            residual = shift - (slope * k + level)
            keep = (weight > 0.1 * weight.max()) & (np.abs(residual) < STEADY)
            if keep.sum() < 4:
                return False, rough
        period, phase = period + slope, phase + level
    weight = np.minimum(weight, np.median(weight[weight > 0]))
    inside = float(weight[np.abs(residual) < STEADY].sum() / weight.sum())
    k = np.arange(np.ceil(-phase / period), np.ceil((seconds - phase) / period))
    stray = (rough - phase) / period * 2
    near = float(np.mean(np.abs(stray - np.round(stray)) < 2 * NEAR))
    return inside > 0.85 and near > 0.7, phase + period * k


def _line(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Slope and level of the weighted least-squares line through (x, y)."""
    share = weight / weight.sum()
    centre, level = share @ x, share @ y
    spread = share @ (x - centre) ** 2
    slope = share @ ((x - centre) * (y - level)) / spread if spread > 0 else 0.0
    return float(slope), float(level - slope * centre)


def _follow(fine: np.ndarray, rough: np.ndarray) -> np.ndarray:
    """Beats of a song that drifts: the rough ones moved to their onsets and smoothed."""
    beats = rough
    for _ in range(3):
        shift, weight = _offsets(fine, beats, around=0.7)
        trust = weight / (weight + 0.3 * np.median(weight) + 1e-9)
        beats = beats + trust * shift
        interval = ndimage.gaussian_filter1d(np.diff(beats), 1.0)
        smooth = np.concatenate([[0.0], np.cumsum(interval)])
        smooth += ndimage.gaussian_filter1d(beats - smooth, 2.0, mode="nearest")
        beats = smooth
    return beats


def _offsets(
    fine: np.ndarray, beats: np.ndarray, *, around: float
) -> tuple[np.ndarray, np.ndarray]:
    """How late, in seconds, the onsets around each beat are against the average beat's.

    Each beat's novelty, averaged over its neighbours with a Gaussian of `around` beats, is
    correlated with the mean of all. Returns shifts and their weights, both [beats].
    """
    reach, steps = 2 * SLACK, 83
    tau = np.linspace(-reach, reach, steps)
    at = frame_of(beats[:, None] + tau)
    cut = np.interp(at, np.arange(len(fine)), fine, left=0.0, right=0.0)
    template = ndimage.gaussian_filter1d(cut.mean(axis=0), 1.0)
    template = (template - template.mean()) * np.hanning(steps)
    local = ndimage.gaussian_filter1d(cut, around, axis=0, mode="constant")
    size = fft.next_fast_len(2 * steps)
    product = fft.rfft(local, size, axis=1) * np.conj(fft.rfft(template, size))
    cross = fft.irfft(product, size, axis=1)
    most = int(SLACK / (tau[1] - tau[0]))
    lags = np.arange(-most, most + 1)
    cross = cross[:, lags]
    best = cross.argmax(axis=1)
    peak = cross[np.arange(len(beats)), best]
    inner = np.clip(best, 1, len(lags) - 2)
    left, mid, right = (cross[np.arange(len(beats)), inner + d] for d in (-1, 0, 1))
    bend = np.minimum(left - 2 * mid + right, -1e-9)
    part = np.where(best == inner, np.clip(0.5 * (left - right) / bend, -0.5, 0.5), 0.0)
    return (lags[best] + part) * (tau[1] - tau[0]), np.maximum(peak, 0.0) + 1e-12


def _phase(o: Onsets, beats: np.ndarray) -> float:
    """Seconds by which the grid must move so that its beats lie where onsets rise.

    Each band's novelty is folded over the beats; sharp bands (hi-hat, click, snare) say
    more about time than blunt ones (a swelling chord), by the square of their steepest rise.
    The beat is where the sum has risen to its first top's `RISE`: a slow attack after a
    click does not pull it.
    """
    tau = np.linspace(-SLACK, SLACK, 121)
    step = tau[1] - tau[0]
    at = frame_of(beats[:, None] + tau)
    frames = np.arange(o.novelty.shape[1])
    folded = np.zeros(len(tau))
    for band in o.novelty:
        fold = np.interp(at, frames, band).mean(axis=0)
        steep = float(np.diff(ndimage.gaussian_filter1d(fold, 2.0)).max())
        folded += (fold - np.median(fold)) * max(0.0, steep)
    folded = ndimage.gaussian_filter1d(folded, 3.0) * np.exp(-0.5 * (tau / 0.04) ** 2)
    highest = folded.max()
    top = (folded == ndimage.maximum_filter1d(folded, 13)) & (folded > FIRST_TOP * highest)
    top &= tau > tau[folded.argmax()] - EARLIEST
    i = int(np.clip(np.argmax(top), 1, len(tau) - 1)) if highest > 0 else len(tau) // 2
    level = RISE * folded[i]
    below = np.flatnonzero(folded[:i] < level)
    if highest <= 0 or len(below) == 0:
        return float(tau[i]) if highest > 0 else 0.0
    k = int(below[-1])
    part = (level - folded[k]) / max(folded[k + 1] - folded[k], 1e-12)
    return float(tau[k] + part * step) + RISE_DELAY
