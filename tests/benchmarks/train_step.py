"""A training step of mashjax beside the same networks in PyTorch and in Keras on TensorFlow.

    python tests/benchmarks/train_step.py [--shapes=8x256,2x2584] [--rounds=7] [--dtype=float32]

The students' config: 1,025 bins, 512 units, both networks, two songs; forward, backward and Adam
over the same features and labels. Each library runs in a process of its own, one step of each in
turn. First all say what the same weights make of the same songs: they race only if that agrees.
Then, for mashjax alone, the whole step of `mashjax.training` on stored samples, which adds the
STFT, clipping, weight decay and the parameters' running mean.

Peers that are not installed are left out. On a GPU, `--dtype=bfloat16` is what a user would take.
"""

import argparse
import dataclasses
import importlib.util
import multiprocessing
import os
import pathlib
import platform
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import peers

from mashjax.tasks import mashup
from mashjax.tasks.mashup.model import init_model, said
from mashjax.train import read_config
from mashjax.training.config import TrainConfig
from mashjax.training.flops import matmul_flops
from mashjax.training.memory import keep_freed_memory
from mashjax.training.mesh import data_mesh
from mashjax.training.step import compiled_step, init_state

CONFIG = pathlib.Path(__file__).parents[2] / "configs" / "students.py"
EPOCH_STEPS = 1000  # 2,000 mashups of a minute, two per step
TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}  # of outputs, relative to their norm
MODULES = {"PyTorch": "torch", "Keras": "keras"}


@dataclasses.dataclass(frozen=True)
class Problem:
    """The same for everyone. features: both songs of each network, [batch, frames, bins]."""

    cfg: TrainConfig
    params: dict[str, Any]
    features: dict[str, tuple[np.ndarray, np.ndarray]]
    labels: dict[str, np.ndarray]
    learning_rate: float = 1e-4

    @property
    def network(self) -> mashup.config.Network:
        return self.cfg.model.magnitude  # the students' two are of one size

    @property
    def bins(self) -> int:
        return self.cfg.model.bands.count

    @property
    def shape(self) -> tuple[int, int]:
        return self.labels["phase"].shape[:2]

    def near(self) -> np.ndarray:
        """Which frame attends to which, [frames, frames]."""
        at = np.arange(self.shape[1])
        return np.abs(at[:, None] - at) <= self.network.window


class Ours:
    """As `mashjax.training` trains it, from the features on."""

    def __init__(self, problem: Problem, *, dtype: str):
        cfg = dataclasses.replace(problem.cfg.model, dtype=dtype)
        adam = optax.adam(problem.learning_rate)

        def loss_fn(params, features, labels):
            magnitude, phase = said(cfg, params, features["magnitude"], features["phase"])
            turn = jnp.pi * jnp.tanh(phase) - labels["phase"]
            return jnp.mean((magnitude - labels["magnitude"]) ** 2) + jnp.mean(1 - jnp.cos(turn))

        def step(params, opt_state, features, labels):
            loss, gradients = jax.value_and_grad(loss_fn)(params, features, labels)
            updates, opt_state = adam.update(gradients, opt_state)
            return optax.apply_updates(params, updates), opt_state, loss

        self._said = jax.jit(
            lambda params, seen: said(cfg, params, seen["magnitude"], seen["phase"])
        )
        self._step = jax.jit(step, donate_argnums=(0, 1))
        self.params, self.features, self.labels = jax.device_put(
            (problem.params, problem.features, problem.labels)
        )
        self.opt_state = jax.jit(adam.init)(self.params)
        self.flops = matmul_flops(step, self.params, self.opt_state, self.features, self.labels)

    def said(self) -> dict[str, np.ndarray]:
        magnitude, phase = jax.device_get(self._said(self.params, self.features))
        return {"magnitude": magnitude, "phase": phase}

    def step(self) -> float:
        self.params, self.opt_state, loss = self._step(
            self.params, self.opt_state, self.features, self.labels
        )
        return float(loss)


class Whole:
    """The step that `mashjax.train` takes, on samples as they are stored."""

    def __init__(self, problem: Problem, *, dtype: str):
        batch, frames = problem.shape
        model = dataclasses.replace(problem.cfg.model, dtype=dtype)
        cfg = dataclasses.replace(problem.cfg, model=model, batch_size=batch, frames=frames)
        mesh = data_mesh(batch, jax.devices()[:1])
        samples = mashup.read_samples(cfg.model, frames)
        noise = np.random.default_rng(0).normal(size=(batch, 4, samples))
        self.sources = np.asarray(3000 * noise, np.int16)
        bands = np.ones(cfg.model.bands.count, np.float32)
        self.statistics = {"mean": 0 * bands, "scale": bands}
        self.root = jax.random.key_data(jax.random.key(0))
        self.state = init_state(cfg, mesh)
        self._step = compiled_step(cfg, mesh)

    def step(self) -> float:
        self.state, metrics = self._step(self.state, self.statistics, self.sources, self.root)
        return float(metrics["loss"])


