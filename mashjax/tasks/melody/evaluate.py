"""How right the network is, frame by frame, and whether it finds where notes begin.

Frame measures are those of melody extraction (Poliner et al., 2007), with windows of 50 cents.
Measures of whole notes belong to who makes notes of it (tests/benchmarks).
"""

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.tasks.melody.config import Config
from mashjax.tasks.melody.examples import Sung, heard, levelled, sung
from mashjax.tasks.melody.model import Params, Statistics
from mashjax.tasks.melody.posteriors import judged

SCORE = "overall"
"""Of the scores of `evaluate`, the one that says which checkpoint is best: higher is better."""

VALIDATION = ("overall", "note", "pitch", "recall", "false_alarm", "onset")
"""The measures that training's validation waits for: all that there are.

overall: share of the frames in which it says rightly that no note sounds, or which one does; note:
of the voiced frames, in which the note is right, pitch: in which the voice's pitch is within 50
cents, recall: which are found to be voiced; false_alarm: of the others, which are, too; onset: F
measure of its onsets, within 50 ms. Of one example without a voiced frame, or an unvoiced one, the
measures that ask for them are 1, or 0 for false_alarm, as is the F measure where no onset is nor is
said to be.
"""

ONSET_SECONDS = 0.05
LIKELY = 0.5


def evaluate(
    cfg: Config,
    params: Params,
    statistics: Statistics,
    batches: Iterable[np.ndarray],
    *,
    measures: tuple[str, ...] = VALIDATION,
) -> dict[str, np.ndarray]:
    """Scores of each example of the batches, [examples] each.

    batches: sources [batch, 3, samples]; measures: some of `VALIDATION`.
    """
    found: list[dict[str, float]] = []
    for sources in batches:
        said, wanted = jax.device_get(_judged(cfg, params, statistics, sources))
        for one in range(len(sources)):
            told = Sung(*(x[one] for x in wanted))
            found.append(_scores(cfg, *(x[one] for x in said), wanted=told))
    return {name: np.array([scores[name] for scores in found]) for name in measures}


def derived(means: dict[str, Any]) -> dict[str, Any]:
    """Nothing follows from the means that they do not say."""
    return {}


def headline(means: dict[str, dict[str, Any]]) -> str:
    """The means in a few words."""
    overall, note, onset = (means[name]["mean"] for name in ("overall", "note", "onset"))
    return f"{overall:.1%} of the frames are right; {note:.1%} of the notes, onsets F {onset:.3f}"


def samples(
    cfg: Config, params: Params, statistics: Statistics, sources: np.ndarray
) -> dict[str, np.ndarray]:
    """The voice of the first example of a batch, and its pitch as it is heard, as a sine."""
    y = np.asarray(sources[:1, 0])
    _, _, voicing, f0 = (np.asarray(x[0]) for x in _posteriors(cfg, params, statistics, y))
    at = np.arange(y.shape[1]) / cfg.hop_length
    hz = 440 * 2 ** ((np.interp(at, np.arange(len(f0)), f0) - 69) / 12)
    turns = np.cumsum(hz) / cfg.sample_rate
    sine = np.interp(at, np.arange(len(f0)), voicing > LIKELY) * np.sin(2 * np.pi * turns)
    return {"voice": np.clip(y[0], -1, 1), "pitch": (0.3 * sine).astype(np.float32)}


def peaks(onset: np.ndarray, *, apart: int) -> np.ndarray:
    """Frames in which an onset is likely and likelier than in all that lie less than `apart` away.

    onset: probabilities [frames].
    """
    padded = np.pad(onset, apart - 1, constant_values=-1.0)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * apart - 1)
    return np.flatnonzero((onset > LIKELY) & (around.argmax(1) == apart - 1))


def f_measure(found: np.ndarray, wanted: np.ndarray, *, within: float) -> float:
    """Of frames that should be others, each of which counts for one at most, within so many."""
    if not len(found) and not len(wanted):
        return 1.0
    hits, k = 0, 0
    for frame in wanted:  # both sorted, so taking the first that fits leaves most for the others
        while k < len(found) and found[k] < frame - within:
            k += 1
        if k < len(found) and found[k] <= frame + within:
            hits, k = hits + 1, k + 1
    return 2 * hits / (len(found) + len(wanted))


def _scores(
    cfg: Config,
    note: np.ndarray,
    onset: np.ndarray,
    voicing: np.ndarray,
    f0: np.ndarray,
    *,
    wanted: Sung,
) -> dict[str, float]:
    voiced, said = np.asarray(wanted.voiced), voicing > LIKELY
    right = cfg.lowest + note.argmax(1) == wanted.note
    per_frame = cfg.hop_length / cfg.sample_rate

    def share(truths: np.ndarray, where: np.ndarray, nothing: float) -> float:
        return float(truths[where].mean()) if where.any() else nothing

    return {
        "overall": float(np.where(voiced, said & right, ~said).mean()),
        "note": share(right, voiced, 1.0),
        "pitch": share(np.abs(f0 - wanted.pitch) <= 0.5, voiced, 1.0),
        "recall": share(said, voiced, 1.0),
        "false_alarm": share(said, ~voiced, 0.0),
        "onset": f_measure(
            peaks(onset, apart=round(ONSET_SECONDS / per_frame)),
            np.flatnonzero(wanted.onset == 1),
            within=ONSET_SECONDS / per_frame,
        ),
    }


@functools.partial(jax.jit, static_argnums=0)
def _judged(
    cfg: Config, params: Params, statistics: Statistics, sources: jax.Array
) -> tuple[tuple[jax.Array, ...], Sung]:
    said = judged(cfg, params, statistics, heard(sources))
    return said, sung(cfg, jnp.asarray(sources)[:, 2], frames=said[1].shape[1])


@functools.partial(jax.jit, static_argnums=0)
def _posteriors(
    cfg: Config, params: Params, statistics: Statistics, y: jax.Array
) -> tuple[jax.Array, ...]:
    return judged(cfg, params, statistics, levelled(y))
