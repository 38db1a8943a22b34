"""The encoder-decoder of both networks: two songs in, one frame of outputs per frame."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from mashjax.nn.attention import WindowedAttention
from mashjax.nn.local_head import LocalHead
from mashjax.nn.lstm import BiLstm, State
from mashjax.nn.precision import matmul
from mashjax.nn.transformer import Transformer


class EncoderDecoder(nnx.Module):
    """A shared encoder for both songs, self-attention, a decoder and a dense head.

    encoder: "lstm" or "transformer", of which the decoder is, too; features: per frame and song;
    embedding: what a frame is reduced to before the encoder (None: it sees the features
    themselves); hidden: units of each LSTM and direction, or a Transformer's width; layers: a
    Transformer's blocks; attention: width of every self-attention; window: how many frames it sees
    to either side; head: units of the dense layer before the last; outputs: per frame; places: the
    head is one for all of so many places (`LocalHead`), None: a dense one;
    bidirectional: if False, an LSTM runs forwards only, and a Transformer and all its attention
    look only back; dtype: of matrix products ("bfloat16": their factors only); remat: keep what
    goes from part to part for the gradient, and compute the rest twice.

    Within the network, frames come first, [frames, batch, features], as the LSTMs take them.
    """

    def __init__(
        self,
        *,
        features: int,
        embedding: int | None,
        hidden: int,
        attention: int,
        window: int,
        head: int,
        outputs: int,
        bidirectional: bool,
        encoder: str = "lstm",
        layers: int = 2,
        places: int | None = None,
        dtype: str = "float32",
        remat: bool = False,
        rngs: nnx.Rngs,
    ):
        self.dtype = dtype
        self.remat = remat
        transformer = encoder == "transformer"
        width = hidden if transformer or not bidirectional else 2 * hidden

        def coder(features: int) -> BiLstm | Transformer:
            if not transformer:
                return BiLstm(features, hidden, bidirectional=bidirectional, dtype=dtype, rngs=rngs)
            return Transformer(
                features,
                hidden,
                layers=layers,
                attention=attention,
                window=window,
                causal=not bidirectional,
                dtype=dtype,
                rngs=rngs,
            )

        self.embed = None if embedding is None else nnx.Linear(features, embedding, rngs=rngs)
        self.encoder = coder(features if embedding is None else embedding)
        self.attention = WindowedAttention(
            2 * width,  # both songs side by side
            attention,
            window=window,
            causal=transformer and not bidirectional,
            dtype=dtype,
            rngs=rngs,
        )
        self.bridge = nnx.Linear(2 * width + attention, width, rngs=rngs)
        if not transformer:
            # Both songs' last h (or c) of one direction become the decoder's first h (or c).
            self.first_h = nnx.Linear(2 * hidden, hidden, rngs=rngs)
            self.first_c = nnx.Linear(2 * hidden, hidden, rngs=rngs)
        self.decoder = coder(width)
        # The head sees the features, too: what is fine in the spectrum need not pass the coders.
        if places is not None:
            self.local: LocalHead | None = LocalHead(
                2 * width, features, outputs, places=places, units=head, dtype=dtype, rngs=rngs
            )
        else:
            self.local = None
            self.hidden = nnx.Linear(2 * width + 2 * features, head, rngs=rngs)
            # It starts at its bias: what the network says at first is for its task to choose.
            self.head = nnx.Linear(
                head, outputs, kernel_init=nnx.initializers.zeros_init(), rngs=rngs
            )

    def __call__(self, song1: jax.Array, song2: jax.Array) -> jax.Array:
        """song1, song2: features [batch, frames, features]. Returns [batch, frames, outputs].

        `mashjax.nn.blockwise` runs the same parts in the same order over blocks of a long song.
        """
        encoded, states = self._part(EncoderDecoder.encoded, song1, song2)
        bridged = self._part(EncoderDecoder.bridged, self.side_by_side(encoded))
        decoded = self._part(EncoderDecoder.decoded, bridged, states)
        return self._part(EncoderDecoder.said, decoded, bridged, song1, song2)

    def encoded(self, song1: jax.Array, song2: jax.Array) -> tuple[jax.Array, list[State]]:
        """What the encoder makes of both songs, and its last states (a Transformer has none)."""
        embedded = self.embedded(song1, song2)
        if isinstance(self.encoder, Transformer):
            return self.encoder(embedded), []
        return self.encoder(embedded)

    def decoded(self, bridged: jax.Array, states: list[State]) -> jax.Array:
        """What the decoder makes of both songs, from the encoder's last states on."""
        if isinstance(self.decoder, Transformer):
            return self.decoder(bridged)
        return self.decoder(bridged, states=[self.first_state(state) for state in states])[0]

    def embedded(self, song1: jax.Array, song2: jax.Array) -> jax.Array:
        """Features of two songs [batch, frames, features] -> what the encoder sees of both.

        [frames, batch * 2, ...], the songs of a pair next to each other.
        """
        if self.embed is None:
            both = jnp.stack([song1, song2], axis=1)
        else:
            # One by one: side by side, the features would have to be copied.
            rows = [self._times(song, self.embed.kernel[...]) for song in (song1, song2)]
            both = jax.nn.relu(jnp.stack(rows, axis=1) + _bias(self.embed))
        return jnp.moveaxis(both, 2, 0).reshape(both.shape[2], -1, both.shape[3])

    def side_by_side(self, encoded: jax.Array) -> jax.Array:
        """[frames, batch * 2, features] -> [frames, batch, 2 * features]."""
        return encoded.reshape(encoded.shape[0], -1, 2 * encoded.shape[2])

    def bridged(self, encoded: jax.Array, *, exists: jax.Array | None = None) -> jax.Array:
        """Both songs' encodings side by side -> what the decoder sees, with attention."""
        attended = self.attention(jnp.swapaxes(encoded, 0, 1), exists=exists)
        of_encoded, of_attended = jnp.split(self.bridge.kernel[...], [encoded.shape[-1]])
        bridged = self._times(encoded, of_encoded)
        bridged = bridged + jnp.swapaxes(self._times(attended, of_attended), 0, 1)
        return jax.nn.relu(bridged + _bias(self.bridge))

    def first_state(self, last: State) -> State:
        """The encoder's last state, [batch * 2, hidden] -> the decoder's first, [batch, hidden]."""
        h, c = (part.reshape(-1, 2 * part.shape[1]) for part in last)
        first_h = self._times(h, self.first_h.kernel[...]) + _bias(self.first_h)
        return jnp.tanh(first_h), self._times(c, self.first_c.kernel[...]) + _bias(self.first_c)

    def said(
        self, decoded: jax.Array, bridged: jax.Array, song1: jax.Array, song2: jax.Array
    ) -> jax.Array:
        """The head: [frames, batch, ...] and both songs' features -> [batch, frames, outputs]."""
        if self.local is not None:
            whole = jnp.swapaxes(jnp.concatenate([decoded, bridged], axis=-1), 0, 1)
            return self.local(whole, song1, song2)
        inputs = (decoded, bridged, song1, song2)
        ends = np.cumsum([x.shape[-1] for x in inputs[:-1]])
        # Part by part, for the same reason; and features need no gradient.
        parts = [
            self._times(x, kernel)
            for x, kernel in zip(inputs, jnp.split(self.hidden.kernel[...], ends), strict=True)
        ]
        hidden = jnp.swapaxes(parts[0] + parts[1], 0, 1) + parts[2] + parts[3]
        hidden = jax.nn.relu(hidden + _bias(self.hidden))
        return self._times(hidden, self.head.kernel[...]) + _bias(self.head)

    def _part(self, part: Callable, *inputs: Any) -> Any:
        if not self.remat:
            return part(self, *inputs)
        graph, params = nnx.split(self, nnx.Param)
        return _twice(lambda params, *inputs: part(nnx.merge(graph, params), *inputs))(
            params, *inputs
        )

    def _times(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        return matmul(x, kernel, dtype=self.dtype)


def _twice(function: Callable) -> Callable:
    """`function`, which keeps only its inputs for its gradient and is computed again for it.

    `jax.checkpoint` leaves the compiler free to compute it again long before the gradient comes,
    and for the CPU it does (measured: no less memory). Here it has to wait.
    """
    twice = jax.custom_vjp(function)

    def backward(inputs: Any, cotangents: Any) -> Any:
        # A zero that the compiler does not know for one: nothing can begin before the gradient is
        # there. (An optimization barrier is gone by the time that XLA orders the CPU's work.)
        nothing = 0.0 * jax.tree.leaves(cotangents)[0].ravel()[0]
        params, *rest = inputs
        rest = jax.tree.map(lambda x: x + nothing, rest)
        return jax.vjp(function, params, *rest)[1](cotangents)

    twice.defvjp(lambda *inputs: (function(*inputs), inputs), backward)
    return twice


def _bias(layer: nnx.Linear) -> jax.Array:
    assert layer.bias is not None, "all layers that are asked have one"
    return layer.bias[...]
