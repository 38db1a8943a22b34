"""The step as compilers see it: one all-reduce on any devices, and what a TPU needs."""

import importlib.util
import json
import os
import pathlib
import runpy
import subprocess
import sys

import jax
import pytest

from mashjax.tasks import mashup

ROOT = pathlib.Path(__file__).parents[2]
NO_TPU = importlib.util.find_spec("libtpu") is None
ON_CPUS = """
import dataclasses, sys
import jax
sys.path.insert(0, "launch")
import compile_tpu
cfg = compile_tpu.read_config("configs/tiny.py")
if sys.argv[1] == "direct":
    cfg.model = dataclasses.replace(cfg.model, head="direct", linear_bins=257, log_bands=0)
compiled, _, _ = compile_tpu.compile_step(cfg, jax.devices(), per_chip=1)
hlo = compiled.as_text()
print(len(jax.devices()), dict(compile_tpu.collectives(hlo)), compile_tpu.reduced_bytes(hlo))
"""


@pytest.fixture(scope="module")
def compile_tpu():
    sys.path.insert(0, str(ROOT / "launch"))
    try:
        import compile_tpu

        yield compile_tpu
    finally:
        sys.path.remove(str(ROOT / "launch"))


@pytest.fixture(scope="module")
def tiny():
    return runpy.run_path(str(ROOT / "configs" / "tiny.py"))["get_config"]()


def on_cpus(head: str, devices: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ON_CPUS, head],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ
        | {
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"
            " --xla_backend_optimization_level=0",  # the program is looked at, not run
        },
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("head", ["mask", pytest.param("direct", marks=pytest.mark.slow)])
def test_eight_devices_meet_once_in_a_step(head, tiny):
    """One all-reduce, of every gradient, the loss and its parts; nothing else moves."""
    found = on_cpus(head, 8)
    parts = {"mask": 3, "direct": 2}[head]
    model = tiny.model
    if head == "direct":
        model.head, model.linear_bins, model.log_bands = "direct", 257, 0
    params = jax.eval_shape(lambda: mashup.init_model(model, jax.random.key(0)))
    numbers = sum(leaf.size for leaf in jax.tree.leaves(params)) + 1 + parts
    assert found == f"8 {{'all-reduce': 1}} {4 * numbers}"


def test_operations_between_devices_are_counted(compile_tpu):
    hlo = """
      %all-reduce.1 = (f32[3,2]{1,0:T(8)}, bf16[4]{0}) all-reduce(%a, %b), to_apply=%sum
      %ars = f32[8]{0} all-reduce-start(%c), to_apply=%sum
      %ard = f32[8]{0} all-reduce-done(%ars)
      %x = f32[8]{0} fusion(%all-reduce.1), metadata={op_name="all-reduce("}
      %p = f32[8]{0} collective-permute(%x), source_target_pairs={{0,1}}
    """
    found = compile_tpu.collectives(hlo)
    assert found == {"all-reduce": 2, "collective-permute": 1}
    assert compile_tpu.reduced_bytes(hlo) == 24 + 8 + 32


def test_cycles_of_a_loop_count_as_often_as_it_runs(compile_tpu):
    hlo = """HloModule jit_step
%body.1 (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %f = f32[8]{0} fusion(%p), backend_config={"estimated_cycles":"30"}
  %g = f32[8]{0} fusion(%f), backend_config={"estimated_cycles":"12"}
}

%condition.1 (p: (s32[], f32[8])) -> pred[] {
  %constant.4 = s32[]{:T(128)} constant(260)
  ROOT %lt = pred[] compare(%i, %constant.4), direction=LT
}

ENTRY %main (a: f32[8]) -> f32[8] {
  %e = f32[8]{0} fusion(%a), backend_config={"estimated_cycles":"1000"}
  %w = (s32[], f32[8]) while(%t), condition=%condition.1, body=%body.1
  ROOT %o = f32[8]{0} fusion(%w), backend_config={"estimated_cycles":"5"}
}
"""
    assert compile_tpu.estimated_cycles(hlo) == (1005 + 260 * 42, 260 * 42)


