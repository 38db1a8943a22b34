"""An LSTM layer whose gradient is written by hand, because the automatic one is slow.

The input's projection is one matmul before the scan, and the backward scan keeps only what is
recurrent in it: dh and dc. The weights' gradient is one matmul after it.
"""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from mashjax.nn.precision import matmul

State = tuple[jax.Array, jax.Array]  # h and c, each [batch, hidden]


class Lstm(nnx.Module):
    """One layer of long short-term memory (Hochreiter & Schmidhuber, 1997), gates i, f, g, o."""

    def __init__(self, features: int, hidden: int, *, dtype: str = "float32", rngs: nnx.Rngs):
        glorot = nnx.initializers.glorot_uniform()
        orthogonal = nnx.initializers.orthogonal()
        self.hidden = hidden
        self.dtype = dtype  # of the matrix products
        self.kernel = nnx.Param(glorot(rngs.params(), (features, 4 * hidden)))
        self.recurrent = nnx.Param(
            jnp.concatenate([orthogonal(rngs.params(), (hidden, hidden)) for _ in "ifgo"], axis=1)
        )
        # A forget gate that starts open remembers (Jozefowicz et al., 2015).
        self.bias = nnx.Param(jnp.zeros(4 * hidden).at[hidden : 2 * hidden].set(1.0))

    def __call__(
        self,
        x: jax.Array,
        *,
        state: State | None = None,
        reverse: bool = False,
        exists: jax.Array | None = None,
    ) -> tuple[jax.Array, State]:
        """Run over time, from the last frame to the first if `reverse`.

        x: [frames, batch, features]; state: the first h and c (zeros if None); exists: bool
        [frames], False where a frame is padding that must leave the state as it is (inference).
        Returns every h [frames, batch, hidden] and the last h and c.
        """
        projected = matmul(x, self.kernel[...], dtype=self.dtype) + self.bias[...]
        if state is None:
            zeros = jnp.zeros((x.shape[1], self.hidden), projected.dtype)
            state = (zeros, zeros)
        recurrent = self.recurrent[...]
        if exists is None:
            outputs, h, c = recurrence(projected, recurrent, *state, reverse, self.dtype)
        else:
            outputs, h, c = _padded(projected, exists, recurrent, *state, reverse, self.dtype)
        return outputs, (h, c)