def make_problem(batch: int, frames: int) -> Problem:
    cfg = read_config(str(CONFIG))
    rng = np.random.default_rng(0)
    params = jax.device_get(init_model(cfg.model, jax.random.key(0)))
    bins = cfg.model.bands.count

    def normal(scale: float = 1.0) -> np.ndarray:
        return scale * rng.standard_normal((batch, frames, bins), np.float32)

    for network in params.values():  # a head that starts at zero would hide every difference
        kernel = network["head"]["kernel"]
        network["head"]["kernel"] = rng.standard_normal(kernel.shape, np.float32) / 16
    features = {name: (normal(), normal()) for name in params}
    return Problem(cfg, params, features, {name: normal() for name in params})


def serve(kind: type, problem: Problem, dtype: str, connection: Any) -> None:
    """A process of its own: answers "said" with outputs, "step" with seconds and loss."""
    if kind in (Ours, Whole):
        keep_freed_memory()  # as mashjax.train does
    runner = kind(problem, dtype=dtype)
    connection.send(getattr(runner, "flops", 0.0))
    while request := connection.recv():
        if request == "said":
            connection.send(runner.said())
        else:
            began = time.perf_counter()
            loss = runner.step()
            connection.send((time.perf_counter() - began, loss))


class Runner:
    """One library at work in its process."""

    def __init__(self, kind: type, problem: Problem, *, dtype: str):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(kind, problem, dtype, theirs), daemon=True
        )
        self._process.start()
        theirs.close()  # so that a process that dies is an end of file here
        self.flops = self._connection.recv()

    def ask(self, request: str) -> Any:
        self._connection.send(request)
        return self._connection.recv()

    def close(self) -> None:
        self._connection.send(None)
        self._process.join()


def race(batch: int, frames: int, *, dtype: str, rounds: int, peak: float) -> None:
    print(f"\nB={batch} x T={frames}, {dtype}")
    problem = make_problem(batch, frames)
    kinds = {"mashjax": Ours, **installed()}
    runners = {name: Runner(kind, problem, dtype=dtype) for name, kind in kinds.items()}
    agree(runners, TOLERANCE[dtype])
    runners["the whole step"] = Runner(Whole, problem, dtype=dtype)
    losses = {name: [runner.ask("step")[1] for _ in range(2)] for name, runner in runners.items()}
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, runner in runners.items():
            times[name].append(runner.ask("step")[0])
    flops = runners["mashjax"].flops
    for runner in runners.values():
        runner.close()
    ours = statistics.median(times["mashjax"])
    print(f"{flops / 1e9:.0f} GFLOP in matmuls a step; at the machine's peak {flops / peak:.3f} s")
    print("                    s (least-most)       / mashjax   GFLOP/s   of peak   2nd loss")
    for name, taken in times.items():
        seconds = statistics.median(taken)
        print(
            f"{name:15} {seconds:7.3f} ({min(taken):.3f}-{max(taken):.3f}) {seconds / ours:9.2f} "
            f"{flops / seconds / 1e9:12.0f} {100 * flops / seconds / peak:8.0f} %"
            f"{losses[name][1]:11.5f}"
        )
    if (batch, frames) == (2, 2584):
        whole = statistics.median(times["the whole step"])
        print(f"an epoch of 2,000 mashups of a minute: {EPOCH_STEPS * whole / 60:.1f} minutes")


def agree(runners: dict[str, Runner], tolerance: float) -> None:
    """Refuse to race networks that are not the same."""
    ours = runners["mashjax"].ask("said")
    for name, runner in list(runners.items())[1:]:
        theirs = runner.ask("said")
        wrong = {
            network: float(np.linalg.norm(theirs[network] - said) / np.linalg.norm(said))
            for network, said in ours.items()
        }
        print(f"{name} says the same within", *(f"{n} {w:.1e}" for n, w in wrong.items()))
        if max(wrong.values()) > tolerance:
            raise SystemExit(f"{name} is another network: its outputs must agree in {tolerance:g}")


def installed() -> dict[str, type]:
    found = {}
    for name, kind in peers.PEERS.items():
        if importlib.util.find_spec(MODULES[name]) is None:
            print(f"{name} is not installed: left out")
        else:
            found[name] = kind
    return found


def matmul_peak(dtype: str) -> float:
    """FLOP/s of the best of some square matmuls."""
    size = 8192 if jax.default_backend() == "gpu" else 3072
    x = jnp.ones((size, size), dtype)
    multiply = jax.jit(lambda x: jnp.matmul(x, x, preferred_element_type=jnp.float32))
    multiply(x).block_until_ready()
    taken = []
    for _ in range(8):
        began = time.perf_counter()
        multiply(x).block_until_ready()
        taken.append(time.perf_counter() - began)
    return 2 * size**3 / min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", default="8x256,2x2584", help="batch x frames, ...")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dtype", default="float32", choices=TOLERANCE)
    arguments = parser.parse_args()
    # Several processes share a GPU.
    os.environ |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    device = jax.devices()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {device.device_kind}, jax {jax.__version__}"
    )
    peaks = {dtype: matmul_peak(dtype) for dtype in TOLERANCE}
    print("matmul peak:", *(f"{dtype} {peak / 1e9:.0f} GFLOP/s" for dtype, peak in peaks.items()))
    for shape in arguments.shapes.split(","):
        batch, frames = map(int, shape.split("x"))
        race(
            batch,
            frames,
            dtype=arguments.dtype,
            rounds=arguments.rounds,
            peak=peaks[arguments.dtype],
        )


if __name__ == "__main__":
    main()
