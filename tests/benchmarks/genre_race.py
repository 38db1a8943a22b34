"""The genre task's three networks beside the same in Keras on TensorFlow: one step of each in turn.

    PYTHONPATH=. python tests/benchmarks/genre_race.py [--rounds=12] [--networks=cnn,lstm,dense]

Needs keras and tensorflow. Both start from the same weights and say the same of the same songs.
Keras is given features that are ready; ours makes them of a store's rows in every step, transposes
them and looks the words up, as in training. Times are processor seconds of a whole step (forward,
backward, Adam) of 64 songs of 300 segments, medians: what else the machine does hardly counts.
"""

import argparse
import json
import os
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import keras
import numpy as np

from mashjax.data.store import SCALE, TRACK_ROW, decode
from mashjax.data.track_rows import COUNTS, EXISTS, LABELS_ROW, WORDS
from mashjax.tasks import genre
from mashjax.tasks.genre.examples import CHANNELS, DECILES, inputs, labels
from mashjax.tasks.genre.model import said
from mashjax.training.config import TrainConfig
from mashjax.training.mesh import data_mesh
from mashjax.training.step import init_state, make_step

BATCH, SEGMENTS, GENRES, VOCABULARY = 64, 300, 9, 300


def rows() -> np.ndarray:
    """Songs as a store has them, int16."""
    rng = np.random.default_rng(0)
    x = np.zeros((BATCH, len(TRACK_ROW), SEGMENTS))
    x[:, :12] = rng.random((BATCH, 12, SEGMENTS))
    x[:, 12:24] = np.clip(rng.normal(0, 0.05, (BATCH, 12, SEGMENTS)), -1, 1)
    x[:, EXISTS] = 1
    x[:, WORDS, :80] = rng.integers(1, VOCABULARY + 1, (BATCH, 80)) / SCALE
    x[:, COUNTS, :80] = 1 / SCALE
    labelled = np.stack([rng.integers(1, GENRES + 1, BATCH) / SCALE, np.ones(BATCH)], 1)
    x[:, LABELS_ROW, :2], x[:, LABELS_ROW, 2] = labelled, rng.random(BATCH)
    return np.round(x * SCALE).astype(np.int16)


class Ours:
    """The step that mashjax.train takes."""

    def __init__(self, network: str, x: np.ndarray):
        model = genre.Config(
            network=network,
            segments=SEGMENTS,
            genres="\n".join(f"genre {n}" for n in range(GENRES)),
            words=" ".join(f"word{n}" for n in range(VOCABULARY)),
        )
        self.cfg = TrainConfig(task="genre", model=model, batch_size=BATCH)
        mesh = data_mesh(BATCH, jax.devices()[:1])
        self.rows = x
        self.statistics = genre.statistics(model, [decode(x)])
        self.state = init_state(self.cfg, mesh)
        self._step = make_step(self.cfg, mesh)
        self.params = jax.device_get(self.state.params)["network"]
        self.seen = jax.device_get(inputs(model, self.statistics, decode(x)))
        self.right = jax.device_get(labels(self.statistics, decode(x)))
        of = said(model, {"network": self.params}, self.statistics, decode(x))
        self.said = np.exp(of.genre)

    def step(self) -> None:
        self.state, metrics = self._step(self.state, self.statistics, self.rows)
        jax.block_until_ready(metrics)


