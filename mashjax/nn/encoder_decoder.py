"""The encoder-decoder of both networks: two songs in, one frame of outputs per frame."""

import jax
import jax.numpy as jnp
from flax import nnx

from mashjax.nn.attention import WindowedAttention
from mashjax.nn.lstm import BiLstm, State


class EncoderDecoder(nnx.Module):
    """A shared encoder LSTM for both songs, self-attention, a decoder LSTM and a dense head.

    features: per frame and song; embedding: what a frame is reduced to before the LSTM (None: the
    LSTM sees the features themselves); hidden: units of each LSTM and direction; attention: width
    of the single head; window: how many frames it sees to either side; head: units of the dense
    layer before the last; outputs: per frame.
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
        rngs: nnx.Rngs,
    ):
        directions = 2 if bidirectional else 1
        self.embed = None if embedding is None else nnx.Linear(features, embedding, rngs=rngs)
        self.encoder = BiLstm(
            features if embedding is None else embedding,
            hidden,
            bidirectional=bidirectional,
            rngs=rngs,
        )
        encoded = 2 * directions * hidden  # both songs side by side
        self.attention = WindowedAttention(encoded, attention, window=window, rngs=rngs)
        self.bridge = nnx.Linear(encoded + attention, directions * hidden, rngs=rngs)
        # Both songs' last h (or c) of one direction become the decoder's first h (or c).
        self.first_h = nnx.Linear(2 * hidden, hidden, rngs=rngs)
        self.first_c = nnx.Linear(2 * hidden, hidden, rngs=rngs)
        self.decoder = BiLstm(directions * hidden, hidden, bidirectional=bidirectional, rngs=rngs)
        # The head sees the features, too: what is fine in the spectrum need not pass the LSTMs.
        self.hidden = nnx.Linear(2 * directions * hidden + 2 * features, head, rngs=rngs)
        # It starts at its bias: what the network says at first is for its task to choose.
        self.head = nnx.Linear(
            head,
            outputs,
            kernel_init=nnx.initializers.zeros_init(),
            rngs=rngs,
        )

    def __call__(self, song1: jax.Array, song2: jax.Array) -> jax.Array:
        """song1, song2: features [batch, frames, features]. Returns [batch, frames, outputs].

        `mashjax.nn.blockwise` runs the same parts in the same order over blocks of a long song.
        """
        batch = song1.shape[0]
        encoded, states = self.encoder(self.embedded(jnp.concatenate([song1, song2])))
        bridged = self.bridged(jnp.concatenate([encoded[:batch], encoded[batch:]], axis=-1))
        decoded, _ = self.decoder(bridged, states=[self.first_state(state) for state in states])
        return self.said(decoded, bridged, song1, song2)

    def embedded(self, songs: jax.Array) -> jax.Array:
        """[batch, frames, features] -> what the encoder sees."""
        return songs if self.embed is None else jax.nn.relu(self.embed(songs))

    def bridged(self, encoded: jax.Array, *, exists: jax.Array | None = None) -> jax.Array:
        """Both songs' encodings side by side -> what the decoder sees, with attention."""
        attended = self.attention(encoded, exists=exists)
        return jax.nn.relu(self.bridge(jnp.concatenate([encoded, attended], axis=-1)))

    def first_state(self, last: State) -> State:
        """The encoder's last state, song 1 then song 2 on the batch axis -> the decoder's first."""
        h, c = (jnp.concatenate(jnp.split(part, 2), axis=-1) for part in last)
        return jnp.tanh(self.first_h(h)), self.first_c(c)

    def said(
        self, decoded: jax.Array, bridged: jax.Array, song1: jax.Array, song2: jax.Array
    ) -> jax.Array:
        """The head: [batch, frames, outputs]."""
        seen = jnp.concatenate([decoded, bridged, song1, song2], axis=-1)
        return self.head(jax.nn.relu(self.hidden(seen)))
