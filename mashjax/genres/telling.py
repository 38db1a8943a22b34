"""What a network says of songs in files."""

from collections.abc import Sequence
from typing import Any

from mashjax.data.tracks import Track
from mashjax.tasks.genre import ModelState, predict, tempered

UNKNOWN = "unknown"


def told(
    state: ModelState, tracks: Sequence[Track], *, top: int, threshold: float | None = None
) -> list[dict[str, Any]]:
    """Of each track, for JSON: the genre that is named, and the most probable ones.

    top: how many of these; threshold: of the most probable one, below which the genre is called
    unknown; None: the model's own.
    """
    found = predict(state, list(tracks))
    least = state.threshold if threshold is None else threshold
    result = []
    for track, p in zip(tracks, tempered(found.genre, state.temperature), strict=True):
        order = p.argsort()[::-1][:top]
        best = state.cfg.names[order[0]]
        result.append(
            {
                "track_id": track.track_id,
                "genre": best if p[order[0]] >= least else UNKNOWN,
                "genres": {state.cfg.names[k]: round(float(p[k]), 4) for k in order},
                "words": None if track.words is None else _known(state, track.words),
            }
        )
        if state.cfg.popularity:
            decile = found.decile[len(result) - 1].argmax()
            result[-1]["popularity_decile"] = int(decile) + 1
    return result


def _known(state: ModelState, words: dict[str, int]) -> int:
    """How many of a song's words are in the vocabulary."""
    return len(set(state.cfg.words.split()) & words.keys())
