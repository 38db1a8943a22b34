"""Where and how an original song sounds inside of a human-made mashup.

Whatever else a mashup does to an original, it keeps its partials in their order, in time as in
pitch. Windows of the mashup are compared with the whole original, played at every tempo and in
every key; a path of windows then says where it is heard, and where it was cut (a subsequence
DTW whose steps are 2 s; both in `subsequence`). Here those windows are read to a few
milliseconds, and a line, or a curve where the original's tempo drifts, is laid through them.
"""

import dataclasses

import numpy as np

from mashjax.audio.resample import resample
from mashjax.errors import UserError
from mashjax.music import partials, subsequence
from mashjax.music.partials import RATE, SR
from mashjax.music.subsequence import SHIFTS

SHORTEST = 8.0  # seconds of either recording
WINDOW = subsequence.PATH_SECONDS
# How far around the map each refinement looks (seconds), and at which derivative of the partials:
# the first is twice as exact (0.7 ms on real songs, and where a note's beginning is covered 2 ms
# instead of 12 to 30), but matches only where the map is right already.
REFINEMENTS = ((0.3, 0), (0.1, 1), (0.1, 1))
OUTLIER = 0.01  # seconds from the map: what lies further off counts less
SMOOTH = 3.0  # seconds (sigma) over which a bent map follows its windows
STRAIGHT, BENT = 0.015, 0.2  # a map is a line unless this share of it strays that far (seconds)
HEARD = 0.25  # of the largest weight: all above it counts the same in that share
SUPPORT = 0.02  # of the best: where windows weigh less, the map keeps to its line
PAUSE = 0.3  # of the mean match: where there is less, the original is not heard
EDGE = 2.0  # seconds: heard so near to an end means heard to the end

# How well the original matches, in standard deviations of its matches in other keys, at a
# confidence of one half. Mashups of two real songs: 273 originals that were not in them
# reached 8.4 at most (median 5.4), 98 that were 10.4 at least (most 20 to 60).
SURE = 10.0
STEEP = 4  # how fast the confidence rises there: from 0.06 at half of SURE to 0.94 at twice
THRESHOLD = 0.5


@dataclasses.dataclass(frozen=True)
class Location:
    """How an original lies in a mashup: mashup time = start + ratio * original time.

    The time map covers where the original is heard, and bends where its tempo drifts against
    the mashup's; `ratio` and `start` are the line through it.
    """

    ratio: float  # mashup seconds per original second
    semitones: int  # by which the original is shifted
    start: float  # mashup seconds at which the original begins; < 0: before the mashup does
    source_times: np.ndarray  # [knots] seconds of the original, increasing
    output_times: np.ndarray  # [knots] seconds of the mashup, increasing
    confidence: float  # 0..1; see SURE


@dataclasses.dataclass(frozen=True)
class _Map:
    """Original seconds `source` at mashup seconds `times`, both [knots]; goes on at the ends."""

    times: np.ndarray
    source: np.ndarray

    def line(self) -> tuple[float, float]:
        """Original seconds per mashup second, and the original's time at mashup time 0."""
        rate, at_zero = np.polyfit(self.times, self.source, 1)
        return float(rate), float(at_zero)

    def at(self, when: np.ndarray) -> np.ndarray:
        beyond = when - np.clip(when, self.times[0], self.times[-1])
        return np.interp(when, self.times, self.source) + self.line()[0] * beyond


