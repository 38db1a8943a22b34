"""A sound for magnitudes that have no phases."""

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.audio.stft import istft, stft

MOMENTUM = 0.99  # of Perraudin et al.; 0 would be the algorithm of 1984


def griffin_lim(
    magnitude: jax.Array, *, n_fft: int, hop_length: int, length: int, iterations: int = 64
) -> jax.Array:
    """A sound whose STFT has about these magnitudes (Griffin & Lim 1984).

    With the momentum of Perraudin et al. (2013), from phases as if every bin held a sine of its own
    frequency: nothing is drawn, so the same magnitudes give the same sound.

    magnitude: [..., frames, n_fft // 2 + 1]; length: of a sound whose STFT has so many frames.
    Returns float32 [..., length].
    """

    def sound(spectrum: jax.Array) -> jax.Array:
        return istft(spectrum, n_fft=n_fft, hop_length=hop_length, length=length)

    def step(state: tuple[jax.Array, jax.Array], _: None):
        spectrum, before = state
        now = stft(sound(spectrum), n_fft=n_fft, hop_length=hop_length)
        ahead = now + MOMENTUM * (now - before)
        turned = ahead / jnp.maximum(jnp.abs(ahead), 1e-9)
        return (magnitude * turned, now), None

    frames, bins = magnitude.shape[-2:]
    turns = np.outer(np.arange(frames) * hop_length, np.arange(bins)) % n_fft / n_fft
    first = magnitude * np.exp(2j * np.pi * turns).astype(np.complex64)
    (spectrum, _), _ = jax.lax.scan(step, (first, jnp.zeros_like(first)), None, iterations)
    return sound(spectrum)
