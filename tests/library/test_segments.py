import dataclasses

import numpy as np
import pytest

from mashjax.library.segments import SCALARS, pack, unpack


@pytest.mark.parametrize("bars", [4, 16])
def test_a_packed_segment_comes_back(segment, bars):
    one = dataclasses.replace(segment(3, bars=bars), embedding=np.linspace(-1, 1, 16, dtype="f4"))
    packed = pack(one)
    again = unpack(packed, **{name: getattr(one, name) for name in SCALARS})
    assert len(packed) < 200 + 25 * 4 * bars + 100
    for field in dataclasses.fields(one):
        before, after = getattr(one, field.name), getattr(again, field.name)
        if field.name in SCALARS:
            assert before == after
            continue
        assert after.dtype == np.float32 and after.shape == before.shape
        if field.name == "beats":
            np.testing.assert_array_equal(after, before)
            continue
        per_beat = field.name in ("chroma", "rhythm", "lead")
        step = before.max() / 255 / 2 if per_beat else 2**-11 * np.abs(before).max()
        assert np.abs(after - before).max() <= step * 1.001


def test_silence_is_packed_as_silence(segment):
    one = segment(0)
    one = dataclasses.replace(one, chroma=0 * one.chroma, lead=0 * one.lead)
    again = unpack(pack(one), **{name: getattr(one, name) for name in SCALARS})
    assert not again.chroma.any() and not again.lead.any()
