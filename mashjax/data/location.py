"""Where a store lies: a folder, or an address that TensorStore knows (gs://, s3://, file://)."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorstore as ts

from mashjax.errors import UserError


def kvstore_spec(where: str, *parts: str) -> dict[str, Any]:
    """The TensorStore spec of a location, or of a folder within it.

    Raises:
      UserError: an address of an unknown kind.
    """
    if "://" in where:
        try:
            spec = ts.KvStore.Spec(where.rstrip("/") + "/").to_json()
        except ValueError as error:
            raise UserError(f"{where}: no address that can be opened: {error}") from error
    else:
        spec = {"driver": "file", "path": f"{pathlib.Path(where).absolute()}/"}
    return {**spec, "path": "".join([spec["path"], *(f"{part}/" for part in parts)])}


def open_location(where: str) -> ts.KvStore:
    """The files of a location: every write is atomic, on a disk as in a bucket."""
    return ts.KvStore.open(kvstore_spec(where)).result()


def local_folder(where: str) -> pathlib.Path | None:
    """The location as a path, or None where it is elsewhere than in the file system."""
    spec = kvstore_spec(where)
    return pathlib.Path(spec["path"]) if spec["driver"] == "file" else None


def read_file(files: ts.KvStore, name: str) -> bytes | None:
    """The bytes of a file; None where there is none."""
    result = files.read(name).result()
    return None if result.state == "missing" else result.value


@contextlib.contextmanager
def no_room_is_an_error(where: str) -> Iterator[None]:
    """Turn a full or failing disk or bucket into a UserError that names `where`."""
    try:
        yield
    except (OSError, ValueError) as error:
        # TensorStore reports refusals of files and servers as ValueError.
        refused = ("os_error_code", "http_response_code", "PERMISSION_DENIED", "UNAUTHENTICATED")
        if isinstance(error, ValueError) and not any(sign in str(error) for sign in refused):
            raise
        full = any(s in str(error) for s in ("No space left", "Not enough free space", "quota"))
        why = "the disk is full" if full else str(error).splitlines()[0]
        raise UserError(f"{where}: cannot be written: {why}") from error
