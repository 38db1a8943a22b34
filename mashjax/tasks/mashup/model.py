"""The two parallel encoder-decoders and their loss."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from mashjax.errors import UserError
from mashjax.nn.encoder_decoder import EncoderDecoder
from mashjax.tasks.mashup import direct, masks
from mashjax.tasks.mashup.config import Config, Network
from mashjax.tasks.mashup.examples import Statistics, make_example, varied

Params = dict[str, Any]  # {"magnitude": ..., "phase": ...}
Songs = tuple[jax.Array, jax.Array]  # features of both, each [batch, frames, features]

# A head says what the networks see (features, with_masks), what they say (outputs), how that
# becomes a result (result) and what a result costs (loss).
HEADS = {"mask": masks, "direct": direct}


class Networks(nnx.Module):
    """Magnitude and phase network side by side; each sees and says what the head asks for."""

    def __init__(self, cfg: Config, *, rngs: nnx.Rngs):
        head = HEADS[cfg.head]
        seen, said = head.feature_counts(cfg), head.output_counts(cfg)
        self.magnitude = _network(cfg, cfg.magnitude, seen[0], said[0], rngs)
        self.phase = _network(cfg, cfg.phase, seen[1], said[1], rngs)


def init_model(cfg: Config, key: jax.Array) -> Params:
    """Fresh parameters, as nested dicts of arrays."""
    networks = Networks(cfg, rngs=nnx.Rngs(params=key))
    params = nnx.to_pure_dict(nnx.split(networks, nnx.Param)[1])
    bias = HEADS[cfg.head].first_bias(cfg)
    params["magnitude"]["head"]["bias"] = jnp.full_like(params["magnitude"]["head"]["bias"], bias)
    return params


def apply(
    cfg: Config, params: Params, statistics: Statistics, song1: jax.Array, song2: jax.Array
) -> Any:
    """Run both networks.

    song1, song2: spectra [batch, frames, bins], level-matched.
    Returns the head's result: `masks.Filters` or `direct.Painting`.
    """
    head = HEADS[cfg.head]
    seen = head.features(cfg, statistics, song1, song2)
    return head.result(cfg, statistics, *said(cfg, params, *seen))


def said(
    cfg: Config, params: Params, magnitude: Songs, phase: Songs
) -> tuple[jax.Array, jax.Array]:
    """What each network says of the features that it sees, [batch, frames, outputs].

    Raises UserError if the networks are to be stacked and are not of one size.
    """
    networks = nnx.merge(_graph(cfg), nnx.State(params))
    if not cfg.stacked:
        magnitude_said = networks.magnitude(*magnitude)
        seen = HEADS[cfg.head].with_masks(cfg, phase, magnitude_said)
        return magnitude_said, networks.phase(*seen)
    if cfg.magnitude != cfg.phase or magnitude[0].shape != phase[0].shape:
        raise UserError("model.stacked=True: both networks must be of one size, and are not")
    graph = nnx.split(networks.magnitude, nnx.Param)[0]
    stack = lambda *both: jax.tree.map(lambda *pair: jnp.stack(pair), *both)  # noqa: E731
    together = stack(params["magnitude"], params["phase"]), *stack(magnitude, phase)
    both = jax.vmap(lambda params, *songs: nnx.merge(graph, nnx.State(params))(*songs))(*together)
    return both[0], both[1]


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

    sources: [batch, 4 or 3, samples], see `level_matched`; keys: [batch], for augmentation;
    frames: how many the loss is taken over, for which there may be more samples than they need.
    The loss is the mean of the examples' own: devices that share a batch need not ask each other.
    """
    example = make_example(cfg, varied(cfg, sources, keys, frames=frames))
    result = apply(cfg, params, statistics, example.song1, example.song2)
    return HEADS[cfg.head].loss(cfg, statistics, result, example)


def _network(
    cfg: Config, network: Network, features: int, outputs: int, rngs: nnx.Rngs
) -> EncoderDecoder:
    if cfg.dtype not in ("float32", "bfloat16"):
        raise UserError(f"model.dtype={cfg.dtype!r}: say float32 or bfloat16")
    if network.encoder not in ("lstm", "transformer"):
        raise UserError(f"encoder={network.encoder!r}: say lstm or transformer")
    transformer = network.encoder == "transformer"
    if transformer and (min(network.layers, network.window) < 1 or network.attention % 2):
        raise UserError(
            f"layers={network.layers}, window={network.window}, attention={network.attention}: a "
            "transformer has one layer or more, a window, and attention of an even width"
        )
    return EncoderDecoder(
        features=features,
        embedding=network.embedding,
        hidden=network.hidden,
        attention=network.attention,
        window=network.window,
        head=network.head,
        outputs=outputs,
        bidirectional=network.bidirectional,
        encoder=network.encoder,
        layers=network.layers,
        places=cfg.bands.linear if network.local else None,
        dtype=cfg.dtype,
        remat=cfg.remat,
        rngs=rngs,
    )


def _graph(cfg: Config) -> nnx.GraphDef:
    """The networks without their numbers; made while tracing, so it costs nothing per step."""
    return nnx.split(nnx.eval_shape(lambda: Networks(cfg, rngs=nnx.Rngs(0))), nnx.Param)[0]
