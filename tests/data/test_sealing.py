import json

from hypothesis import given
from hypothesis import strategies as st

from mashjax.data.sealing import sealed, unsealed


@given(
    st.dictionaries(
        st.text().filter(lambda name: name != "sha256"),
        st.integers() | st.text() | st.lists(st.floats(-9, 9)),
        min_size=1,
    )
)
def test_what_is_sealed_comes_back_and_is_json_that_others_read(content):
    raw = sealed(content)
    back = unsealed(raw, where="x")
    assert len(back.pop("sha256")) == 64
    assert back == content
    assert json.loads(raw)["sha256"]
