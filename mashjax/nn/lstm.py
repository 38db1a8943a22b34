"""An LSTM layer whose gradient is written by hand, because the automatic one is slow.

The input's projection is one matmul before the scan, and the backward scan keeps only what is
recurrent in it: dh and dc. The weights' gradient is one matmul after it. One layer 1025 -> 512,
forward and backward at batch 8 and 256 frames on two cores, takes 0.6 to 0.7 of the time that
autodiff of the same scan takes.
"""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

State = tuple[jax.Array, jax.Array]  # h and c, each [batch, hidden]


class Lstm(nnx.Module):
    """One layer of long short-term memory (Hochreiter & Schmidhuber, 1997), gates i, f, g, o."""

    def __init__(self, features: int, hidden: int, *, rngs: nnx.Rngs):
        glorot = nnx.initializers.glorot_uniform()
        orthogonal = nnx.initializers.orthogonal()
        self.hidden = hidden
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

        x: [batch, frames, features]; state: the first h and c (zeros if None); exists: bool
        [frames], False where a frame is padding that must leave the state as it is (inference).
        Returns every h [batch, frames, hidden] and the last h and c.
        """
        projected = jnp.swapaxes(x @ self.kernel[...] + self.bias[...], 0, 1)
        if state is None:
            zeros = jnp.zeros((x.shape[0], self.hidden), projected.dtype)
            state = (zeros, zeros)
        if exists is None:
            outputs, h, c = recurrence(projected, self.recurrent[...], *state, reverse)
        else:
            outputs, h, c = _padded(projected, exists, self.recurrent[...], *state, reverse)
        return jnp.swapaxes(outputs, 0, 1), (h, c)


class BiLstm(nnx.Module):
    """An LSTM forwards and, if `bidirectional`, another one backwards; outputs side by side."""

    def __init__(self, features: int, hidden: int, *, bidirectional: bool, rngs: nnx.Rngs):
        self.forward = Lstm(features, hidden, rngs=rngs)
        self.backward = Lstm(features, hidden, rngs=rngs) if bidirectional else None

    def __call__(
        self, x: jax.Array, *, states: list[State] | None = None
    ) -> tuple[jax.Array, list[State]]:
        """x: [batch, frames, features]; states: the first state of each direction.

        Returns [batch, frames, hidden * directions] and the last state of each direction.
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def recurrence(
    projected: jax.Array, recurrent: jax.Array, h: jax.Array, c: jax.Array, reverse: bool = False
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The part of an LSTM that must go frame by frame.

    projected: the input times its kernel, plus bias [frames, batch, 4 * hidden], in the order
    i, f, g, o; recurrent: [hidden, 4 * hidden]; h, c: [batch, hidden].
    Returns every h [frames, batch, hidden], the last h and the last c.
    """

    def step(carry: State, z: jax.Array) -> tuple[State, jax.Array]:
        h, c, _ = _cell(carry, z, recurrent)
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
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`recurrence` over frames of which only some exist."""

    def step(carry: State, frame: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        z, exists = frame
        h, c, _ = _cell(carry, z, recurrent)
        h, c = jnp.where(exists, h, carry[0]), jnp.where(exists, c, carry[1])
        return (h, c), h

    (h, c), outputs = jax.lax.scan(step, (h, c), (projected, exists), reverse=reverse)
    return outputs, h, c


def _cell(
    state: State, z: jax.Array, recurrent: jax.Array
) -> tuple[jax.Array, jax.Array, tuple[jax.Array, ...]]:
    h, c = state
    i, f, g, o = jnp.split(z + h @ recurrent, 4, axis=-1)
    i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    c = f * c + i * g
    return o * jnp.tanh(c), c, (i, f, g, o)


def _recurrence_forward(projected, recurrent, h, c, reverse):
    first = (h, c)

    def step(carry, z):
        h, c, gates = _cell(carry, z, recurrent)
        return (h, c), (h, c, gates)

    (h, c), (outputs, cells, gates) = jax.lax.scan(step, first, projected, reverse=reverse)
    return (outputs, h, c), (recurrent, first, outputs, cells, gates)


def _recurrence_backward(reverse, residuals, cotangents):
    recurrent, (h_first, c_first), outputs, cells, (i, f, g, o) = residuals
    d_outputs, dh_last, dc_last = cotangents
    h_before = _shift(outputs, h_first, reverse)
    c_before = _shift(cells, c_first, reverse)
    # The derivatives of the gates do not depend on dh or dc: all frames at once, before the scan.
    tanh_c = jnp.tanh(cells)
    slope_o = tanh_c * o * (1 - o)
    slope_c = o * (1 - tanh_c**2)
    slopes_ifg = jnp.stack([g * i * (1 - i), c_before * f * (1 - f), i * (1 - g**2)], axis=2)
    transposed = recurrent.T

    def step(carry, frame):
        dh, dc = carry
        d_output, slope_o, slope_c, slopes_ifg, f = frame
        dh = dh + d_output
        dc = dc + dh * slope_c
        d_ifg = (dc[:, None] * slopes_ifg).reshape(dc.shape[0], -1)
        dz = jnp.concatenate([d_ifg, dh * slope_o], axis=-1)
        return (dz @ transposed, dc * f), dz

    frames = (d_outputs, slope_o, slope_c, slopes_ifg, f)
    (dh, dc), dz = jax.lax.scan(step, (dh_last, dc_last), frames, reverse=not reverse)
    d_recurrent = jnp.einsum("tbh,tbz->hz", h_before, dz)
    return dz, d_recurrent, dh, dc


def _shift(values: jax.Array, first: jax.Array, reverse: bool) -> jax.Array:
    """Each frame's predecessor in the order of the scan, [frames, batch, hidden]."""
    if reverse:
        return jnp.concatenate([values[1:], first[None]])
    return jnp.concatenate([first[None], values[:-1]])


recurrence.defvjp(_recurrence_forward, _recurrence_backward)