def locate(
    mashup: np.ndarray, original: np.ndarray, *, sr: int, threshold: float = THRESHOLD
) -> Location:
    """Find `original` in `mashup`, both mono [samples] at `sr` Hz.

    The mashup may hold other songs, and of the original only a part, filtered or separated, in
    any key (-6 to 5 semitones) and at a ratio of 0.75 to 1.33, constant or slowly drifting. After
    a cut or a loop the longest piece of the original is located.

    Raises:
      UserError: a recording is too short or silent, or the confidence is below `threshold`.
    """
    x = _features(mashup, sr=sr, name="mashup")
    y = _features(original, sr=sr, name="original")
    coarse_x, coarse_y = (partials.coarser(v, factor=subsequence.COARSE) for v in (x, y))
    ratio, semitones = subsequence.search(coarse_x, coarse_y)
    y, coarse_y = (partials.transposed(v, semitones=semitones) for v in (y, coarse_y))
    anchors, places = subsequence.path(coarse_x, coarse_y, ratio=ratio)
    maps = []
    for source, weight in places:
        found = _map(anchors, source, weight, base=_Map(np.array([0, ratio]), np.array([0, 1])))
        for reach, order in REFINEMENTS:
            source, weight = _measured(x, y, found, anchors=anchors, reach=reach, order=order)
            found = _map(anchors, source, weight, base=found)
        maps.append((weight.sum(), found))
    found = max(maps, key=lambda m: m[0])[1]
    begin, end = _heard(x, y, found)
    confidence = _confidence(coarse_x, coarse_y, found, begin=begin, end=end)
    if confidence < threshold:
        raise UserError(
            f"the original is not heard in the mashup (confidence {confidence:.2f}, "
            f"{threshold:g} is needed): check that it is the right song, and the same recording"
        )
    inner = found.times[1:-1]
    output = np.array([begin, *inner[(inner > begin) & (inner < end)], end])
    heard = _Map(output, found.at(output))
    rate, at_zero = heard.line()
    return Location(
        ratio=1 / rate,
        semitones=semitones,
        start=-at_zero / rate,
        source_times=heard.source,
        output_times=heard.times,
        confidence=confidence,
    )


def _features(y: np.ndarray, *, sr: int, name: str) -> np.ndarray:
    seconds = len(y) / sr
    if seconds < SHORTEST:
        raise UserError(
            f"the {name} lasts {seconds:.1f} s: to find one song in another, "
            f"give at least {SHORTEST:g} s of both"
        )
    mono = resample(np.asarray(y, np.float32), sr_in=sr, sr_out=SR)
    if not np.abs(mono).max() > 1e-5:
        raise UserError(f"the {name} is silent: check that it is the right file")
    return partials.partials(mono)


