"""The training state and the compiled step that advances it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec

from mashjax.data.store import decode
from mashjax.tasks import TASKS
from mashjax.training.config import Optim, TrainConfig
from mashjax.training.mesh import batch_sharding, replicated


class TrainState(NamedTuple):
    """All that changes from step to step.

    step: int32, steps done; params and ema: nested dicts, the latter their running mean.
    """

    step: jax.Array
    params: Any
    ema: Any
    opt_state: Any


def init_state(cfg: TrainConfig, mesh: Mesh) -> TrainState:
    """A fresh state on every device of the mesh, made from the config's seed."""
    task, tx = TASKS[cfg.task], optimiser(cfg)

    def init(key: jax.Array) -> TrainState:
        params = task.init_model(cfg.model, key)
        return TrainState(jnp.int32(0), params, params, tx.init(params))

    return jax.jit(init, out_shardings=replicated(mesh))(jax.random.fold_in(_root(cfg), 0))


def make_step(cfg: TrainConfig, mesh: Mesh) -> Callable:
    """The step with its source of randomness: (state, statistics, sources) -> (state, metrics)."""
    step = compiled_step(cfg, mesh)
    # An argument, not a constant: runs that differ in nothing but the seed share a compilation.
    root = jax.device_put(jax.random.key_data(jax.random.fold_in(_root(cfg), 1)), replicated(mesh))
    return lambda state, statistics, sources: step(state, statistics, sources, root)


def compiled_step(cfg: TrainConfig, mesh: Mesh) -> Callable:
    """The compiled step: (state, statistics, sources, root) -> (state, metrics).

    sources: int16 [batch, ...] as stored, cut along the mesh. The old state's memory is given away.
    Randomness is a pure function of (root, step, place in the batch), so a resumed run needs no
    more than the state, and the number of devices changes nothing.

    Every device works through its own examples alone, until one all-reduce of everything. Left to
    the compiler's own partitioner, a batch that is cut is also moved: it gathered all examples on
    every device for each FFT, and permuted them where two songs became one batch.

    Where the loss or a gradient is not a number, the step changes nothing but the count of steps.
    """
    task, tx, rate = TASKS[cfg.task], optimiser(cfg), schedule(cfg)

    def own_gradients(params: Any, statistics: Any, sources: jax.Array, key: jax.Array):
        places = jax.lax.axis_index("data") * len(sources) + jnp.arange(len(sources))
        keys = jax.vmap(lambda place: jax.random.fold_in(key, place))(places)

        def gradients(sources: jax.Array, keys: jax.Array):
            def loss_fn(params):
                return task.loss_fn(
                    cfg.model, params, statistics, decode(sources), keys, frames=cfg.frames
                )

            return jax.value_and_grad(loss_fn, has_aux=True)(params)

        own = in_parts(gradients, cfg.accumulate, sources, keys)
        if mesh.size == 1:  # an all-reduce of one is a copy that XLA does not leave out
            return own
        together, separate = ravel_pytree(own)
        return separate(jax.lax.pmean(together, "data"))

    everyone, cut = PartitionSpec(), PartitionSpec("data")
    gradients = jax.shard_map(
        own_gradients,
        mesh=mesh,
        in_specs=(everyone, everyone, cut, everyone),
        out_specs=everyone,
        check_vma=False,  # it would ask every scan to say that its first state is each device's own
    )

    def step(state: TrainState, statistics: Any, sources: jax.Array, root: jax.Array):
        key = jax.random.fold_in(jax.random.wrap_key_data(root), state.step)
        (loss, parts), grads = gradients(state.params, statistics, sources, key)
        norms = {f"gradient_{name}": optax.tree.norm(grad) for name, grad in grads.items()}
        sound = jnp.isfinite(loss + sum(norms.values()))
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        # The mean of few steps would still hold the random start: it forgets faster at first.
        decay = jnp.minimum(cfg.optim.ema, (1 + state.step) / (10 + state.step))
        ema = optax.incremental_update(params, state.ema, 1 - decay)
        after = TrainState(state.step + 1, params, ema, opt_state)
        passed = state._replace(step=state.step + 1)
        kept = jax.tree.map(lambda new, old: jnp.where(sound, new, old), after, passed)
        return kept, {"loss": loss, **parts, "learning_rate": rate(state.step), **norms}

    copies = replicated(mesh)
    return jax.jit(
        step,
        in_shardings=(copies, copies, batch_sharding(mesh), copies),
        out_shardings=copies,
        donate_argnums=0,
    )


def in_parts(function: Callable, count: int, *batch: jax.Array) -> Any:
    """The mean of what `function` says of `count` equal parts of a batch, one after another.

    Of a mean over examples, that is what it says of the whole batch, in a part of the memory.
    """
    if count == 1:
        return function(*batch)
    parts = [array.reshape(count, -1, *array.shape[1:]) for array in batch]
    zeros = jax.tree.map(
        lambda said: jnp.zeros(said.shape, said.dtype),
        jax.eval_shape(function, *(part[0] for part in parts)),
    )

    def add(total: Any, part: list[jax.Array]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, function(*part)), None

    total, _ = jax.lax.scan(add, zeros, parts)
    return jax.tree.map(lambda said: said / count, total)


def schedule(cfg: TrainConfig) -> optax.Schedule:
    """Linear warm-up, then a cosine to `final_fraction` at the last step."""
    optim = cfg.optim
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=optim.learning_rate,
        warmup_steps=min(optim.warmup, cfg.steps - 1),
        decay_steps=max(cfg.steps, 2),
        end_value=optim.final_fraction * optim.learning_rate,
    )


def optimiser(cfg: TrainConfig) -> optax.GradientTransformation:
    """A rule for each top-level part of the params, with its own clipping and its own rate."""

    def label(params):
        return {
            name: jax.tree.map(lambda _, name=name: name, part) for name, part in params.items()
        }

    names = jax.eval_shape(lambda: TASKS[cfg.task].init_model(cfg.model, _root(cfg))).keys()
    rate = schedule(cfg)
    factors = cfg.optim.rate_factors
    return optax.multi_transform(
        {name: _rule(cfg.optim, rate, factors.get(name, 1.0)) for name in names}, label
    )


def _rule(optim: Optim, rate: optax.Schedule, factor: float) -> optax.GradientTransformation:
    own = lambda count: factor * rate(count)  # noqa: E731
    if optim.method == "adamw":
        rules = [optax.adamw(own, b2=optim.b2, weight_decay=optim.weight_decay)]
    else:
        rules = [
            optax.add_decayed_weights(optim.weight_decay),
            optax.rmsprop(own, decay=optim.b2)
            if optim.method == "rmsprop"
            else optax.sgd(own, momentum=0.9, nesterov=True),
        ]
    # One long vector instead of dozens of arrays: a third of the time to compile.
    return optax.flatten(optax.chain(optax.clip_by_global_norm(optim.clip), *rules))


def _root(cfg: TrainConfig) -> jax.Array:
    return jax.random.key(cfg.seed)
