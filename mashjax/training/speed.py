"""How fast a step is, against what its devices could do."""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from mashjax.training.flops import matmul_flops, peak_flops


class Utilisation:
    """The share of the devices' peak that a training step uses, its MFU.

    Of its matmuls alone, as `matmul_flops` counts them: what is computed twice to save memory
    counts twice.
    """

    def __init__(self, mesh: Mesh, train_step: Callable, *arguments: Any):
        """arguments: of train_step, arrays or their shapes."""
        self._peak = _peak(mesh)
        self._step = train_step
        self._shapes = jax.eval_shape(lambda *x: x, *arguments)

    @functools.cached_property
    def flops(self) -> float:
        """Of one step on all devices."""
        return matmul_flops(self._step, *self._shapes)

    def __call__(self, seconds: float) -> float | None:
        """At so many seconds a step; None where the devices' peak is not known."""
        return None if self._peak is None else self.flops / seconds / self._peak


def _peak(mesh: Mesh) -> float | None:
    """What all devices together could do, FLOP/s; None where it is not known.

    The virtual devices of a CPU share its cores, whose speed in float32 is measured here.
    """
    devices = list(mesh.devices.flat)
    if devices[0].platform == "cpu":
        return jax.process_count() * _measured_peak()
    one = peak_flops(devices[0])
    return None if one is None else one * len(devices)


def _measured_peak(size: int = 1536, runs: int = 4) -> float:
    """The best of a few float32 matmuls, FLOP/s: about 0.1 s on two cores."""
    x = jax.device_put(jnp.ones((size, size)), jax.local_devices()[0])
    multiply = jax.jit(jnp.matmul)
    multiply(x, x).block_until_ready()
    best = float("inf")
    for _ in range(runs):
        started = time.perf_counter()
        multiply(x, x).block_until_ready()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best