class BiLstm(nnx.Module):
    """An LSTM forwards and, if `bidirectional`, another one backwards; outputs side by side."""

    def __init__(
        self,
        features: int,
        hidden: int,
        *,
        bidirectional: bool,
        dtype: str = "float32",
        rngs: nnx.Rngs,
    ):
        self.forward = Lstm(features, hidden, dtype=dtype, rngs=rngs)
        self.backward = Lstm(features, hidden, dtype=dtype, rngs=rngs) if bidirectional else None

    def __call__(
        self, x: jax.Array, *, states: list[State] | None = None
    ) -> tuple[jax.Array, list[State]]:
        """x: [frames, batch, features]; states: the first state of each direction.

        Returns [frames, batch, hidden * directions] and the last state of each direction.
        """
        if self.backward is None:
            outputs, last = self.forward(x, state=states[0] if states else None)
            return outputs, [last]
        ahead, last_ahead = self.forward(x, state=states[0] if states else None)
        back, last_back = self.backward(x, state=states[1] if states else None, reverse=True)
        return jnp.concatenate([ahead, back], axis=-1), [last_ahead, last_back]

    def direction(self, reverse: bool) -> Lstm:
        """The LSTM that runs forwards or, if `reverse`, the one that runs backwards."""
        if not reverse:
            return self.forward
        assert self.backward is not None, "this layer runs forwards only"
        return self.backward


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def recurrence(
    projected: jax.Array,
    recurrent: jax.Array,
    h: jax.Array,
    c: jax.Array,
    reverse: bool = False,
    dtype: str = "float32",
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The part of an LSTM that must go frame by frame.

    projected: the input times its kernel, plus bias [frames, batch, 4 * hidden], in the order
    i, f, g, o; recurrent: [hidden, 4 * hidden]; h, c: [batch, hidden]; dtype: of the products.
    Returns every h [frames, batch, hidden], the last h and the last c.
    """
    weights = recurrent.T.astype(dtype)

    def step(carry: State, z: jax.Array) -> tuple[State, jax.Array]:
        h, c, _ = _cell(carry, z, weights)
        return (h, c), h

    (h, c), outputs = jax.lax.scan(step, (h, c), projected, reverse=reverse)
    return outputs, h, c


def _padded(
    projected: jax.Array,
    exists: jax.Array,
    recurrent: jax.Array,
    h: jax.Array,
    c: jax.Array,
    reverse: bool,
    dtype: str,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`recurrence` over frames of which only some exist."""
    weights = recurrent.T.astype(dtype)

    def step(carry: State, frame: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        z, exists = frame
        h, c, _ = _cell(carry, z, weights)
        h, c = jnp.where(exists, h, carry[0]), jnp.where(exists, c, carry[1])
        return (h, c), h

    (h, c), outputs = jax.lax.scan(step, (h, c), (projected, exists), reverse=reverse)
    return outputs, h, c


def _cell(state: State, z: jax.Array, weights: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """weights: the recurrent ones, transposed. Returns h, c and the gates [batch, 4, hidden]."""
    h, c = state
    z = (z + _weights_first(weights, h)).reshape(h.shape[0], 4, -1)
    # All gates in one tanh: sigmoid(x) = tanh(x / 2) / 2 + 1 / 2.
    scale = jnp.array([0.5, 0.5, 1.0, 0.5])[:, None]
    gates = jnp.tanh(z * scale) * scale + (1 - scale)
    i, f, g, o = (gates[:, k] for k in range(4))
    c = f * c + i * g
    return o * jnp.tanh(c), c, gates


def _weights_first(weights: jax.Array, x: jax.Array) -> jax.Array:
    """x times the transpose of `weights`, [batch, rows of the weights].

    On CPU, XLA's matmul copies its right operand into a layout of its own, every time: 4 MB of
    weights per frame, which took a third of it. The barrier keeps the compiler from turning the
    product around again.
    """
    product = jnp.einsum(
        "rc,bc->rb", weights, x.astype(weights.dtype), preferred_element_type=jnp.float32
    )
    return jax.lax.optimization_barrier(product).T


def _recurrence_forward(projected, recurrent, h, c, reverse, dtype):
    first = (h, c)
    weights = recurrent.T.astype(dtype)

    def step(carry, z):
        h, c, gates = _cell(carry, z, weights)
        return (h, c), (h, c, gates)

    (h, c), (outputs, cells, gates) = jax.lax.scan(step, first, projected, reverse=reverse)
    return (outputs, h, c), (recurrent, first, outputs, cells, gates)


def _recurrence_backward(reverse, dtype, residuals, cotangents):
    recurrent, (h_first, c_first), outputs, cells, gates = residuals
    d_outputs, dh_last, dc_last = cotangents
    weights = recurrent.astype(dtype)

    def step(carry, frame):
        dh, dc = carry
        d_output, c, c_before, gates = frame
        i, f, g, o = (gates[:, k] for k in range(4))
        tanh_c = jnp.tanh(c)
        dh = dh + d_output
        dc = dc + dh * o * (1 - tanh_c**2)
        dz = jnp.concatenate(
            [
                dc * g * i * (1 - i),
                dc * c_before * f * (1 - f),
                dc * i * (1 - g**2),
                dh * tanh_c * o * (1 - o),
            ],
            axis=-1,
        )
        return (_weights_first(weights, dz), dc * f), dz

    frames = (d_outputs, cells, _shift(cells, c_first, reverse), gates)
    (dh, dc), dz = jax.lax.scan(step, (dh_last, dc_last), frames, reverse=not reverse)
    # As two matrices: with an axis for time and one for the batch, XLA takes up to twice as long.
    before, after = (
        x.reshape(-1, x.shape[-1]).astype(dtype) for x in (_shift(outputs, h_first, reverse), dz)
    )
    d_recurrent = jnp.einsum("nh,nz->hz", before, after, preferred_element_type=jnp.float32)
    return dz, d_recurrent, dh, dc


def _shift(values: jax.Array, first: jax.Array, reverse: bool) -> jax.Array:
    """Each frame's predecessor in the order of the scan, [frames, batch, hidden]."""
    if reverse:
        return jnp.concatenate([values[1:], first[None]])
    return jnp.concatenate([first[None], values[:-1]])


recurrence.defvjp(_recurrence_forward, _recurrence_backward)
