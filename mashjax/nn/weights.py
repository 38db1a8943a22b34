"""The format of a model for use: arrays in one file, what they mean in another.

A folder holds `weights.npz` (float arrays, no pickle) and `metadata.json`, which names the task and
its settings and carries a SHA-256 of every array. Any NumPy reads it.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from mashjax.audio.files import replacing
from mashjax.errors import UserError

FORMAT = "mashjax-weights-1"


@dataclasses.dataclass(frozen=True)
class Weights:
    """params and statistics: nested dicts of arrays; metadata: task, config, step, ..."""

    params: dict[str, Any]
    statistics: dict[str, Any]
    metadata: dict[str, Any]


def write_weights(directory: str | os.PathLike, weights: Weights) -> None:
    """Write both files; metadata.json comes last, so a folder that has it is whole."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    leaves = flatten({"params": weights.params, "statistics": weights.statistics})
    leaves = {name: np.asarray(leaf) for name, leaf in leaves.items()}
    metadata = {"format": FORMAT, **weights.metadata}
    metadata["sha256"] = {name: sha256(leaf) for name, leaf in leaves.items()}
    metadata["settings_sha256"] = _settings_sha256(weights.metadata)
    (directory / "metadata.json").unlink(missing_ok=True)
    with replacing(directory / "weights.npz") as beside:
        np.savez(beside, **leaves)
    with replacing(directory / "metadata.json") as beside:
        beside.write_text(json.dumps(metadata, indent=1, sort_keys=True) + "\n")


def read_weights(directory: str | os.PathLike) -> Weights:
    """Read what `write_weights` wrote, and check every array against its hash.

    Raises UserError if the folder is no such folder or damaged.
    """
    directory = pathlib.Path(directory)
    if not (directory / "metadata.json").is_file():
        raise UserError(f"{directory}: not a checkpoint (it has no metadata.json)")
    try:
        metadata = json.loads((directory / "metadata.json").read_text())
        hashes, settings_hash = metadata.pop("sha256"), metadata.pop("settings_sha256")
        if metadata.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        with open(directory / "weights.npz", "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            leaves = {name: arrays[name] for name in arrays.files}
    except Exception as error:  # damaged bytes make json, zipfile and NumPy raise a dozen types
        raise UserError(f"{directory}: damaged checkpoint: {_line(error)}") from error
    wrong = sorted(set(hashes) ^ set(leaves)) or [
        name for name, leaf in leaves.items() if sha256(leaf) != hashes[name]
    ]
    if wrong:
        raise UserError(f"{directory}: damaged checkpoint: {wrong[0]} is not what was saved")
    if _settings_sha256(metadata) != settings_hash:
        raise UserError(f"{directory}: damaged checkpoint: its settings are not what was saved")
    tree = unflatten(leaves)
    return Weights(tree["params"], tree["statistics"], metadata)


def fitted_config(
    weights: Weights,
    *,
    task: str,
    name: str,
    config_from_dict: Callable[[dict[str, Any]], Any],
    init_model: Callable[[Any, Any], dict[str, Any]],
    statistics: Callable[[Any], dict[str, tuple[int, ...]]],
) -> Any:
    """The config of weights that are of a task and fit what they say of themselves.

    Args:
      task: its name; config_from_dict, init_model: its own.
      name: what to call the weights in an error.
      statistics: from the config to the shapes of its statistics, by path.

    Raises:
      UserError: they are of another task, or do not fit their own settings.
    """
    import jax  # whoever only reads weights needs none of it

    if weights.metadata.get("task") != task:
        its = weights.metadata.get("task")
        raise UserError(f"{name}: a checkpoint of the task {its!r}, not of {task!r}")
    try:
        cfg = config_from_dict(weights.metadata["config"]["model"])
        params = jax.eval_shape(lambda: init_model(cfg, jax.random.key(0)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{name}: its settings cannot be read: {error}") from error
    wanted = {path: leaf.shape for path, leaf in flatten(params).items()} | statistics(cfg)
    found = {path: x.shape for path, x in flatten(weights.params | weights.statistics).items()}
    for path in sorted(set(wanted) | set(found)):
        if wanted.get(path) != found.get(path):
            raise UserError(
                f"{name}: its arrays do not fit its settings: {path} should be "
                f"{wanted.get(path)} and is {found.get(path)}"
            )
    return cfg


def _settings_sha256(metadata: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()


def sha256(leaf: np.ndarray) -> str:
    """Hash of an array's dtype, shape and bytes."""
    leaf = np.asarray(leaf)
    head = f"{leaf.dtype.name}{list(leaf.shape)}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(leaf).tobytes()).hexdigest()


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": x}} -> {"a/b": x}."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        flat |= flatten(value, f"{path}/") if isinstance(value, dict) else {path: value}
    return flat


def unflatten(flat: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, name = path.split("/")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[name] = value
    return tree


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
