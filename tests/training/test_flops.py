"""Costs, against formulas and against XLA's own count where there is no loop to miss."""

import functools
import pathlib
import runpy
import types

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax.sharding import AbstractMesh, AxisType, PartitionSpec

from mashjax.nn.encoder_decoder import EncoderDecoder
from mashjax.nn.lstm import Lstm
from mashjax.tasks import TASKS
from mashjax.training.flops import cost, matmul_flops, peak_flops
from mashjax.training.mesh import data_mesh
from mashjax.training.step import compiled_step, init_state

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
B, T = 3, 20


def shaped(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def split(make):
    """A network's gradient of the mean square of what it says, and its parameters' shapes."""
    network = nnx.eval_shape(make)
    graph, params = nnx.split(network, nnx.Param)

    def gradient(params, *inputs):
        def loss(params):
            said = nnx.merge(graph, params)(*inputs)
            return sum(jnp.mean(x**2) for x in jax.tree.leaves(said))

        return jax.grad(loss)(params)

    return gradient, params


def test_a_layers_training_is_three_products_per_weight():
    """Forwards, backwards, and the weight's own gradient; nobody asks for the inputs' gradient."""
    features, hidden = 40, 24
    gradient, params = split(lambda: Lstm(features, hidden, rngs=nnx.Rngs(0)))
    found = cost(gradient, params, shaped(T, B, features))
    of_inputs, recurrent = (2 * B * T * rows * 4 * hidden for rows in (features, hidden))
    assert found.flops == 2 * of_inputs + 3 * recurrent
    assert found.iterations == 2 * T
    floats = (4 + 1 + 1 + 4) + (1 + 2 + 4 + 4)  # per unit: z, h, c, gates; dh, two c, gates, dz
    assert found.streamed == pytest.approx(4 * B * hidden * floats * (T - 1), rel=1e-6)


def test_xla_counts_the_same_where_loops_are_unrolled(monkeypatch):
    """It counts activations, too: 5 % of what this network does."""
    gradient, params = split(
        lambda: EncoderDecoder(
            features=96,
            embedding=64,
            hidden=48,
            attention=32,
            window=4,
            head=64,
            outputs=96,
            bidirectional=True,
            rngs=nnx.Rngs(0),
        )
    )
    songs = shaped(B, T, 96), shaped(B, T, 96)
    counted = cost(gradient, params, *songs)
    assert counted.iterations == 8 * T
    monkeypatch.setattr(jax.lax, "scan", functools.partial(jax.lax.scan, unroll=True))
    xla = jax.jit(lambda *a: gradient(*a)).lower(params, *songs).cost_analysis()["flops"]
    assert counted.flops < xla < 1.06 * counted.flops


def test_the_students_step_by_hand():
    """Three products per weight, two where nobody asks for the inputs' gradient; both networks."""
    cfg = runpy.run_path(str(CONFIGS / "students.py"))["get_config"]()
    for network in (cfg.model.magnitude, cfg.model.phase):
        network.window = 16  # attention is cut into chunks this long, which this sum leaves out
    cfg.batch_size, cfg.frames = 8, 256
    bins, units, frames = 1025, 512, 8 * 256
    lstm = 2 * units * 4 * units
    encoder = 2 * frames * (2 * bins * units + 3 * lstm)  # both songs
    attention, bridge = 2 * units * 3 * units, 3 * units * units
    head = 2 * units * units + units * bins
    network = encoder + 3 * frames * (attention + bridge + lstm + head)
    network += 2 * frames * 2 * bins * units  # both songs' features, which the head sees, too
    by_hand = 2 * 2 * network

    mesh, task = data_mesh(8, jax.devices()[:1]), TASKS[cfg.task]
    samples = task.example_samples(cfg.model, cfg.frames)
    statistics = task.statistics(cfg.model, [jnp.zeros((1, 4, samples))])
    state, root = jax.eval_shape(
        lambda: (init_state(cfg, mesh), jax.random.key_data(jax.random.key(0)))
    )
    sources = jax.ShapeDtypeStruct((8, 4, samples), jnp.int16)
    counted = matmul_flops(compiled_step(cfg, mesh), state, statistics, sources, root)
    assert by_hand < counted < 1.05 * by_hand


def test_loops_multiply_and_branches_compete():
    square = lambda x: x @ x  # noqa: E731
    once = 2 * 8**3

    def repeated(x):
        inner = lambda x, _: (square(x), None)  # noqa: E731
        outer = lambda x, _: (jax.lax.scan(inner, x, length=5)[0], None)  # noqa: E731
        return jax.lax.scan(outer, x, length=7)[0]

    x = shaped(8, 8)
    assert cost(repeated, x)[:2] == (35 * once, 35)
    assert cost(jax.jit(jax.checkpoint(square)), x)[:2] == (once, 0)
    either = lambda x: jax.lax.cond(x[0, 0] > 0, square, lambda x: square(square(x)), x)  # noqa: E731
    assert cost(either, x).flops == 2 * once
    assert cost(jnp.sin, x) == (0, 0, 0)


def test_a_batch_cut_over_devices_costs_what_it_costs_whole():
    mesh = AbstractMesh((4,), ("data",), axis_types=(AxisType.Auto,))
    cut = jax.shard_map(
        lambda x, w: x @ w,
        mesh=mesh,
        in_specs=(PartitionSpec("data"), PartitionSpec()),
        out_specs=PartitionSpec("data"),
    )
    assert cost(cut, shaped(8, 16), shaped(16, 32)).flops == 2 * 8 * 16 * 32


def test_matrix_products_by_hand():
    assert matmul_flops(jnp.matmul, shaped(4, 7, 8), shaped(8, 5)) == 2 * 4 * 7 * 8 * 5
    scores = functools.partial(jnp.einsum, "bthd,bshd->bhts")
    assert matmul_flops(scores, shaped(2, 9, 4, 6), shaped(2, 7, 4, 6)) == 2 * 2 * 4 * 9 * 7 * 6
    gradient = jax.value_and_grad(lambda x, y: jnp.sum(x @ y))
    assert matmul_flops(gradient, shaped(3, 4), shaped(4, 5)) == 2 * (2 * 3 * 4 * 5)


def test_convolutions():
    convolved = functools.partial(jax.lax.conv, window_strides=(1, 1), padding="VALID")
    assert cost(convolved, shaped(1, 3, 10, 10), shaped(8, 3, 3, 3)).flops == 2 * 8 * 64 * 27


@pytest.mark.parametrize(
    "kind, tera",
    [
        ("TPU v5 lite", 197),
        ("TPU v5", 459),
        ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", None),
        ("cpu", None),
    ],
)
def test_peaks_by_the_names_that_devices_give_themselves(kind, tera):
    found = peak_flops(types.SimpleNamespace(device_kind=kind))
    assert found == (tera and tera * 1e12)
