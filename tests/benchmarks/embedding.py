"""What the embedding is worth, beside principal components and chance: JSON on stdout.

    MASHJAX_MUSIC=FOLDER python tests/benchmarks/embedding.py [--data=STORE]

--data: of each clip of the test split of a store of songs, is the nearest other clip of the same
song? $MASHJAX_MUSIC: of each real song of 20 s or more, is one half nearer to its other half than
to the halves of other songs? "pca" is the same without the network: principal components of the
same descriptions, scaled alike.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable

import numpy as np
from absl import app, flags

from mashjax.audio import files
from mashjax.audio.resample import to_mono
from mashjax.data.store import decode, open_store
from mashjax.tasks.autoencoder import embed, shipped

LEAST = 20.0  # seconds
ENDINGS = (".ogg", ".mp3", ".flac", ".wav")


def main(arguments: list[str]) -> None:
    del arguments
    model = shipped()
    silent = {name: np.zeros_like(x) for name, x in model.params["encoder"]["out"].items()}
    plain = {**model.params, "encoder": {**model.params["encoder"], "out": silent}}
    models = {"model": model, "pca": dataclasses.replace(model, params=plain)}
    found: dict = {}
    for name, state in models.items():
        of = lambda y, sr, state=state: embed(state, y, sr=sr)  # noqa: E731
        if flags.FLAGS.data:
            found.setdefault("clips", {})[name] = clips(flags.FLAGS.data, of)
        if music := os.environ.get("MASHJAX_MUSIC"):
            found.setdefault("halves", {})[name] = halves(pathlib.Path(music), of)
    print(json.dumps(found, indent=1))


def clips(path: str, of: Callable) -> dict[str, float]:
    """How often a clip's nearest neighbour is of its own song, and what chance would give."""
    store = open_store(path)
    songs = np.array([example["song"] for example in store.examples("test")])
    sounds = []
    for k in range(len(songs)):
        lead, backing = decode(store.read("test", np.array([k]))[0, :2])
        sounds.append(of(lead + backing, store.settings.sample_rate))
    x = np.array(sounds)
    alike, same = x @ x.T, songs[:, None] == songs
    np.fill_diagonal(alike, -2)
    np.fill_diagonal(same, False)
    nearest = same[np.arange(len(x)), alike.argmax(1)]
    first = [same[k][np.argsort(-alike[k])[: same[k].sum()]].mean() for k in range(len(x))]
    return {
        "clips": len(x),
        "nearest_is_same_song": round(float(nearest.mean()), 4),
        "r_precision": round(float(np.nanmean(first)), 4),
        "chance": round(float(same.mean()), 4),
    }


def halves(music: pathlib.Path, of: Callable) -> dict[str, float]:
    """How often a half is nearest to its own song's other half, and nearer than to any one half."""
    found = []
    for path in sorted(
        p for p in music.rglob("*") if p.suffix in ENDINGS and "stems" not in p.parts
    ):
        clip = files.read(path)
        y = to_mono(clip.y)
        if len(y) >= LEAST * clip.sr:
            found.append([of(half, clip.sr) for half in np.array_split(y, 2)])
    first, second = np.moveaxis(np.array(found), 1, 0)
    alike = first @ second.T
    own, others = np.diag(alike), ~np.eye(len(alike), dtype=bool)
    nearer = [(own[k] > alike[k][others[k]]).mean() for k in range(len(own))]
    nearer += [(own[k] > alike[:, k][others[k]]).mean() for k in range(len(own))]
    top = np.concatenate([alike.argmax(0), alike.argmax(1)]) == np.tile(np.arange(len(own)), 2)
    return {
        "songs": len(own),
        "own_half_is_nearest": round(float(top.mean()), 4),
        "own_half_is_nearer": round(float(np.mean(nearer)), 4),
    }


if __name__ == "__main__":
    flags.DEFINE_string("data", None, "A store of songs.")
    app.run(main)
