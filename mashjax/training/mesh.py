"""The one place that knows how many devices there are.

Data parallelism is one mesh axis, `data`: batches are cut along it, everything else is copied to
every device, and the compiler puts the gradients' all-reduce where it belongs.
"""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from mashjax.errors import UserError


def data_mesh(
    batch_size: int, devices: list[jax.Device] | None = None, *, accumulate: int = 1
) -> Mesh:
    """All devices in one row.

    accumulate: into how many parts each device cuts its share of a batch.

    Raises UserError if they cannot share a batch evenly.
    """
    devices = jax.devices() if devices is None else devices
    if batch_size % (len(devices) * accumulate):
        parts = f", in accumulate={accumulate} parts each" if accumulate > 1 else ""
        raise UserError(
            f"batch_size={batch_size} cannot be shared evenly by {len(devices)} devices{parts}"
        )
    # Auto: JAX's newer default, Explicit axes, breaks scans over sharded carries.
    return jax.make_mesh((len(devices),), ("data",), devices=devices, axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec("data"))


def own_part() -> tuple[int, int]:
    """(process, processes): each reads its own slice of every batch."""
    return jax.process_index(), jax.process_count()


def put_batch(mesh: Mesh, batch: np.ndarray) -> jax.Array:
    """This process's part of a batch, from host memory to its devices; together they are it."""
    return jax.make_array_from_process_local_data(batch_sharding(mesh), batch)


def put_copies(mesh: Mesh, tree: Any) -> Any:
    """Arrays that are the same in every process, to all devices; those there stay as they are."""
    copies = replicated(mesh)

    def put(array: Any) -> jax.Array:
        if isinstance(array, jax.Array) and array.sharding == copies:
            return array
        return jax.make_array_from_process_local_data(copies, np.asarray(array))

    return jax.tree.map(put, tree)


def own_copies(tree: Any) -> Any:
    """Of arrays that are on every device, those on this process's first one."""
    own = lambda x: x.addressable_data(0) if isinstance(x, jax.Array) else x  # noqa: E731
    return jax.tree.map(own, tree)


def of_the_first(value: float) -> float:
    """The first process's value, in all of them; all must ask."""
    if jax.process_count() == 1:
        return value
    return float(multihost_utils.broadcast_one_to_all(np.float64(value)))


def must_block(mesh: Mesh) -> bool:
    """Several virtual devices of one CPU abort the process if steps queue up on them."""
    return mesh.size > 1 and mesh.devices.flat[0].platform == "cpu"
