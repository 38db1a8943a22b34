"""How long a training step would take on 1 to 1,024 TPU chips.

    python launch/compile_tpu.py --table --json=FILE
    python launch/scaling.py --figures=FILE [--config=configs/students.py] [--chip=v5e] [--plot=PNG]

A model, not a measurement; it prints its assumptions with its tables.
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Sequence

from absl import flags

from mashjax import cli
from mashjax.errors import UserError
from mashjax.training.flops import PEAK_FLOPS

CHIPS_COUNTED = tuple(2**n for n in range(11))
GIB = 2**30
SHARED_BATCH = 1024  # examples of one step that more and more chips share

REACHED = 0.7
"""Share of published rates, and of the speed that the compiler expects, taken to be reached."""

HOP = 1e-6
"""Seconds from a chip to its neighbour ("about a microsecond": jax-ml.github.io/scaling-book)."""

BETWEEN_SLICES = 1e-4
"""Seconds for one exchange over the data centre's network; assumed."""


@dataclasses.dataclass(frozen=True)
class Chip:
    """A TPU chip: cloud.google.com/tpu/docs/v4, v5e, v5p, v6e (clock: scaling-book)."""

    name: str
    peak: float  # dense bfloat16 operations per second
    clock: float  # Hz
    hbm: float  # bytes that libtpu lets a program have
    hbm_rate: float  # bytes per second
    ici_rate: float  # bytes per second out of the chip over all its links in an all-reduce
    torus: int  # axes of the network within a slice
    slice: int  # most chips in one slice
    dcn_rate: float  # bytes per second and chip between slices


# ici_rate is the page's "all-reduce bandwidth per pod" divided by the pod's chips (v5p: its six
# links). dcn_rate is the host's network card divided by its chips. No page gives clocks: they are
# peak / (2 * units * 128 * 128) with eight units of that size per chip, four in v5e and sixteen in
# v6e (its units are 256 * 256).
CHIPS = {
    "TPU v4": Chip("v4", PEAK_FLOPS["TPU v4"], 1.05e9, 30.75 * GIB, 1.2e12, 268e9, 3, 4096, 6.2e9),
    "TPU v5 lite": Chip(
        "v5e", PEAK_FLOPS["TPU v5 lite"], 1.5e9, 15.75 * GIB, 8.19e11, 200e9, 2, 256, 3.1e9
    ),
    "TPU v5": Chip(
        "v5p", PEAK_FLOPS["TPU v5"], 1.75e9, 95.74 * GIB, 2.765e12, 600e9, 3, 6144, 6.2e9
    ),
    "TPU v6 lite": Chip(
        "v6e", PEAK_FLOPS["TPU v6 lite"], 1.75e9, 31.25 * GIB, 1.638e12, 400e9, 2, 256, 12.5e9
    ),
}


