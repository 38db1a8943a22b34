"""Genres from two LSTM layers of 128 units with attention pooling, and words.

    python -m mashjax.preprocess --layout=genre --input=SONGS --output=STORE
    python -m mashjax.train --config=configs/genre_lstm.py --data=STORE --workdir=RUN
    python -m mashjax.genre evaluate --checkpoint=RUN --data=STORE --plots=DIR --export=DIR

Three segments are one step of the LSTM (--config.model.group=1 for one). The study that this
follows has 10 units: --config.model.units=10. Everything else is as in configs/genre_cnn.py.

Expected: 0.17 processor seconds per step of 64 songs, 2.5 times the CNN's; 100 s for all 600. On
the made songs of tests/benchmarks/genre_made.py: 74.8 % of 1,200 test songs right, of 78.9 % that
are possible. No figure is of the Million Song Dataset.
"""

from mashjax.tasks import genre
from mashjax.training.config import Optim, TrainConfig


def get_config() -> TrainConfig:
    return TrainConfig(
        task="genre",
        model=genre.Config(network="lstm"),
        optim=Optim(learning_rate=2e-3, warmup=50, ema=0.98),
        batch_size=64,
        steps=600,
        statistics_batches=64,
        checkpoint_every=300,
        eval_every=100,
        eval_examples=1000,
        log_every=50,
    )
