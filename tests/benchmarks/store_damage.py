"""Damage a store at random, and count who notices.

    python tests/benchmarks/store_damage.py [--damages=200] [--seed=0]

A store is made of three made songs. Then, one at a time: a flipped bit, a truncation or a deletion
of any of its files. `preprocess --verify` must name the file, and whoever reads every example must
get an error instead of samples. Between damages the store is whole again, and both must be content.
"""

import argparse
import collections
import pathlib
import tempfile

import numpy as np
from preprocess_time import make_songs

from mashjax.data.store import SPLITS, Settings, open_store, verify
from mashjax.errors import UserError
from mashjax.preprocess import preprocess


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--damages", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        store = pathlib.Path(name, "s.store")
        make_songs(pathlib.Path(name, "in"), songs=3, seconds=30.0, sr=22050)
        preprocess(pathlib.Path(name, "in"), store, settings=Settings(seconds=6.0))
        files = sorted(p for p in store.rglob("*") if p.is_file())
        counts: collections.Counter = collections.Counter()
        for _ in range(arguments.damages):
            kind = str(rng.choice(["flipped bit", "truncated", "deleted"]))
            path = files[rng.integers(len(files))]
            before = path.read_bytes()
            damage(path, kind, before, rng)
            counts[kind, "done"] += 1
            counts[kind, "verify"] += named(store, path)
            counts[kind, "reader"] += refused(store)
            path.write_bytes(before)
            assert verify(store) == []
            assert not refused(store)
    print(f"{arguments.damages} damages to one of {len(files)} files; found by")
    for kind in ("flipped bit", "truncated", "deleted"):
        done = counts[kind, "done"]
        print(
            f"  {kind:12} verify {counts[kind, 'verify']} of {done}, "
            f"reader {counts[kind, 'reader']} of {done}"
        )


def damage(path: pathlib.Path, kind: str, raw: bytes, rng: np.random.Generator) -> None:
    if kind == "deleted":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(raw[: rng.integers(len(raw))])
    else:
        at = rng.integers(len(raw))
        flipped = raw[at] ^ (1 << int(rng.integers(8)))
        path.write_bytes(raw[:at] + bytes([flipped]) + raw[at + 1 :])


def named(store: pathlib.Path, path: pathlib.Path) -> bool:
    """Whether `verify` names the file, or refuses the manifest."""
    name = path.relative_to(store).as_posix()
    try:
        return verify(store) == [name]
    except UserError as error:
        return name == "MANIFEST.json" and "MANIFEST.json" in str(error)


def refused(path: pathlib.Path) -> bool:
    """Whether opening the store, or reading every example of it, is an error."""
    try:
        store = open_store(path)
        for split in SPLITS:
            partners = store.partners(split)
            for i, best in enumerate(partners[:, 0]):
                store.read(split, np.array([i]), np.array([best]))
    except UserError:
        return True
    return False


if __name__ == "__main__":
    main()
