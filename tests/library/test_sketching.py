import dataclasses

import numpy as np
import pytest

from mashjax.library.sketching import SKETCH, sketch, sketch_scores
from mashjax.music.alignment import Limits


@pytest.mark.parametrize("tempo", [120.0, 60.0])
def test_sketches_find_the_same_chords_in_another_key(segment, tempo):
    library = [segment(seed) for seed in range(200, 400)]
    query = library[77]
    sketches = np.stack([sketch(x) for x in library])
    assert sketches.shape == (200, SKETCH)
    if tempo == 60:  # the same music, its beats counted half as fast
        query = dataclasses.replace(
            query, tempo_bpm=60.0, chroma=query.chroma[::2], lead=query.lead[::2], bars=4
        )
    moved = dataclasses.replace(query, chroma=np.roll(query.chroma, 4, axis=1))
    scores = sketch_scores(moved, sketches, np.arange(200))
    assert int(scores.argmax()) == 77 and scores.max() == pytest.approx(1, abs=0.02)
    near = sketch_scores(moved, sketches, np.array([3, 77]), limits=Limits(max_shift=1.0))
    assert near[1] < 0.98 and near[0] <= scores[3]


def test_no_sketches_no_scores(segment):
    assert len(sketch_scores(segment(0), np.zeros((0, SKETCH)), np.zeros(0, int))) == 0
