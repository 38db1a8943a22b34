"""Windowed attention against full attention with a mask."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mashjax.nn.attention import windowed_attention


def full_attention(query, key, value, window):
    at = jnp.arange(query.shape[1])
    scores = query @ key.swapaxes(1, 2) / query.shape[-1] ** 0.5
    near = jnp.abs(at[:, None] - at[None]) <= window
    return jax.nn.softmax(jnp.where(near, scores, -jnp.inf), axis=-1) @ value


@settings(max_examples=8, deadline=None)
@given(frames=st.integers(1, 1200), window=st.integers(1, 400))
def test_equals_masked_full_attention(frames, window):
    """One to five chunks, with windows narrower and wider than a chunk."""
    x = np.random.default_rng(frames).normal(size=(3, 2, frames, 4)).astype(np.float32)
    both = jax.jit(lambda x: (windowed_attention(*x, window=window), full_attention(*x, window)))
    ours, full = both(x)
    np.testing.assert_allclose(ours, full, atol=2e-6)


def test_gradients_equal_those_of_full_attention():
    x = jax.random.normal(jax.random.key(0), (3, 1, 700, 4))
    loss = lambda attend: jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(attend(x)))))(x)  # noqa: E731
    ours = loss(lambda x: windowed_attention(*x, window=99))
    np.testing.assert_allclose(ours, loss(lambda x: full_attention(*x, 99)), atol=5e-6)


@pytest.mark.parametrize("frames", [4096, 8192])
def test_memory_grows_with_the_length_not_its_square(frames):
    x = jax.ShapeDtypeStruct((3, 1, frames, 16), jnp.float32)
    compiled = jax.jit(lambda x: windowed_attention(*x, window=64)).lower(x).compile()
    # Scores of chunks are 256 + 2 * 64 floats per frame; all pairs would be 64 MiB and 256 MiB.
    assert compiled.memory_analysis().temp_size_in_bytes < 2 * (256 + 2 * 64) * 4 * frames
