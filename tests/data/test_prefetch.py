"""Prefetching: in order, not too far ahead, errors where they belong, and no thread left."""

import threading

import pytest

from mashjax.data.prefetch import prefetched
from mashjax.errors import UserError


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("prefetch")]


def test_results_come_in_order_and_at_most_two_ahead():
    made, taken = [], []

    def make(step):
        made.append(step)
        assert len(made) <= len(taken) + 3, "two waiting, one in use"
        return step * step

    with prefetched(make, range(3, 40)) as results:
        for result in results:
            taken.append(result)
    assert taken == [step * step for step in range(3, 40)]
    assert made == list(range(3, 40))
    assert threads() == []


def test_the_next_ones_are_made_unasked():
    ready = [threading.Event() for _ in range(5)]
    with prefetched(lambda step: ready[step].set(), range(5)) as results:
        assert ready[1].wait(30), "two are made before the first is taken"
        assert not ready[2].is_set()
        next(results)
        assert ready[2].wait(30)
        assert not ready[3].is_set()


def test_an_error_comes_at_its_own_step():
    def make(step):
        if step == 3:
            raise UserError("row 3 is damaged")
        return step

    taken = []
    with pytest.raises(UserError, match="row 3"), prefetched(make, range(9)) as results:
        taken.extend(results)
    assert taken == [0, 1, 2]
    assert threads() == []


@pytest.mark.parametrize("cause", [None, KeyboardInterrupt, FloatingPointError])
def test_leaving_early_ends_the_thread(cause):
    made = []

    def leave():
        with prefetched(made.append, range(10**9)) as results:
            next(results)
            if cause is not None:
                raise cause

    if cause is None:
        leave()
    else:
        with pytest.raises(cause):
            leave()
    assert threads() == []
    assert len(made) <= 3


def test_no_steps_are_no_results():
    with prefetched(lambda step: step, range(0)) as results:
        assert list(results) == []