@dataclasses.dataclass(frozen=True)
class Figures:
    """What the compiler says of one step on one chip: bytes, seconds, operations, cycles."""

    config: str
    topology: str
    kind: str  # as the device names itself
    chips: int
    per_chip: int  # examples
    frames: int  # of an example
    compile_seconds: float
    arguments: int
    temporaries: int
    total: int  # of memory
    flops: float  # analytic
    moved: float  # bytes: operands and results of every operation, loops multiplied out
    iterations: int  # of all loops
    cycles: float  # as the compiler expects them
    loop_cycles: float  # those within loops
    reduced: int  # bytes of the all-reduce
    all_reduces: int
    other_collectives: int


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds of one step: what each part would take alone."""

    compute: float
    memory: float
    all_reduce: float

    @property
    def step(self) -> float:
        """If the parts hid behind each other."""
        return max(self.compute, self.memory, self.all_reduce)

    @property
    def bound(self) -> str:
        parts = dataclasses.asdict(self)
        return max(parts, key=parts.__getitem__)

    @property
    def apart(self) -> float:
        """If the all-reduce hid behind nothing: it is one, and needs the last gradient."""
        return max(self.compute, self.memory) + self.all_reduce


class Load:
    """A config's figures at any batch per chip, on a line through those of two batches.

    LSTMs make it far from proportional: each of their frames waits for the one before, whatever
    the batch.
    """

    def __init__(self, measured: Sequence[Figures]):
        """measured: of one config on one kind of chip, at one or more batches."""
        ordered = sorted(measured, key=lambda one: one.per_chip)
        self.smallest, self.largest = ordered[0], ordered[-1]

    def at(self, field: str, per_chip: float) -> float:
        """`cycles`, `moved` or `flops` of a step of so many examples on a chip."""
        low, high = getattr(self.smallest, field), getattr(self.largest, field)
        if self.smallest.per_chip == self.largest.per_chip:
            waiting = self.smallest.loop_cycles if field == "cycles" else 0.0
            return waiting + (low - waiting) * per_chip / self.smallest.per_chip
        share = (per_chip - self.smallest.per_chip) / (
            self.largest.per_chip - self.smallest.per_chip
        )
        return max(low + share * (high - low), 0.0)


def times(chip: Chip, load: Load, *, chips: int, per_chip: float) -> Times:
    """One step of `per_chip` examples on each of `chips` chips.

    A batch that does not fit is taken in several parts of one step.
    """
    parts = math.ceil(per_chip / load.largest.per_chip)
    each = max(per_chip / parts, 1.0)
    compute = max(load.at("cycles", each) / chip.clock, load.at("flops", each) / chip.peak)
    return Times(
        compute=parts * compute / REACHED,
        memory=parts * load.at("moved", each) / chip.hbm_rate / REACHED,
        all_reduce=all_reduce(chip, load.largest.reduced, chips=chips),
    )


def all_reduce(chip: Chip, size: float, *, chips: int) -> float:
    """Seconds to add up `size` bytes over all chips: scatter the sums, then gather them.

    Each chip sends 2 (n - 1) / n times the bytes; between slices, only its share of a slice's sum.
    """
    within = min(chips, chip.slice)
    slices = math.ceil(chips / chip.slice)
    hops = chip.torus * within ** (1 / chip.torus) if within > 1 else 0.0
    seconds = 2 * size * (within - 1) / within / chip.ici_rate / REACHED + hops * HOP
    if slices > 1:
        share = size / within
        seconds += 2 * share * (slices - 1) / slices / chip.dcn_rate / REACHED + BETWEEN_SLICES
    return seconds


def growing(chip: Chip, load: Load, *, per_chip: int) -> str:
    """Markdown: every chip keeps its batch, so the whole batch grows with the chips."""
    alone = times(chip, load, chips=1, per_chip=per_chip).apart
    lines = [
        "| chips | batch | compute | memory | all-reduce | step | if nothing hides | examples/s | "
        "of ideal |",
        "|---" * 9 + "|",
    ]
    for chips in CHIPS_COUNTED:
        one = times(chip, load, chips=chips, per_chip=per_chip)
        lines.append(
            f"| {chips:,} | {chips * per_chip:,} | {_ms(one.compute)} | {_ms(one.memory)} | "
            f"{_ms(one.all_reduce)} | {_ms(one.step)} | {_ms(one.apart)} | "
            f"{chips * per_chip / one.apart:,.0f} | {alone / one.apart:.1%} |"
        )
    return "\n".join(lines)


def shared(chip: Chip, load: Load, *, batch: int = SHARED_BATCH) -> list[Times]:
    """Steps of one batch that 1, 2, 4, ... chips share."""
    return [times(chip, load, chips=n, per_chip=batch / n) for n in CHIPS_COUNTED if n <= batch]


def bars(steps: Sequence[Times], *, width: int = 48) -> str:
    """A plot in text: a step's time on a logarithmic scale, for 1, 2, 4, ... chips."""
    seconds = [step.apart for step in steps]
    top, bottom = math.log(max(seconds)), math.log(min(seconds)) - 1
    lines = []
    for chips, step in zip(CHIPS_COUNTED, steps, strict=False):
        length = round(width * (math.log(step.apart) - bottom) / (top - bottom))
        lines.append(
            f"{chips:5,} {'#' * length:{width}} {_ms(step.apart):>9}  "
            f"x{seconds[0] / step.apart:<6,.1f} {step.bound}"
        )
    return "\n".join(lines)


