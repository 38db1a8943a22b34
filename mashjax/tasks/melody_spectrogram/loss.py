"""What is wrong with a painted spectrogram, and what a critic says of it."""

import jax
import jax.numpy as jnp

from mashjax.tasks.melody.examples import varied
from mashjax.tasks.melody_spectrogram.config import Config
from mashjax.tasks.melody_spectrogram.model import Params, Statistics, judged, looks, painted
from mashjax.tasks.melody_spectrogram.piano import piano


def loss_fn(
    cfg: Config,
    params: Params,
    statistics: Statistics,
    sources: jax.Array,
    keys: jax.Array,
    *,
    frames: int,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The training loss of a batch, and its parts by name.

    sources: [batch, 3, samples], lead, backing and track of notes; keys: [batch], for augmentation.

    The mean square between both looks. The best guess by absolute values is the median, and most
    bins of most frames are silent: after 50 steps on one batch they left a squared distance of .53
    where squares left .18.

    With `cfg.critic` also, of one loss, what the critic learns of both pianos and, turned around,
    what the painter learns of the critic (Ganin & Lempitsky, 2015): one step trains both.
    """
    y, track = varied(cfg.heard, sources, keys, frames=frames)
    found = painted(cfg, params, statistics, y)
    wanted = looks(cfg, statistics, piano(cfg, track))
    distance = jnp.mean((found - wanted) ** 2)
    if not cfg.critic:
        return distance, {"distance": distance}
    unlike = jnp.mean(jax.nn.softplus(judged(cfg, params, _reversed(found))))
    like = jnp.mean(jax.nn.softplus(-judged(cfg, params, wanted)))
    parts = {"distance": distance, "critic": unlike + like}
    return distance + cfg.critic * parts["critic"], parts


@jax.custom_vjp
def _reversed(x: jax.Array) -> jax.Array:
    """The same, and its gradient turned around."""
    return x


_reversed.defvjp(lambda x: (x, None), lambda _, gradient: (-gradient,))
