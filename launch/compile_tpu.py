"""Compile the training step for TPUs that are not here, and say what it needs of them.

    python launch/compile_tpu.py --topology=v5e:2x4 --config=configs/mashup.py [--per_chip=8]
    python launch/compile_tpu.py --table [--json=FILE]

libtpu holds the whole compiler, which runs on any Linux machine: `pip install -e '.[tpu]'`. What is
compiled is the step that mashjax.train runs, on stems (four sources): the memory is what it will
take, and a batch that does not fit fails here as it would there. FLOPs are those of the matrix
products; GB moved are the operands and results of every operation, loops multiplied out, as if
nothing stayed on the chip. --table does this for every topology below and both large configs (an
hour on two cores), and ends with BUILD.md's table; --json is what launch/scaling.py reads.
"""

import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from absl import flags
from jax.experimental import topologies
from ml_collections import config_flags
from scaling import CHIPS, GIB, Figures

from mashjax import cli
from mashjax.errors import UserError
from mashjax.tasks import TASKS
from mashjax.train import read_config
from mashjax.training.config import TrainConfig
from mashjax.training.flops import cost
from mashjax.training.mesh import batch_sharding, data_mesh, replicated
from mashjax.training.step import compiled_step, init_state

# No TPU is looked for, neither here nor in the cloud, and none is locked: the compiler alone.
ALONE = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}

TOPOLOGIES = ("v5e:2x4", "v6e:2x4", "v5p:2x2x1", "v4:2x2x1")
CONFIGS = ("configs/mashup.py", "configs/students.py")
SOURCES = 4  # of a stored example: lead and backing of both songs
COMPILES = 6  # at most so many to find the largest batch
GB = 1e9


class OutOfMemoryError(Exception):
    """A step that does not fit, and how many bytes it would have needed (None: nobody says)."""

    def __init__(self, needed: float | None):
        super().__init__(f"needs {needed} bytes")
        self.needed = needed


def compile_step(
    cfg: TrainConfig, devices: list[jax.Device], *, per_chip: int
) -> tuple[jax.stages.Compiled, float, Any]:
    """The step over all `devices`, with `per_chip` examples on each.

    Returns the compiled step, the seconds that took, and its cost (`mashjax.training.flops`).
    Raises OutOfMemoryError.
    """
    cfg = dataclasses.replace(cfg, batch_size=per_chip * len(devices))
    task, mesh = TASKS[cfg.task], data_mesh(cfg.batch_size, devices)
    sound = np.zeros((1, SOURCES, task.example_samples(cfg.model, cfg.frames)), np.float32)
    copies = (
        jax.eval_shape(lambda: init_state(cfg, mesh)),
        task.statistics(cfg.model, [sound]),
        jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0))),
    )
    state, statistics, root = _shapes(copies, replicated(mesh))
    batch = (cfg.batch_size, SOURCES, task.read_samples(cfg.model, cfg.frames))
    sources = jax.ShapeDtypeStruct(batch, np.int16, sharding=batch_sharding(mesh))
    step = compiled_step(cfg, mesh)
    counted = cost(step, state, statistics, sources, root)
    lowered = step.lower(state, statistics, sources, root)
    started = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise OutOfMemoryError(needed_bytes(str(error))) from error
    return compiled, time.perf_counter() - started, counted


def figures(cfg: TrainConfig, topology: str, *, config: str, per_chip: int) -> Figures:
    """What the compiler says of a step on `topology`. Raises OutOfMemoryError."""
    devices = topology_devices(topology)
    compiled, seconds, counted = compile_step(cfg, devices, per_chip=per_chip)
    memory, hlo = compiled.memory_analysis(), compiled.as_text()
    cycles, in_loops = estimated_cycles(hlo)
    found = collectives(hlo)
    kept = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return Figures(
        config=config,
        topology=topology,
        kind=devices[0].device_kind,
        chips=len(devices),
        per_chip=per_chip,
        frames=cfg.frames,
        compile_seconds=round(seconds, 1),
        arguments=memory.argument_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        total=kept + memory.temp_size_in_bytes + memory.generated_code_size_in_bytes,
        flops=counted.flops / len(devices),
        moved=compiled.cost_analysis()["bytes accessed"] + counted.streamed / len(devices),
        iterations=counted.iterations,
        cycles=cycles,
        loop_cycles=in_loops,
        reduced=reduced_bytes(hlo),
        all_reduces=found.pop("all-reduce", 0),
        other_collectives=sum(found.values()),
    )


