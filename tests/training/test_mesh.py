"""Batches on devices: of one process, and of two that read their own halves."""

import jax
import numpy as np
import pytest

from mashjax.errors import UserError
from mashjax.training.mesh import data_mesh, own_part, put_batch

TWO = """
import sys, jax, numpy as np
from mashjax.training.distributed import initialise
initialise()
from mashjax.data.batches import batches
from mashjax.data.store import open_store
from mashjax.training.mesh import data_mesh, own_part, put_batch
make = lambda part: batches(
    open_store(sys.argv[1]), split="train", seed=3, batch_size=4, samples=1000, part=part
)
mesh = data_mesh(4)
batch = put_batch(mesh, make(own_part())(5))
assert batch.shape == (4, 4, 1000) and not batch.is_fully_addressable
whole = make((0, 1))(5)
for shard in batch.addressable_shards:
    np.testing.assert_array_equal(shard.data, whole[shard.index])
print(own_part(), len(batch.addressable_shards), int(jax.jit(lambda x: abs(x).sum())(batch)))
assert int(jax.jit(lambda x: abs(x).sum())(batch)) == np.abs(whole.astype(int)).sum()
"""


def test_a_batch_that_devices_cannot_share_is_refused():
    with pytest.raises(UserError, match="batch_size=3 cannot be shared evenly by 2 devices"):
        data_mesh(3, devices=[jax.devices()[0]] * 2)


def test_one_process_puts_the_whole_batch():
    batch = np.arange(24, dtype=np.int16).reshape(4, 6)
    assert own_part() == (0, 1)
    there = put_batch(data_mesh(4), batch)
    assert there.dtype == np.int16
    np.testing.assert_array_equal(there, batch)


@pytest.mark.slow
def test_two_processes_put_their_halves(store, start_python, meeting_place):
    """Each with two devices: every device holds its own row of the batch that one would read."""
    processes = [start_python("-c", TWO, store, devices=2, **env) for env in meeting_place(2)]
    said = [process.communicate(timeout=120)[0].splitlines()[-1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [line[:8] for line in said] == ["(0, 2) 2", "(1, 2) 2"]
    assert said[0][8:] == said[1][8:]
