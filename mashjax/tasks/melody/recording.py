"""How a voice comes to be recorded: its swells, the room, the microphone, what else is heard.

What machines sing begins sharply, on its pitch, out of silence, through no microphone; a network
that learns of nothing else misses half of the notes of real singers. All of this is drawn for each
example on the device, so that no store need hold it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from mashjax.data.control import moved, told
from mashjax.tasks.melody.config import Config

TAIL = 0.5  # seconds of a room's response
KNOTS = 10  # of a microphone's, evenly spaced on the mel scale


def decibels(keys: jax.Array, low: float, high: float) -> jax.Array:
    """A factor for each key, between so many dB, [batch, 1]."""
    return 10 ** (_between(keys, low, high) / 20)


def scooped(
    cfg: Config, y: jax.Array, track: jax.Array, keys: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Voices and their tracks of notes, of which some glide a while to where they belong.

    y, track: [batch, samples], whole frames; keys: [batch]. A note is read slower at first, mostly,
    so that it begins up to 5 semitones too low; notes after it come that much later.
    """
    for_share, for_notes = _split(keys, 2)
    step = cfg.hop_length // 10  # samples: 1 ms
    side = told(track[:, ::step]).side
    count = side.shape[1]
    at = jnp.arange(count)
    begins = _begins(side)
    first = jax.lax.cummax(jnp.where(begins, at, 0), axis=1)
    following = jnp.pad(jnp.where(begins, at, count), ((0, 0), (0, 1)), constant_values=count)
    last = jax.lax.cummin(following[:, 1:], axis=1, reverse=True)
    draws = jax.vmap(lambda key: jax.random.uniform(key, (3, count)))(for_notes)
    glides, far, slow = jnp.moveaxis(
        jnp.take_along_axis(draws, jnp.broadcast_to(first[:, None], draws.shape), axis=2), 1, 0
    )
    share = jnp.maximum(_between(for_share, -0.4, 0.6), 0.0)
    time = jnp.minimum(10 ** (1.3 + 0.8 * slow), (last - first) / 5)  # ms: 20 to 126
    away = jnp.where(glides < share, 1.5 - 6.5 * far, 0.0) * (side != 0)
    away = away * jnp.exp(-(at - first) / jnp.maximum(time, 1.0))
    # A step of what is read lasts 2 ** (-away / 12) steps of what is heard.
    heard = jnp.cumsum(2 ** (-away / 12), axis=1)
    heard -= heard[:, :1]
    read = jax.vmap(lambda x: jnp.interp(jnp.arange(count + 1.0), x, at.astype(jnp.float32)))(heard)
    fine = jnp.arange(y.shape[-1])
    part = (fine % step) / step
    low, high = read[:, fine // step], read[:, fine // step + 1]
    place = jnp.clip(step * (low + part * (high - low)), 0, y.shape[-1] - 1)
    near = jnp.round(place).astype(int)
    off = jnp.take_along_axis(away, jnp.minimum(near // step, count - 1), axis=1)
    return _read(y, place), moved(jnp.take_along_axis(track, near, axis=1), off)


def expressive(cfg: Config, y: jax.Array, track: jax.Array, keys: jax.Array) -> jax.Array:
    """Voices whose notes swell, and whose level is evened out or made uneven, [batch, samples].

    y, its track of notes: [batch, samples], whole frames; keys: [batch]. On one breath a singer's
    level may hardly fall from note to note, and reach its own a tenth of a second late.
    """
    for_depth, for_rise, for_floor, for_power = _split(keys, 4)
    side = told(track).side
    at = jnp.arange(y.shape[-1])
    age = at - jax.lax.cummax(jnp.where(_begins(side), at, 0), axis=1)
    depth = jnp.maximum(_between(for_depth, -0.7, 0.9), 0.0)
    rise = cfg.sample_rate * 10 ** _between(for_rise, -2.0, -1.0)  # samples
    y = y * (1 - depth * jnp.exp(-age / rise))
    power = jnp.mean(y.reshape(len(y), -1, cfg.hop_length) ** 2, axis=-1)
    frames = power.shape[1]
    padded = jnp.pad(power, ((0, 0), (3, 3)))
    around = jnp.mean(jnp.stack([padded[:, k : k + frames] for k in range(7)]), axis=0)  # 70 ms
    usual = jnp.maximum(jnp.mean(power, axis=-1, keepdims=True), 1e-9)
    level = jnp.maximum(around / usual, decibels(for_floor, -80.0, -40.0))
    gain = level ** -_between(for_power, -0.25, 0.4)
    return y * jax.image.resize(gain, y.shape, "linear")


def recorded(cfg: Config, y: jax.Array, keys: jax.Array) -> jax.Array:
    """Sounds [batch, samples] in a room, with its noise, as a microphone has them; keys: [batch].

    The noise is `cfg.noise_db` below the sound, and white to pink. The room is noise that decays.
    The microphone's response is uneven by a few dB, and may have neither lows nor highs.
    """
    (
        for_level,
        for_noise,
        for_colour,
        for_wet,
        for_decay,
        for_room,
        for_curve,
        for_uneven,
        for_low,
        for_high,
    ) = _split(keys, 10)
    samples, tail = y.shape[-1], int(TAIL * cfg.sample_rate)
    normal = lambda keys, n: jax.vmap(lambda key: jax.random.normal(key, (n,)))(keys)  # noqa: E731
    hz = jnp.fft.rfftfreq(samples + tail, 1 / cfg.sample_rate)
    knots = np.linspace(0.0, np.log1p(cfg.sample_rate / 2 / 700), KNOTS)
    curve = _between(for_uneven, 0.0, 5.0) * normal(for_curve, KNOTS)
    response = jax.vmap(lambda row: jnp.interp(jnp.log1p(hz / 700), knots, row))(curve)
    low = 10 ** _between(for_low, 1.3, 2.5)  # 20 to 316 Hz
    high = 10 ** _between(for_high, 3.4, 4.5)  # 2.5 kHz up, mostly out of what is heard
    cut = 1 / jnp.sqrt((1 + (low / jnp.maximum(hz, 1.0)) ** 4) * (1 + (hz / high) ** 8))
    seconds = np.arange(tail) / cfg.sample_rate
    decay = 10 ** _between(for_decay, -0.8, 0.2)  # of 60 dB
    room = normal(for_room, tail) * 10 ** (-3 * seconds / decay)
    room /= jnp.sqrt(jnp.sum(room**2, axis=-1, keepdims=True))
    room *= decibels(for_wet, -30.0, -5.0)
    white = jnp.fft.rfft(normal(for_noise, samples + tail))
    noise = white * (jnp.maximum(hz, 50.0) / 1000.0) ** -_between(for_colour, 0.0, 0.5)
    rms = jnp.sqrt(jnp.mean(y**2, axis=-1, keepdims=True))
    noise *= jnp.maximum(rms, 1e-3) * decibels(for_level, *cfg.noise_db)
    padded = jnp.pad(y, ((0, 0), (0, tail)))
    wet = jnp.fft.rfft(padded) * (1 + jnp.fft.rfft(room, n=samples + tail)) + noise
    return jnp.fft.irfft(wet * cut * 10 ** (response / 20), n=samples + tail)[:, :samples]


def _begins(side: jax.Array) -> jax.Array:
    """Whether a note or a rest begins, of `told(track).side` [batch, steps]; not at the first."""
    return side != jnp.pad(side, ((0, 0), (1, 0)), mode="edge")[:, :-1]


def _read(y: jax.Array, place: jax.Array) -> jax.Array:
    """`y` at places between its samples, by cubics through four of them (Catmull and Rom, 1974)."""
    low = jnp.floor(place).astype(int)
    t = place - low
    a, b, c, d = (
        jnp.take_along_axis(y, jnp.clip(low + k, 0, y.shape[-1] - 1), axis=1) for k in (-1, 0, 1, 2)
    )
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def _between(keys: jax.Array, low: float, high: float) -> jax.Array:
    """A number for each key, evenly distributed, [batch, 1]."""
    draw = lambda key: jax.random.uniform(key, minval=low, maxval=high)  # noqa: E731
    return jax.vmap(draw)(keys)[:, None]


def _split(keys: jax.Array, count: int) -> jax.Array:
    return jnp.moveaxis(jax.vmap(lambda key: jax.random.split(key, count))(keys), 1, 0)
