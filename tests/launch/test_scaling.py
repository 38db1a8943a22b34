"""The model of how cost grows: sums that can be done by hand, and what no step may break."""

import dataclasses
import importlib.util
import itertools
import json
import math
import pathlib
import subprocess
import sys

import pytest

from mashjax.errors import UserError
from mashjax.training.flops import PEAK_FLOPS

LAUNCH = pathlib.Path(__file__).parents[2] / "launch"


def load_module(name: str):
    spec = importlib.util.spec_from_file_location(name, LAUNCH / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


scaling = load_module("scaling")
V5E, V4, V5P, V6E = (scaling.CHIPS[f"TPU {kind}"] for kind in ("v5 lite", "v4", "v5", "v6 lite"))


def figures(**changes):
    """30 million cycles are 20 ms on v5e; 16.38 GB are 20 ms of its memory."""
    one = scaling.Figures(
        config="configs/some.py",
        topology="v5e:2x2",
        kind="TPU v5 lite",
        chips=4,
        per_chip=8,
        frames=260,
        compile_seconds=60.0,
        arguments=10**7,
        temporaries=10**9,
        total=11 * 10**8,
        flops=2e10,
        moved=1.638e10,
        iterations=1000,
        cycles=30e6,
        loop_cycles=12e6,
        reduced=80_000_000,
        all_reduces=1,
        other_collectives=0,
    )
    return dataclasses.replace(one, **changes)


@pytest.fixture
def load():
    """Of two batches: 4 ms of each step wait for nothing but loops, each example adds 2 ms."""
    return scaling.Load([figures(), figures(per_chip=32, cycles=102e6, moved=6.552e10)])


def test_clocks_and_peaks_say_the_same():
    """Units of 128 x 128, a multiplication and an addition each per cycle."""
    for chip, units in ((V4, 8), (V5E, 4), (V5P, 8), (V6E, 16)):
        assert chip.peak == pytest.approx(2 * units * 128**2 * chip.clock, rel=2e-3)
    assert {chip.peak for chip in scaling.CHIPS.values()} <= set(PEAK_FLOPS.values())


def test_an_all_reduce_sends_everything_almost_twice():
    seconds = scaling.all_reduce(V5E, 80e6, chips=4)
    # 2 * 3/4 * 80 MB at 70 % of 200 GB/s, and twice around a square of two by two.
    assert seconds == pytest.approx(120e6 / 140e9 + 4e-6, rel=1e-6)
    assert scaling.all_reduce(V5E, 80e6, chips=1) == 0
    assert scaling.all_reduce(V5E, 80e6, chips=256) == pytest.approx(1.17e-3, rel=0.01)


def test_slices_meet_over_the_data_centre():
    """v5e has 256 chips in a slice, v4 has 4,096."""
    steps = [scaling.all_reduce(V5E, 80e6, chips=n) for n in (128, 256, 512, 1024)]
    assert steps[1] - steps[0] < 3e-5
    assert steps[2] - steps[1] > 1e-4
    assert steps[3] - steps[2] < 2e-4
    steps = [scaling.all_reduce(V4, 80e6, chips=n) for n in (256, 512, 1024)]
    assert max(steps) - min(steps) < 2e-5


def test_a_step_is_what_takes_longest(load):
    one = scaling.times(V5E, load, chips=4, per_chip=8)
    assert one.compute == pytest.approx(20e-3 / 0.7)
    assert one.memory == pytest.approx(20e-3 / 0.7)
    assert one.step == max(one.compute, one.memory)
    assert one.apart == pytest.approx(one.step + one.all_reduce)
    slow = scaling.Load([figures(reduced=10**10)])
    assert scaling.times(V5E, slow, chips=4, per_chip=8).bound == "all_reduce"


def test_matrix_products_are_never_quicker_than_the_chip():
    wide = scaling.Load([figures(flops=197e12)])
    assert scaling.times(V5E, wide, chips=1, per_chip=8).compute == pytest.approx(1 / 0.7)


def test_one_batch_more_chips(load):
    """Twice as quick at first; what loops wait for stays."""
    steps = scaling.shared(V5E, load)
    assert len(steps) == 11
    assert steps[0].compute == pytest.approx(32 * 68e-3 / 0.7)  # 32 parts of what fits
    assert steps[1].compute == pytest.approx(steps[0].compute / 2)
    assert steps[-1].compute == pytest.approx(6e-3 / 0.7)  # one example each
    speedups = [steps[0].apart / step.apart for step in steps]
    assert all(speed <= 2**n + 1e-9 for n, speed in enumerate(speedups))
    assert speedups == sorted(speedups)


def test_a_single_batch_is_split_into_waiting_and_working():
    alone = scaling.Load([figures()])
    assert alone.at("cycles", 16) == pytest.approx(12e6 + 2 * 18e6)
    assert alone.at("moved", 16) == pytest.approx(2 * 1.638e10)


def test_the_table_has_a_row_per_power_of_two(load):
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in scaling.growing(V5E, load, per_chip=8).splitlines()
    ]
    assert {len(row) for row in rows} == {9}
    assert [row[0] for row in rows[2:]] == [f"{2**n:,}" for n in range(11)]
    assert rows[2][1:4] == ["8", "28.6 ms", "28.6 ms"]
    assert rows[2][-1] == "100.0%"
    ideal = [float(row[-1].rstrip("%")) for row in rows[2:]]
    assert ideal == sorted(ideal, reverse=True)
    assert 90 < ideal[-1] < 97  # 30 ms, and 1.2 ms of all-reduce


def test_bars_are_logarithmic(load):
    steps = scaling.shared(V5E, load)
    lengths = [line.count("#") for line in scaling.bars(steps).splitlines()]
    assert lengths == sorted(lengths, reverse=True)
    drops = [before - after for before, after in itertools.pairwise(lengths)]
    assert max(drops[:4]) - min(drops[:4]) <= 1  # each time half


def test_the_command(tmp_path):
    file, picture = tmp_path / "figures.json", tmp_path / "plot.png"
    file.write_text(json.dumps([dataclasses.asdict(figures())]))
    done = subprocess.run(
        [sys.executable, LAUNCH / "scaling.py", f"--figures={file}", f"--plot={picture}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "### configs/some.py on v5e, 8 examples per chip" in done.stdout
    assert "1,000 iterations of loops, 8.0 us each" in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_is_no_file_of_figures_is_refused(tmp_path):
    (tmp_path / "wrong.json").write_text('[{"config": "x"}]')
    for name in ("missing.json", "wrong.json"):
        with pytest.raises(UserError, match=rf"{name}: no figures of launch/compile_tpu.py"):
            scaling.read_figures(str(tmp_path / name))


def test_hops_grow_with_the_side_of_the_torus():
    seconds = [scaling.all_reduce(V5P, 0, chips=n**3) for n in (2, 4, 8)]
    assert seconds == pytest.approx([6e-6, 12e-6, 24e-6])
    assert math.isclose(scaling.all_reduce(V6E, 0, chips=64), 16e-6)