class Keras:
    """The same network and loss as one would write them in Keras, in graph mode."""

    def __init__(self, ours: Ours, *, jit: bool):
        layers, ops, cfg = keras.layers, keras.ops, ours.cfg.model
        heard = keras.Input((SEGMENTS, CHANNELS))
        words = keras.Input((cfg.topics + 1,))
        x, reader = heard, []
        if cfg.network == "dense":
            mean = layers.Lambda(lambda x: ops.mean(x, axis=1))(x)
            spread = layers.Lambda(lambda x: ops.sqrt(ops.var(x, axis=1) + 1e-6))(x)
            x = layers.Concatenate()([mean, spread])
        elif cfg.network == "cnn":
            for number, filters in enumerate((cfg.filters, cfg.filters, 2 * cfg.filters)):
                reader.append(layers.Conv1D(filters, cfg.kernel, padding="same", activation="relu"))
                x = reader[-1](x)
                x = layers.MaxPooling1D(cfg.pools)(x) if number < 2 else x
            x = layers.GlobalAveragePooling1D()(x)
        else:
            x = layers.Reshape((SEGMENTS // cfg.group, cfg.group * CHANNELS))(x)
            reader = [layers.LSTM(cfg.units, return_sequences=True) for _ in range(2)]
            for layer in reader:
                x = layer(x)
            reader += [layers.Dense(cfg.units, activation="tanh"), layers.Dense(1, use_bias=False)]
            weights = layers.Softmax(axis=1)(reader[3](reader[2](x)))
            x = layers.Lambda(lambda both: ops.sum(both[0] * both[1], axis=1))([weights, x])
        x = layers.Concatenate()([x, words])
        stack = [layers.Dense(cfg.dense, activation="relu") for _ in range(2)]
        stack += [layers.Dense(cfg.embedding, activation="tanh")]
        for layer in stack:
            x = layer(layers.Dropout(cfg.dropout)(x))
        heads = [layers.Dense(GENRES), layers.Dense(DECILES)]
        self.model = keras.Model([heard, words], [head(x) for head in heads])
        self._fill(ours.params, reader, [*stack, *heads])
        entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(
            keras.optimizers.AdamW(1e-3, weight_decay=1e-3, clipnorm=1.0),
            loss=[entropy, entropy],
            loss_weights=[1.0, cfg.popularity],
            jit_compile=jit,
        )
        self.features = [ours.seen.segments, np.concatenate([ours.seen.topics, ours.seen.sung], 1)]
        self.right = [ours.right.genre, ours.right.decile]
        self.said = np.asarray(ops.softmax(self.model(self.features, training=False)[0]))

    @staticmethod
    def _fill(params: dict, reader: list, stack: list) -> None:
        """Give the layers mashjax's weights: its kernels of convolutions are one matrix each."""
        own = params.get("reader", {})
        for name, layer in zip(
            [n for n in ("first", "second", "third", "lower", "upper", "key", "query") if n in own],
            reader, strict=True,
        ):  # fmt: skip
            parts = [
                own[name][part] for part in ("kernel", "recurrent", "bias") if part in own[name]
            ]
            layer.set_weights(
                [p.reshape(w.shape) for p, w in zip(parts, layer.get_weights(), strict=True)]
            )
        names = ("first", "second", "embedding", "genre", "popularity")
        for name, layer in zip(names, stack, strict=True):
            layer.set_weights([params[name]["kernel"], params[name]["bias"]])

    def step(self) -> None:
        self.model.train_on_batch(self.features, self.right)


def seconds(step) -> tuple[float, float]:
    """Processor and wall seconds of a call, all threads of this process."""
    cpu, wall = time.process_time(), time.perf_counter()
    step()
    return time.process_time() - cpu, time.perf_counter() - wall


def race(network: str, rounds: int) -> dict[str, float]:
    x = rows()
    ours = Ours(network, x)
    rivals = {"keras": Keras(ours, jit=False), "keras, XLA": Keras(ours, jit=True)}
    apart = max(float(np.abs(rival.said - ours.said).max()) for rival in rivals.values())
    runners = {"ours": ours, **rivals}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    for number in range(rounds + 2):
        for name, runner in runners.items():
            taken = seconds(runner.step)
            if number >= 2:  # the first ones compile
                times[name].append(taken)
    cpu = {name: float(np.median([c for c, _ in t])) for name, t in times.items()}
    wall = {name: float(np.median([w for _, w in t])) for name, t in times.items()}
    best = min(cpu["keras"], cpu["keras, XLA"])
    result = {f"{name}, processor ms": round(1000 * c, 1) for name, c in cpu.items()}
    result |= {f"{name}, wall ms": round(1000 * w, 1) for name, w in wall.items()}
    return result | {
        "times as fast as the faster Keras, processor": round(best / cpu["ours"], 2),
        "wall": round(min(wall["keras"], wall["keras, XLA"]) / wall["ours"], 2),
        "30,000 songs, processor s / 2": round(cpu["ours"] * 30000 / BATCH / 2, 1),
        "outputs apart": apart,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--networks", default="dense,cnn,lstm")
    arguments = parser.parse_args()
    found = {name: race(name, arguments.rounds) for name in arguments.networks.split(",")}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