@pytest.mark.parametrize("slope, limit", [(1.0, 100.0), (0.31, 1000.0), (7.0, 40.0)])
def test_the_largest_batch_is_found_in_few_compilations(compile_tpu, slope, limit):
    """Memory nearly on a line: in few compilations, whether or not the compiler says how much."""
    needed = lambda n: 3 + slope * n + 0.02 * slope * n * (n % 3)  # noqa: E731
    largest = max(n for n in range(1, 5000) if needed(n) <= limit)
    for silent in (False, True):
        asked = []

        def tried(n, silent=silent, asked=asked):
            asked.append(n)
            fits = needed(n) <= limit
            return fits, None if silent and not fits else needed(n)

        fits = compile_tpu.largest_batch(tried, first=(2, needed(2)), limit=limit, fixed=3.0)
        assert needed(fits) <= limit
        assert fits >= 0.9 * largest - 1
        assert fits in (2, *asked)
        assert len(asked) == len(set(asked)) <= compile_tpu.COMPILES


@pytest.mark.parametrize(
    "message, gibibytes",
    [
        ("Ran out of memory in memory space hbm. Used 20.31G of 15.75G hbm.", 20.31),
        ("required for HLO temporaries (298.12G) exceeds available HBM (15.75G).", 298.12),
        ("required for arguments (512.00M) exceeds available HBM (15.75G).", 0.5),
    ],
)
def test_needed_bytes_are_read_from_the_compilers_message(compile_tpu, message, gibibytes):
    assert compile_tpu.needed_bytes(message) == pytest.approx(gibibytes * 2**30)
    assert compile_tpu.needed_bytes("something else") is None


def test_the_table_shares_out_what_the_compiler_said(compile_tpu):
    figures = compile_tpu.Figures(
        config="configs/some.py",
        topology="v5e:2x4",
        kind="TPU v5 lite",
        chips=8,
        per_chip=2,
        frames=260,
        compile_seconds=61.4,
        arguments=2**29,
        temporaries=3 * 2**30,
        total=int(3.9375 * 2**30),
        flops=826e9,
        moved=26e9,
        iterations=1000,
        cycles=3e8,
        loop_cycles=2e8,
        reduced=4 * 10**6,
        all_reduces=1,
        other_collectives=0,
    )
    head, line, row = compile_tpu.table([(figures, 30)]).splitlines()
    assert head.count("|") == line.count("|") == row.count("|")
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[:6] == ["some", "v5e:2x4", "2", "61 s", "0.50 GiB", "3.00 GiB"]
    assert cells[6:] == ["25%", "826", "26.0", "1", "200 ms", "30"]


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "launch/compile_tpu.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.skipif(not NO_TPU, reason="libtpu is here")
def test_without_libtpu_it_says_what_to_install():
    done = run()
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "mashjax.compile_tpu: libtpu, the TPU's compiler, is not here: pip install -e '.[tpu]'"
    ]


@pytest.mark.slow
@pytest.mark.skipif(NO_TPU, reason="needs libtpu: pip install -e '.[tpu]'")
def test_a_tpus_compiler_takes_the_step(tmp_path, compile_tpu):
    file = tmp_path / "figures.json"
    done = run("--topology=v5e:2x4", "--config=configs/tiny.py", "--nofit", f"--json={file}")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(file.read_text())
    assert (found["kind"], found["chips"], found["per_chip"]) == ("TPU v5 lite", 8, 4)
    assert (found["all_reduces"], found["other_collectives"]) == (1, 0)
    cfg = compile_tpu.read_config("configs/tiny.py").model
    params = jax.eval_shape(lambda: mashup.init_model(cfg, jax.random.key(0)))
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    # The gradient, and the few numbers of the loss that are averaged with it.
    assert 4 * count < found["reduced"] <= 4 * (count + 16)
    # Parameters, their mean and Adam's two moments; four examples of 48 frames in int16.
    assert 4 * 4 * count < found["arguments"] < 2e6
    assert found["total"] < 2**30
    # Two loops forwards and two backwards per network.
    assert found["iterations"] == 8 * 48
    assert 0 < found["loop_cycles"] < found["cycles"]
    assert "all-reduces: 1 (0.1 MB), other operations between chips: 0" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(NO_TPU, reason="needs libtpu: pip install -e '.[tpu]'")
def test_what_does_not_fit_fails_here_as_it_would_there():
    done = run("--topology=v5e:2x2", "--config=configs/tiny.py", "--nofit", "--per_chip=1000000")
    assert done.returncode == 2
    assert "configs/tiny.py does not fit on v5e:2x2" in done.stderr.splitlines()[-1]
