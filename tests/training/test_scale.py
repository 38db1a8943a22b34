"""However many devices a run has, and wherever they are, it learns the same."""

import collections
import json
import re

import numpy as np
import pytest

TRAIN = """
import json, os, runpy, sys
import jax
from mashjax.data.store import decode, open_store
from mashjax.tasks import mashup
from mashjax.training.distributed import initialise
from mashjax.training.feed import training_batches
from mashjax.training.mesh import data_mesh, own_part, put_batch, put_copies
from mashjax.training.step import init_state, make_step
if "JAX_PROCESS_ID" in os.environ:
    initialise()
cfg = runpy.run_path("configs/tiny.py")["get_config"]()
cfg.batch_size, cfg.steps = 8, 20
store = open_store(sys.argv[1])
whole, own = (training_batches(cfg, store, part=part) for part in ((0, 1), own_part()))
losses = []
for count in map(int, sys.argv[2:]):
    mesh = data_mesh(cfg.batch_size, jax.devices()[:count])
    statistics = put_copies(mesh, mashup.statistics(cfg.model, [decode(whole(0))]))
    state, train_step = init_state(cfg, mesh), make_step(cfg, mesh)
    losses.append([])
    for step in range(cfg.steps):
        state, metrics = train_step(state, statistics, put_batch(mesh, own(step)))
        losses[-1].append(float(jax.block_until_ready(metrics)["loss"]))
print(json.dumps(losses))
"""

# A program's operations as its text names them: "%x = f32[8] all-reduce-start(...)".
COLLECTIVE = re.compile(
    r" (all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute|collective-broadcast)"
    r"(?:-start)?\("
)
COMPILED = """
import runpy, sys
import jax, jax.numpy as jnp
from jax.sharding import PartitionSpec
from mashjax.data.store import decode, open_store
from mashjax.tasks import mashup
from mashjax.training.feed import training_batches
from mashjax.training.mesh import data_mesh
from mashjax.training.step import compiled_step, init_state
cfg = runpy.run_path("configs/tiny.py")["get_config"]()
cfg.batch_size = 8
mesh = data_mesh(8)
if sys.argv[2] == "step":
    sources = training_batches(cfg, open_store(sys.argv[1]))(0)
    statistics = mashup.statistics(cfg.model, [decode(sources)])
    state = jax.eval_shape(lambda: init_state(cfg, mesh))
    root = jax.random.key_data(jax.random.key(0))
    lowered = compiled_step(cfg, mesh).lower(state, statistics, sources, root)
else:  # two means, the second of what the first one gave
    mean = lambda x: jax.lax.pmean(x * jax.lax.pmean(x, "data"), "data")
    cut, everyone = PartitionSpec("data"), PartitionSpec()
    lowered = jax.jit(jax.shard_map(mean, mesh=mesh, in_specs=cut, out_specs=everyone)).lower(
        jnp.ones(8)
    )
print(lowered.compile().as_text())
"""


def losses_of(process):
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return np.array(json.loads(out.splitlines()[-1]))


@pytest.mark.slow
def test_the_losses_of_twenty_steps_do_not_depend_on_the_devices(
    start_python, meeting_place, store
):
    """On 1, 2, 4 and 8 of one process, and on 2 processes of 4 each."""
    losses = losses_of(start_python("-c", TRAIN, store, 1, 2, 4, 8, devices=8))
    processes = [start_python("-c", TRAIN, store, 8, devices=4, **env) for env in meeting_place(2)]
    first, second = map(losses_of, processes)
    np.testing.assert_array_equal(first, second)
    losses = np.concatenate([losses, first])
    assert losses.shape == (5, 20)
    np.testing.assert_allclose(losses, np.tile(losses[:1], (5, 1)), rtol=1e-5)
    # The control: they are not the same numbers, and they change from step to step.
    assert losses[0, -1] < 0.9 * losses[0, 0]


@pytest.mark.parametrize(("program", "reductions"), [("step", 1), ("control", 2)])
def test_the_devices_talk_once_a_step(start_python, store, program, reductions):
    """One all-reduce, of everything, and nothing else that goes from one device to another."""
    process = start_python("-c", COMPILED, store, program, devices=8)
    text, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert collections.Counter(COLLECTIVE.findall(text)) == {"all-reduce": reductions}
