"""JSON that knows its own hash, and hashes of files: nothing that was written changes unnoticed."""

import hashlib
import json
import os
from typing import Any

from mashjax.errors import UserError

SEAL = b'{"sha256": "'
AGAIN = "remove the store and run preprocess again"


def sealed(content: dict[str, Any]) -> bytes:
    """JSON that begins with the sha256 of all that follows; equal content gives equal bytes."""
    body = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode()
    rest = b",\n" + body[1:].lstrip()
    return SEAL + hashlib.sha256(rest).hexdigest().encode() + b'"' + rest


def unsealed(raw: bytes, *, where: str) -> dict[str, Any]:
    """The content of `sealed`.

    Raises:
      UserError: a byte of it has changed.
    """
    rest = raw[len(SEAL) + 65 :]
    whole = raw == SEAL + hashlib.sha256(rest).hexdigest().encode() + b'"' + rest
    try:
        content = json.loads(raw)
    except ValueError:
        content = None
    # Version 1 had no seal; `read_manifest` says that it is old.
    if isinstance(content, dict) and (whole or content.get("version") == 1):
        return content
    raise UserError(f"{where} is damaged; {AGAIN}")


def sha256(raw: bytes | None) -> str | None:
    """The hash of bytes; None of nothing."""
    return None if raw is None else hashlib.sha256(raw).hexdigest()


def file_sha256(path: str | os.PathLike) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