def topology_devices(topology: str) -> list[jax.Device]:
    """The devices of a topology by its name. Raises UserError where there is none."""
    if importlib.util.find_spec("libtpu") is None:
        raise UserError("libtpu, the TPU's compiler, is not here: pip install -e '.[tpu]'")
    os.environ.update(ALONE)
    # Both cores of a v4 chip are one device, as they are on a Cloud TPU VM.
    both_cores = {"chip_config_name": "megacore"} if topology.startswith("v4:") else {}
    try:
        return list(
            topologies.get_topology_desc(
                platform="tpu", topology_name=topology, **both_cores
            ).devices
        )
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--topology={topology} is none that libtpu knows: {reason}") from error


def largest_batch(
    tried: Callable[[int], tuple[bool, float | None]],
    *,
    first: tuple[int, float],
    limit: float,
    fixed: float,
) -> int:
    """How many examples fit on a chip, to a tenth: memory grows nearly on a line.

    Near the limit the compiler saves memory where it can, for some time: a few more may fit.

    tried: whether so many fit, and the bytes that they need (None: nobody says); first: a number
    that fits, and its bytes; limit: bytes that there are; fixed: bytes of no example at all.
    """
    known = {0: fixed, first[0]: first[1]}
    fits, fails = first[0], None
    for _ in range(COMPILES):
        below, above = sorted(known, key=lambda n: abs(known[n] - limit))[:2]
        slope = (known[above] - known[below]) / (above - below)
        # A little below the limit: what does not fit is a compilation for nothing.
        guess = int(below + (0.97 * limit - known[below]) / slope) if slope > 0 else 8 * fits
        if fails is not None and guess >= fails:
            guess = (fits + fails) // 2
        if guess - fits < max(1, fits // 16):
            break
        fitting, needed = tried(guess)
        if needed is not None:
            known[guess] = needed
        if fitting:
            fits = guess
        else:
            fails = guess
    return fits


def needed_bytes(message: str) -> float | None:
    """From "Used 20.31G of 15.75G hbm" or "HLO temporaries (298.12G) exceeds available HBM"."""
    found = re.search(r"Used ([\d.]+)([KMGT]) of|\(([\d.]+)([KMGT])\) exceeds", message)
    if found is None:
        return None
    number, unit = (part for part in found.groups() if part)
    return float(number) * 1024 ** ("KMGT".index(unit) + 1)


def collectives(hlo: str) -> Counter:
    """How often each operation between devices stands in a compiled program, by its name."""
    names = (
        "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast"
    )
    return Counter(re.findall(rf" ({names})(?:-start)?\(", hlo))


def reduced_bytes(hlo: str) -> int:
    """Bytes that the program's all-reduces add up, of one device."""
    shapes = re.findall(r"= (\(.*?\)|\S+) all-reduce(?:-start)?\(", hlo)
    arrays = [array for shape in shapes for array in re.findall(r"[a-z]+(\d+)\[([\d,]*)\]", shape)]
    sizes = [np.prod([int(n) for n in dims.split(",") if n]) for _, dims in arrays]
    return int(sum(int(bits) // 8 * size for (bits, _), size in zip(arrays, sizes, strict=True)))


def estimated_cycles(hlo: str) -> tuple[float, float]:
    """How long the compiler expects its program to take, in cycles: in all, and within loops."""
    bodies: dict[str, list[str]] = {}
    entry, lines = "", []
    for line in hlo.splitlines():
        if header := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            lines = bodies.setdefault(header[2], [])
            entry = header[2] if header[1] else entry
        else:
            lines.append(line)

    def within(name: str) -> tuple[float, float]:
        total = in_loops = 0.0
        for line in bodies.get(name, []):
            total += sum(map(int, re.findall(r'"estimated_cycles":"(\d+)"', line)))
            if loop := re.search(r" while\(.*condition=%?([\w.\-]+), body=%?([\w.\-]+)", line):
                condition = "\n".join(bodies.get(loop[1], []))
                # The counter runs from 0, so what it is compared with is how often.
                times = max(map(int, re.findall(r" constant\((\d+)\)", condition)), default=1)
                inside = times * within(loop[2])[0]
                total, in_loops = total + inside, in_loops + inside
        return total, in_loops

    return within(entry)


def fit(cfg: TrainConfig, first: Figures, *, say: Callable[[str], None]) -> list[Figures]:
    """Figures of ever larger batches on the chips of `first`, the largest that fits last."""
    found: list[Figures] = []

    def tried(per_chip: int) -> tuple[bool, float | None]:
        try:
            one = figures(cfg, first.topology, config=first.config, per_chip=per_chip)
        except OutOfMemoryError as error:
            say(f"  {per_chip} per chip do not fit")
            return False, error.needed
        say(f"  {per_chip} per chip fit: {one.total / GIB:.2f} GiB")
        found.append(one)
        return True, one.total

    limit = CHIPS[first.kind].hbm
    fixed = first.total - first.temporaries
    largest_batch(tried, first=(first.per_chip, first.total), limit=limit, fixed=fixed)
    return sorted(found, key=lambda one: one.per_chip)


def describe(one: Figures, largest: int | None) -> str:
    """The figures for a person."""
    chip = CHIPS[one.kind]
    expected = one.cycles / chip.clock
    lines = [
        f"{one.topology}: {one.chips} x {one.kind}, {one.config}, {one.per_chip} examples per chip "
        f"of {one.frames} frames",
        f"compiled in {one.compile_seconds:.0f} s",
        f"memory per chip: arguments {one.arguments / GIB:.2f} GiB, "
        f"temporaries {one.temporaries / GIB:.2f} GiB, "
        f"in all {one.total / GIB:.2f} of {chip.hbm / GIB:.1f} GiB ({one.total / chip.hbm:.0%})",
        f"per step and chip: {one.flops / GB:.1f} GFLOP (analytic), {one.moved / GB:.1f} GB moved",
        f"the compiler expects {1e3 * expected:.1f} ms, {one.loop_cycles / one.cycles:.0%} of it "
        f"in {one.iterations:,} iterations of loops; MFU {one.flops / expected / chip.peak:.1%}",
        f"all-reduces: {one.all_reduces} ({one.reduced / 1e6:.1f} MB), "
        f"other operations between chips: {one.other_collectives}",
    ]
    if largest is not None:
        lines.append(f"largest batch found to fit: {largest} examples per chip")
    return "\n".join(lines)


def table(rows: list[tuple[Figures, int | None]]) -> str:
    """Figures and the largest batch of each, as BUILD.md shows them."""
    head = (
        "| config | topology | per chip | compile | arguments | temporaries | of HBM | GFLOP | "
        "GB moved | all-reduces | expected | largest batch per chip |"
    )
    lines = [head, "|---" * (head.count("|") - 1) + "|"]
    for one, largest in rows:
        chip = CHIPS[one.kind]
        cells = (
            pathlib.Path(one.config).stem,
            one.topology,
            one.per_chip,
            f"{one.compile_seconds:.0f} s",
            f"{one.arguments / GIB:.2f} GiB",
            f"{one.temporaries / GIB:.2f} GiB",
            f"{one.total / chip.hbm:.0%}",
            f"{one.flops / GB:.0f}",
            f"{one.moved / GB:.1f}",
            f"{one.all_reduces}",
            f"{1e3 * one.cycles / chip.clock:.0f} ms",
            largest or "not sought",
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"what is {arguments[0]!r}? Everything here is a --flag=value")
    values = flags.FLAGS
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_compilation_cache", False)  # compiling is what is timed
    say = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    topology_devices("v5e:2x2")  # says what is missing before anything long begins
    if values.table:
        jobs = [(config, topology) for config in CONFIGS for topology in TOPOLOGIES]
    else:
        jobs = [
            (
                values["config"].config_filename if values["config"].present else CONFIGS[0],
                values.topology,
            )
        ]
    kept: list[Figures] = []
    rows = []
    for config, topology in jobs:
        given = not values.table and values["config"].present
        cfg = values.config if given else read_config(config)
        try:
            first = figures(
                cfg, topology, config=config, per_chip=values.per_chip or cfg.batch_size
            )
        except OutOfMemoryError as error:
            needed = "" if error.needed is None else f" (it needs {error.needed / GIB:.1f} GiB)"
            raise UserError(
                f"{config} does not fit on {topology}{needed}; say --per_chip"
            ) from error
        say(f"{topology} {config}: compiled in {first.compile_seconds:.0f} s")
        kept.append(first)
        write(kept, values.json)
        if values.fit:
            kept += fit(cfg, first, say=say)
            write(kept, values.json)
        rows.append((first, kept[-1].per_chip if values.fit else None))
        if not values.table:
            print(describe(*rows[-1]))
    if values.table:
        print(table(rows))


def write(kept: list[Figures], path: str | None) -> None:
    """All figures so far: the next compilation may take minutes."""
    if path:
        records = [dataclasses.asdict(one) for one in kept]
        pathlib.Path(path).write_text(json.dumps(records, indent=1) + "\n")


def _shapes(tree: Any, sharding: jax.sharding.NamedSharding) -> Any:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def _define_flags() -> None:
    config_flags.DEFINE_config_dataclass(
        "config", TrainConfig(), "What to train: a file of configs/.", parse_fn=read_config
    )
    flags.DEFINE_string("topology", "v5e:2x4", "Chips, as libtpu names them.")
    flags.DEFINE_integer(
        "per_chip", None, "Examples on each chip; default: the config's batch_size.", lower_bound=1
    )
    flags.DEFINE_bool("fit", True, "Look for the largest batch that fits (some compilations).")
    flags.DEFINE_bool("table", False, "Every topology and both large configs, as markdown.")
    flags.DEFINE_string("json", None, "Where to write all figures, for launch/scaling.py.")


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
