"""The recurrence against a plain one, forwards and backwards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mashjax.nn.lstm import BiLstm, Lstm, recurrence

FRAMES, BATCH, HIDDEN = 9, 3, 5


def plain(projected, recurrent, h, c, reverse=False):
    """The textbook's equations, differentiated by JAX."""
    outputs = []
    for t in reversed(range(FRAMES)) if reverse else range(FRAMES):
        i, f, g, o = jnp.split(projected[t] + h @ recurrent, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        outputs.append(h)
    return jnp.stack(outputs[::-1] if reverse else outputs), h, c


@pytest.fixture(scope="module")
def arguments():
    keys = jax.random.split(jax.random.key(0), 4)
    return (
        jax.random.normal(keys[0], (FRAMES, BATCH, 4 * HIDDEN)),
        0.5 * jax.random.normal(keys[1], (HIDDEN, 4 * HIDDEN)),
        jax.random.normal(keys[2], (BATCH, HIDDEN)),
        jax.random.normal(keys[3], (BATCH, HIDDEN)),
    )


def close(ours, expected, tolerance):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * float(jnp.max(jnp.abs(b))))


@pytest.mark.parametrize("reverse", [False, True])
def test_outputs_equal_the_textbooks(arguments, reverse):
    both = jax.jit(lambda *x: (recurrence(*x, reverse), plain(*x, reverse)))
    close(*both(*arguments), 1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_equal_autodiffs(arguments, reverse):
    weights = jax.random.normal(jax.random.key(1), (FRAMES, BATCH, HIDDEN))

    def loss(function):
        def of(arguments):
            outputs, h, c = function(*arguments, reverse)
            # Everything that comes out matters, each in a way of its own.
            return jnp.sum(weights * outputs) + jnp.sum(jnp.sin(h)) + jnp.sum(c**2)

        return jax.jit(jax.grad(of))

    close(loss(recurrence)(arguments), loss(plain)(arguments), 1e-4)


def test_a_leading_axis_of_networks(arguments):
    """Two recurrences side by side, as one stacked scan, give what each gives alone."""
    stacked = jax.tree.map(lambda x: jnp.stack([x, 0.5 * x]), arguments)
    together = jax.jit(jax.vmap(lambda *x: recurrence(*x)[0]))(*stacked)
    for n in range(2):
        close(together[n], recurrence(*jax.tree.map(lambda x, n=n: x[n], stacked))[0], 1e-5)


def test_the_backward_direction_hears_the_future():
    lstm = BiLstm(4, 6, bidirectional=True, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (12, 1, 4))
    later = x.at[8:].add(1.0)
    change = np.abs(np.asarray(jax.jit(lambda a, b: lstm(a)[0] - lstm(b)[0])(x, later)))[:8, 0]
    assert (change[:, :6] == 0).all()  # forwards
    assert (change[:, 6:].max(0) > 1e-4).all()


def test_states_carry_on():
    """Two halves, the second from the first one's state, equal the whole."""
    lstm = Lstm(4, 6, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (12, 2, 4))
    whole, last = lstm(x)
    first, state = lstm(x[:5])
    second, end = lstm(x[5:], state=state)
    close(jnp.concatenate([first, second]), whole, 1e-6)
    close(end, last, 1e-6)
