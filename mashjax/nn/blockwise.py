"""An encoder-decoder over songs of any length, in blocks of one compiled shape, without a seam.

Blocks that overlap would not do: a trained LSTM remembers for longer than any overlap (measured:
a song's level at a block's edge 3 dB from that of the song in one piece, with 2 s of overlap). So
the states are handed on from block to block, forwards in one pass and backwards in the next, and
the result is that of one piece. What waits between the passes is a few kB per frame on the host.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from mashjax.nn.encoder_decoder import EncoderDecoder
from mashjax.nn.lstm import Lstm, State


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
        self._bridge = compiled(_bridge)
        self._decode = tuple(
            compiled(functools.partial(_decode, reverse=reverse)) for reverse in (False, True)
        )
        self._say = compiled(_say)

    def __call__(self, params: dict[str, Any], songs: np.ndarray) -> np.ndarray:
        """songs: features of both songs [2, frames, features]. Returns [frames, outputs]."""
        frames = songs.shape[1]
        blocks = [slice(at, at + self.block) for at in range(0, frames, self.block)]
        both = self._directions
        encoded, states = [], []
        for reverse in both:
            run = functools.partial(self._encode[reverse], params)
            zeros = jnp.zeros((2, self._network.encoder.forward.hidden))
            outputs, state = self._pass(run, songs, blocks, (zeros, zeros), reverse=reverse)
            encoded.append(outputs)
            states.append(self._first_state(params, state))
        # Both directions of song 1, then both of song 2.
        joined = np.concatenate([side[song] for song in (0, 1) for side in encoded], axis=-1)[None]
        bridged = np.concatenate(
            [self._bridged(params, joined, block, frames) for block in blocks], axis=1
        )[:, :frames]
        decoded = [
            self._pass(
                functools.partial(self._decode[reverse], params),
                bridged,
                blocks,
                states[reverse],
                reverse=reverse,
            )[0]
            for reverse in both
        ]
        seen = (np.concatenate(decoded, axis=-1), bridged, songs[:1], songs[1:])
        said = [
            np.asarray(self._say(params, *(self._padded(x[:, block]) for x in seen)))[0]
            for block in blocks
        ]
        return np.concatenate(said)[:frames]

    @property
    def _directions(self) -> tuple[bool, ...]:
        return (False,) if self._network.encoder.backward is None else (False, True)

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

    def _bridged(
        self, params: dict[str, Any], encoded: np.ndarray, block: slice, frames: int
    ) -> np.ndarray:
        """A block as the decoder sees it; attention looks over the block's edges."""
        window = self._network.attention.window
        start, stop = block.start - window, block.stop + window
        inside = encoded[:, max(0, start) : stop]
        before = max(0, -start)
        after = stop - start - before - inside.shape[1]
        seen = np.pad(inside, ((0, 0), (before, after), (0, 0)))
        at = np.arange(start, stop)
        return np.asarray(self._bridge(params, seen, (at >= 0) & (at < frames)))

    def _padded(self, x: np.ndarray) -> np.ndarray:
        return np.pad(x, ((0, 0), (0, self.block - x.shape[1]), (0, 0)))


def _encode(
    network: EncoderDecoder, songs: jax.Array, state: State, exists: jax.Array, *, reverse: bool
) -> tuple[jax.Array, State]:
    embedded = network.embedded(songs[:1], songs[1:])
    return _run(network.encoder.direction(reverse), embedded, state, exists, reverse)


def _bridge(network: EncoderDecoder, encoded: jax.Array, exists: jax.Array) -> jax.Array:
    window = network.attention.window
    bridged = network.bridged(jnp.swapaxes(encoded, 0, 1), exists=exists)
    # The outer windows were only there to be attended to.
    return jnp.swapaxes(bridged, 0, 1)[:, window:-window]


def _decode(
    network: EncoderDecoder, bridged: jax.Array, state: State, exists: jax.Array, *, reverse: bool
) -> tuple[jax.Array, State]:
    frames_first = jnp.swapaxes(bridged, 0, 1)
    return _run(network.decoder.direction(reverse), frames_first, state, exists, reverse)


def _run(
    lstm: Lstm, x: jax.Array, state: State, exists: jax.Array, reverse: bool
) -> tuple[jax.Array, State]:
    outputs, last = lstm(x, state=state, exists=exists, reverse=reverse)
    return jnp.swapaxes(outputs, 0, 1), last


def _say(network: EncoderDecoder, decoded: jax.Array, bridged: jax.Array, *songs: jax.Array):
    return network.said(jnp.swapaxes(decoded, 0, 1), jnp.swapaxes(bridged, 0, 1), *songs)
