"""The metadata of a sharded zarr 3 array: whole shards are written, chunks are read and checked."""

from collections.abc import Sequence
from typing import Any

ZSTD = {"name": "zstd", "configuration": {"level": -1}}
"""For silence: of music, level 1 would save 11 % and halve the speed of reading, this saves 3 %."""

_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def sharded(
    *,
    shape: Sequence[int],
    shard: Sequence[int],
    chunk: Sequence[int],
    dtype: str,
    fill: int | str,
    names: Sequence[str],
    compressed: bool = True,
    attributes: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Metadata for TensorStore's zarr3 driver.

    shard: what is one file; chunk: what is read at once, and has a checksum of its own; fill: the
    value of what was never written; names: of the dimensions.
    """
    inner = [_LITTLE, ZSTD, {"name": "crc32c"}] if compressed else [_LITTLE, {"name": "crc32c"}]
    return {
        "shape": list(shape),
        "data_type": dtype,
        "fill_value": fill,
        "dimension_names": list(names),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shard)}},
        "codecs": [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": list(chunk),
                    "codecs": inner,
                    "index_codecs": [_LITTLE, {"name": "crc32c"}],
                },
            }
        ],
        "attributes": attributes or {},
    }
