"""How right the melody network's frames are, by what sang: played, our singer, recorded voices.

    python tests/benchmarks/melody_frames.py STORE [CHECKPOINT]

STORE is of --layout=melody, best of songs, soundfonts and voices that training never heard; all of
its splits are taken. Prints a row for each kind of lead. Without CHECKPOINT (a run or an export),
the network that ships.
"""

import sys

import numpy as np

from mashjax.data.store import SPLITS, decode, open_store
from mashjax.tasks import melody
from mashjax.training.loading import read_checkpoint

BATCH = 20


def main(path: str, checkpoint: str | None = None) -> None:
    store, where = open_store(path), checkpoint or str(melody.SHIPPED)
    model = melody.from_weights(read_checkpoint(where), name=where)
    rows: dict[str, list[dict[str, float]]] = {}
    for split in SPLITS:
        examples = store.examples(split)
        for first in range(0, len(examples), BATCH):
            numbers = np.arange(first, min(first + BATCH, len(examples)))
            batch = decode(store.read(split, numbers))
            scores = melody.evaluate(model.cfg, model.params, model.statistics, [batch])
            for k, number in enumerate(numbers):
                one = {name: float(values[k]) for name, values in scores.items()}
                rows.setdefault(examples[number]["lead"], []).append(one)
    print(f"{'lead':9}{'clips':>6}", *(f"{name:>12}" for name in melody.VALIDATION))
    rows["all"] = [one for found in rows.values() for one in found]
    for lead, found in rows.items():
        means = (f"{np.mean([one[name] for one in found]):12.3f}" for name in melody.VALIDATION)
        print(f"{lead:9}{len(found):6d}", *means)


if __name__ == "__main__":
    main(*sys.argv[1:])