def plot(loads: dict[tuple[str, str], Load], path: str) -> None:
    """A PNG: how much quicker one batch becomes as more chips of each kind share it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    configs = sorted({config for config, _ in loads})
    figure, axes = plt.subplots(
        1, len(configs), figsize=(6 * len(configs), 4.5), sharey=True, squeeze=False
    )
    for axis, config in zip(axes[0], configs, strict=True):
        axis.loglog(CHIPS_COUNTED, CHIPS_COUNTED, "k:", label="ideal", base=2)
        for (of, kind), load in loads.items():
            if of == config:
                steps = [step.apart for step in shared(CHIPS[kind], load)]
                speedup = [steps[0] / step for step in steps]
                axis.loglog(CHIPS_COUNTED, speedup, "o-", label=CHIPS[kind].name, base=2)
        axis.set(title=f"{config}, {SHARED_BATCH:,} examples per step", xlabel="chips")
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("times as quick as one chip (predicted)")
    axes[0, 0].legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def read_figures(path: str) -> dict[tuple[str, str], Load]:
    """What compile_tpu wrote, by (config, kind of chip). Raises UserError."""
    try:
        records = [Figures(**fields) for fields in json.loads(pathlib.Path(path).read_text())]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: no figures of launch/compile_tpu.py: {error}") from error
    found: dict[tuple[str, str], list[Figures]] = {}
    for one in records:
        found.setdefault((one.config, one.kind), []).append(one)
    return {key: Load(group) for key, group in found.items()}


def assumptions(chip: Chip, load: Load) -> str:
    one = load.smallest
    microseconds = 1e6 * one.loop_cycles / max(1, one.iterations) / chip.clock
    return (
        f"Compute is what libtpu expects of its own program, in cycles of {chip.clock / 1e9:.2f} "
        f"GHz; memory the bytes that it moves at {chip.hbm_rate / 1e9:,.0f} GB/s; the all-reduce "
        f"{one.reduced / 1e6:.1f} MB at {chip.ici_rate / 1e9:.0f} GB/s, {HOP * 1e6:.0f} us per "
        f"hop. {REACHED:.0%} of each rate is taken to be reached. Beyond {chip.slice:,} chips, "
        f"slices meet over the data centre's network: {chip.dcn_rate / 1e9:.1f} GB/s per chip and "
        f"{BETWEEN_SLICES * 1e3:.1f} ms. {one.iterations:,} iterations of loops, "
        f"{microseconds:.1f} us each, are waited for whatever the batch. Reading the data is taken "
        "to hide. Nothing was measured on a TPU."
    )


def main(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"what is {arguments[0]!r}? Everything here is a --flag=value")
    values = flags.FLAGS
    if values.figures is None:
        raise UserError("--figures is missing: say what launch/compile_tpu.py --json wrote")
    loads = read_figures(values.figures)
    for (config, kind), load in loads.items():
        chip = CHIPS[kind]
        if values.config in (None, config) and values.chip in (None, chip.name):
            per_chip = values.per_chip or load.largest.per_chip
            print(f"### {config} on {chip.name}, {per_chip} examples per chip\n")
            print(f"{growing(chip, load, per_chip=per_chip)}\n")
            print(f"One step of {SHARED_BATCH:,} examples, shared by so many chips:\n")
            print(f"```\n{bars(shared(chip, load))}\n```\n\n{assumptions(chip, load)}\n")
    if values.plot:
        plot(loads, values.plot)


def _ms(seconds: float) -> str:
    milliseconds = 1e3 * seconds
    return f"{milliseconds:,.0f} ms" if milliseconds >= 100 else f"{milliseconds:.3g} ms"


def _define_flags() -> None:
    flags.DEFINE_string("figures", None, "What launch/compile_tpu.py --json wrote.")
    flags.DEFINE_string("config", None, "Only this config; default: all that the figures have.")
    flags.DEFINE_string("chip", None, "Only this chip: v4, v5e, v5p or v6e; default: all.")
    flags.DEFINE_integer("per_chip", None, "Examples on each chip; default: as many as fit.")
    flags.DEFINE_string("plot", None, "Where to write a PNG of all of them.")


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
