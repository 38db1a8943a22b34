"""An encoder-decoder over songs of any length, in blocks of one compiled shape, without a seam.

Blocks of an LSTM that overlap would not do: it remembers for longer than any overlap (measured:
a song's level at a block's edge 3 dB from that of the song in one piece, with 2 s of overlap). So
the states are handed on from block to block, forwards in one pass and backwards in the next, and
the result is that of one piece. Attention hears no farther than its window, and a Transformer than
its layers' windows together: blocks that overlap by that much are exact. What waits between the
passes is a few kB per frame on the host.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from mashjax.nn.encoder_decoder import EncoderDecoder
from mashjax.nn.lstm import BiLstm, State
from mashjax.nn.transformer import Transformer


class Blockwise:
    """Runs one network in blocks of `block` frames; its stages are compiled once."""

    def __init__(self, network: EncoderDecoder, *, block: int):
        """network: with or without numbers (`nnx.eval_shape`); block: frames."""
        self.block = block
        self._network = network
        graph = nnx.split(network, nnx.Param)[0]

        def compiled(stage: Callable) -> Callable:
            return jax.jit(lambda params, *rest: stage(nnx.merge(graph, nnx.State(params)), *rest))

        self._encode = tuple(
            compiled(functools.partial(_encode, reverse=reverse)) for reverse in (False, True)
        )
        self._first_state = compiled(EncoderDecoder.first_state)
        self._encode_near, self._decode_near = compiled(_encode_near), compiled(_decode_near)
        self._bridge = compiled(_bridge)
        self._decode = tuple(
            compiled(functools.partial(_decode, reverse=reverse)) for reverse in (False, True)
        )
        self._say = compiled(_say)

    def __call__(self, params: dict[str, Any], songs: np.ndarray) -> np.ndarray:
        """songs: features of both songs [2, frames, features]. Returns [frames, outputs]."""
        frames = songs.shape[1]
        blocks = [slice(at, at + self.block) for at in range(0, frames, self.block)]
        encoded, states = self._encoded(params, songs, blocks)
        joined = np.concatenate(list(encoded), axis=-1)[None]  # both songs side by side
        window = self._network.attention.window
        bridged = self._near(self._bridge, params, joined, blocks, reach=window)
        decoded = self._decoded(params, bridged, blocks, states)
        seen = (decoded, bridged, songs[:1], songs[1:])
        said = [
            np.asarray(self._say(params, *(self._padded(x[:, block]) for x in seen)))[0]
            for block in blocks
        ]
        return np.concatenate(said)[:frames]

    def _encoded(
        self, params: dict[str, Any], songs: np.ndarray, blocks: list[slice]
    ) -> tuple[np.ndarray, list[State]]:
        """Both songs' encodings [2, frames, width], and the decoder's first states."""
        encoder = self._network.encoder
        if isinstance(encoder, Transformer):
            return self._near(self._encode_near, params, songs, blocks, reach=encoder.reach), []
        encoded, states = [], []
        zeros = jnp.zeros((2, encoder.forward.hidden))
        for reverse in (False,) if encoder.backward is None else (False, True):
            run = functools.partial(self._encode[reverse], params)
            outputs, state = self._pass(run, songs, blocks, (zeros, zeros), reverse=reverse)
            encoded.append(outputs)
            states.append(self._first_state(params, state))
        return np.concatenate(encoded, axis=-1), states

    def _decoded(
        self,
        params: dict[str, Any],
        bridged: np.ndarray,
        blocks: list[slice],
        states: list[State],
    ) -> np.ndarray:
        decoder = self._network.decoder
        if isinstance(decoder, Transformer):
            return self._near(self._decode_near, params, bridged, blocks, reach=decoder.reach)
        decoded = [
            self._pass(
                functools.partial(self._decode[reverse], params),
                bridged,
                blocks,
                state,
                reverse=bool(reverse),
            )[0]
            for reverse, state in enumerate(states)
        ]
        return np.concatenate(decoded, axis=-1)

    def _pass(
        self, run: Callable, x: np.ndarray, blocks: list[slice], state: State, *, reverse: bool
    ) -> tuple[np.ndarray, State]:
        """One direction of an LSTM over all blocks, the state going from each to the next."""
        frames = x.shape[1]
        outputs = []
        for block in reversed(blocks) if reverse else blocks:
            exists = np.arange(block.start, block.stop) < frames
            output, state = run(self._padded(x[:, block]), state, exists)
            outputs.append(np.asarray(output))
        in_order = outputs[::-1] if reverse else outputs
        return np.concatenate(in_order, axis=1)[:, :frames], state

    def _near(
        self,
        stage: Callable,
        params: dict[str, Any],
        x: np.ndarray,
        blocks: list[slice],
        *,
        reach: int,
    ) -> np.ndarray:
        """A stage that hears `reach` frames to either side, over all blocks."""
        frames = x.shape[1]
        outputs = []
        for block in blocks:
            start, stop = block.start - reach, block.stop + reach
            inside = x[:, max(0, start) : stop]
            before = max(0, -start)
            after = stop - start - before - inside.shape[1]
            seen = np.pad(inside, ((0, 0), (before, after), (0, 0)))
            at = np.arange(start, stop)
            outputs.append(np.asarray(stage(params, seen, (at >= 0) & (at < frames))))
        return np.concatenate(outputs, axis=1)[:, :frames]

    def _padded(self, x: np.ndarray) -> np.ndarray:
        return np.pad(x, ((0, 0), (0, self.block - x.shape[1]), (0, 0)))


def _encode(
    network: EncoderDecoder, songs: jax.Array, state: State, exists: jax.Array, *, reverse: bool
) -> tuple[jax.Array, State]:
    embedded = network.embedded(songs[:1], songs[1:])
    return _run(network.encoder, embedded, state, exists, reverse)


def _encode_near(network: EncoderDecoder, songs: jax.Array, exists: jax.Array) -> jax.Array:
    return _run_near(network.encoder, network.embedded(songs[:1], songs[1:]), exists)


def _bridge(network: EncoderDecoder, encoded: jax.Array, exists: jax.Array) -> jax.Array:
    bridged = network.bridged(jnp.swapaxes(encoded, 0, 1), exists=exists)
    return _inner(bridged, network.attention.window)


def _decode_near(network: EncoderDecoder, bridged: jax.Array, exists: jax.Array) -> jax.Array:
    return _run_near(network.decoder, jnp.swapaxes(bridged, 0, 1), exists)


def _run_near(coder: BiLstm | Transformer, x: jax.Array, exists: jax.Array) -> jax.Array:
    assert isinstance(coder, Transformer)
    return _inner(coder(x, exists=exists), coder.reach)


def _inner(x: jax.Array, reach: int) -> jax.Array:
    """[frames, batch, features] -> [batch, frames, features]: the block.

    The frames around it were only there to be heard.
    """
    return jnp.swapaxes(x, 0, 1)[:, reach:-reach]


def _decode(
    network: EncoderDecoder, bridged: jax.Array, state: State, exists: jax.Array, *, reverse: bool
) -> tuple[jax.Array, State]:
    frames_first = jnp.swapaxes(bridged, 0, 1)
    return _run(network.decoder, frames_first, state, exists, reverse)


def _run(
    coder: BiLstm | Transformer, x: jax.Array, state: State, exists: jax.Array, reverse: bool
) -> tuple[jax.Array, State]:
    assert isinstance(coder, BiLstm)
    outputs, last = coder.direction(reverse)(x, state=state, exists=exists, reverse=reverse)
    return jnp.swapaxes(outputs, 0, 1), last


def _say(network: EncoderDecoder, decoded: jax.Array, bridged: jax.Array, *songs: jax.Array):
    return network.said(jnp.swapaxes(decoded, 0, 1), jnp.swapaxes(bridged, 0, 1), *songs)