def _measured(
    x: np.ndarray, y: np.ndarray, found: _Map, *, anchors: np.ndarray, reach: float, order: int
) -> tuple[np.ndarray, np.ndarray]:
    """Original seconds at the mashup's `anchors`, and how well each matches, [anchors].

    Looks for each anchor's window up to `reach` seconds around where the map has it.
    """
    n, r = x.shape[1] - order, round(reach * RATE)
    w = min(round(WINDOW * RATE), n // 2)
    rate, _ = found.line()
    played = partials.sampled(y, at=RATE * found.at(np.arange(-r, n + order + r) / RATE))
    x, played = np.diff(x, n=order, axis=1), np.diff(played, n=order, axis=1)
    source, weight = found.at(anchors), np.full(len(anchors), 1e-6)
    for k, t in enumerate(anchors):
        b = int(np.clip(round(t * RATE - w / 2), 0, n - w))
        window = x[:, b : b + w]
        view = np.lib.stride_tricks.sliding_window_view(played[:, b : b + w + 2 * r], w, axis=1)
        c = np.einsum("bw,blw->l", window, view)
        c = c / np.sqrt(np.einsum("blw,blw->l", view, view) * (window**2).sum() + 1e-6)
        p = int(c.argmax())
        if 0 < p < 2 * r and c[p] > 0:
            # The peak of the parabola through three lags (Smith & Serra 1987).
            part = 0.5 * (c[p - 1] - c[p + 1]) / min(c[p - 1] - 2 * c[p] + c[p + 1], -1e-9)
            source[k] += (p + part - r) / RATE * rate
            weight[k] += c[p] ** 2
    return source, weight


def _map(anchors: np.ndarray, source: np.ndarray, weight: np.ndarray, *, base: _Map) -> _Map:
    """A line through the anchors, or a curve where no line fits; outliers count less.

    base: the map so far. A curve corrects it, so that each round takes back some of what
    smoothing took from the last; a single anchor keeps its rate.
    """
    ends = anchors[[0, -1]] + np.array([-0.5, 0.5]) * WINDOW
    at = np.concatenate([anchors, ends])
    rate, _ = base.line()
    line = rate * at + _fit(anchors, source - rate * anchors, weight, at=at, sigma=np.inf)[0]
    change, near = _fit(anchors, source - base.at(anchors), weight, at=anchors, sigma=SMOOTH)
    bend = (base.at(anchors) + change - line[:-2]) * near / (near + SUPPORT * near.max())
    heard = np.minimum(weight, HEARD * weight.max())
    if heard @ (np.abs(bend) > STRAIGHT) < BENT * heard.sum():
        return _Map(ends, line[-2:])
    curve = line[:-2] + bend
    first, last = (np.polyfit(anchors[i], curve[i], 1) for i in (slice(3), slice(-3, None)))
    source = np.array([np.polyval(first, ends[0]), *curve, np.polyval(last, ends[1])])
    return _Map(np.array([ends[0], *anchors, ends[1]]), source)


def _fit(
    times: np.ndarray, values: np.ndarray, weight: np.ndarray, *, at: np.ndarray, sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Local lines through `values` (Gaussian, sigma in seconds; Huber's weights) at `at` [n].

    Returns them and how much weight is near, both [n].
    """
    robust = weight
    for _ in range(10):
        error = np.abs(values - _lines(times, values, robust, at=times, sigma=sigma)[0])
        robust = weight / np.maximum(1.0, error / OUTLIER)
    return _lines(times, values, robust, at=at, sigma=sigma)


def _lines(
    times: np.ndarray, values: np.ndarray, weight: np.ndarray, *, at: np.ndarray, sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    w = weight * np.exp(-0.5 * ((at[:, None] - times) / sigma) ** 2)
    near = w.sum(axis=1)
    w = w / near[:, None]
    t0, v0 = w @ times, w @ values
    dt, dv = times - t0[:, None], values - v0[:, None]
    slope = (w * dt * dv).sum(axis=1) / ((w * dt**2).sum(axis=1) + 1e-9)
    return v0 + (at - t0) * slope, near


def _heard(x: np.ndarray, y: np.ndarray, found: _Map) -> tuple[float, float]:
    """Mashup seconds from which, and to which, the original is heard along the map.

    The stretch with the largest sum of what matches, less `PAUSE` of its mean: a pause is
    bridged where enough follows it.
    """
    times = np.arange(x.shape[1]) / RATE
    where = found.at(times)
    both = np.flatnonzero((where >= 0) & (where <= (y.shape[1] - 1) / RATE))
    within = both[(times[both] >= found.times[0]) & (times[both] <= found.times[-1])]
    product = (x[:, within] * partials.sampled(y, at=RATE * where[within])).sum(axis=0)
    total = np.concatenate([[0.0], np.cumsum(product - PAUSE * product.mean())])
    last = int((total - np.minimum.accumulate(total)).argmax())
    first = int(total[: last + 1].argmin())
    begin, end = times[within[first]], times[within[max(last, first + 2) - 1]]
    lowest, highest = times[both[[0, -1]]]
    return (
        float(lowest if begin - lowest < EDGE else begin),
        float(highest if highest - end < EDGE else end),
    )


def _confidence(x: np.ndarray, y: np.ndarray, found: _Map, *, begin: float, end: float) -> float:
    """0..1 from how the stretch that is heard matches here, and in other keys anywhere."""
    rate = subsequence.RATE
    played = partials.sampled(y, at=rate * found.at(np.arange(x.shape[1]) / rate))
    first, last = round(begin * rate), round(end * rate)
    scores, lags = subsequence.match(x[None, :, first:last], played, shifts=SHIFTS)
    here = scores[0, SHIFTS == 0, lags == -first].max()
    elsewhere = scores[0, np.abs(SHIFTS) > 1].std()
    z = max(float(here / elsewhere), 0.0)
    return z**STEEP / (z**STEEP + SURE**STEEP)
