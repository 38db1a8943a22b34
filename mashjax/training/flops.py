"""What a compiled step costs, counted from its program: for any task, network and head.

XLA's own count (`cost_analysis`) takes the body of a loop once, however often it runs, which for an
LSTM is nearly nothing of it. Here every loop is multiplied out.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
from jax.extend import core

PEAK_FLOPS = {
    # Dense bfloat16 operations per second of one chip. TPUs: cloud.google.com/tpu/docs, the page of
    # each version. GPUs: NVIDIA's data sheets, SXM where there is one, without sparsity.
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,  # v5e
    "TPU v5": 459e12,  # v5p
    "TPU v6 lite": 918e12,  # v6e
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
    "NVIDIA B200": 2250e12,
    "NVIDIA L4": 121e12,
    "Tesla T4": 65e12,  # float16: it has no bfloat16
    "Tesla V100": 125e12,  # likewise
}


class Cost(NamedTuple):
    """What one call costs, over all devices that share its batch.

    flops: of matrix products and convolutions, a multiplication and an addition being two;
    iterations: of its loops, one after another (a step cannot be quicker than these let it);
    streamed: bytes that the loops take slices from and add slices to, all iterations but the first:
    what XLA's own "bytes accessed" leaves out.
    """

    flops: float = 0.0
    iterations: int = 0
    streamed: float = 0.0


def matmul_flops(function: Callable, *arguments: Any) -> float:
    """Operations of all matrix products and convolutions of one call; see `cost`."""
    return cost(function, *arguments).flops


def cost(function: Callable, *arguments: Any) -> Cost:
    """The cost of calling `function`, compiled or not, with arrays of the shapes of `arguments`.

    A loop whose length only its data knows (`lax.while_loop`) counts once; of several branches the
    dearest counts; what the backward pass computes again (`jax.checkpoint`) counts again.
    """
    return _cost(jax.make_jaxpr(function)(*arguments).jaxpr)


def peak_flops(device: jax.Device) -> float | None:
    """Dense bfloat16 operations per second of a device, or None where nobody publishes them."""
    kind = device.device_kind
    # "NVIDIA A100-SXM4-80GB", "NVIDIA L40S" and "TPU v5 lite": the number must end where it ends.
    found = [
        name for name in PEAK_FLOPS if kind == name or kind.startswith((f"{name}-", f"{name} "))
    ]
    return PEAK_FLOPS[max(found, key=len)] if found else None


def _cost(jaxpr: core.Jaxpr) -> Cost:
    """Of what its results depend on: gradients that nobody asks for are never computed."""
    wanted = set(map(id, jaxpr.outvars))
    parts = []
    for equation in reversed(jaxpr.eqns):
        if equation.effects or not wanted.isdisjoint(map(id, equation.outvars)):
            wanted.update(map(id, equation.invars))
            parts.append(_equation(equation))
    return Cost(*map(sum, zip(*parts, strict=True))) if parts else Cost()


def _equation(equation: core.JaxprEqn) -> Cost:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        return Cost(flops=_dot_flops(equation))
    if name == "conv_general_dilated":
        return Cost(flops=_convolution_flops(equation))
    bodies = [_cost(body) for body in _bodies(params)]
    if name == "cond":
        return max(bodies, default=Cost())
    flops, iterations, streamed = map(sum, zip(*bodies, strict=True)) if bodies else Cost()
    if name == "scan":
        length = params["length"]
        streamed = streamed * length + _sliced(equation) * (1 - 1 / max(1, length))
        return Cost(flops * length, max(1, iterations) * length, streamed)
    if name == "shard_map":  # its body is what each device does
        devices = params["mesh"].size
        return Cost(flops * devices, iterations, streamed * devices)
    if name == "pallas_call":
        return Cost(flops * math.prod(params["grid_mapping"].grid), iterations, streamed)
    return Cost(flops, iterations, streamed)


def _bodies(params: dict[str, Any]) -> Iterator[core.Jaxpr]:
    """The programs inside of an operation: of a call, a loop, the branches of a choice."""
    for value in params.values():
        for inner in value if isinstance(value, tuple | list) else (value,):
            if isinstance(inner, core.ClosedJaxpr):
                yield inner.jaxpr
            elif isinstance(inner, core.Jaxpr):
                yield inner


def _dot_flops(equation: core.JaxprEqn) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = _shape(equation.invars[0])
    return 2.0 * _size(equation.outvars[0]) * math.prod(left[axis] for axis in contracted)


def _convolution_flops(equation: core.JaxprEqn) -> float:
    kernel = _shape(equation.invars[1])
    outputs = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2.0 * _size(equation.outvars[0]) * math.prod(kernel) / outputs


def _sliced(equation: core.JaxprEqn) -> int:
    """Bytes of the arrays of which each iteration of a scan has a slice: an axis less than all."""
    (body,) = _bodies(equation.params)
    outside: list[Any] = [*equation.invars, *equation.outvars]
    within: list[Any] = [*body.invars, *body.outvars]
    return sum(
        _bytes(whole)
        for whole, own in zip(outside, within, strict=True)
        if len(_shape(whole)) > len(_shape(own))
    )


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _size(variable: Any) -> int:
    return math.prod(variable.aval.shape)


def _bytes(variable: Any) -> int:
    return _size(variable) * variable.aval.dtype.itemsize
