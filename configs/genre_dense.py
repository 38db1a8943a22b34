"""Genres from what is left of a song without its order: 128-128-50-softmax on mean and deviation.

    python -m mashjax.preprocess --layout=genre --input=SONGS --output=STORE
    python -m mashjax.train --config=configs/genre_dense.py --data=STORE --workdir=RUN
    python -m mashjax.genre evaluate --checkpoint=RUN --data=STORE --plots=DIR --export=DIR

--config.model.inputs=audio|lyrics|both, --config.model.weights=balanced; see configs/genre_cnn.py.

Expected on the made songs of tests/benchmarks/genre_made.py (6,000 of nine genres, of which order
tells three apart): 3 s of two cores; 57.8 % of 1,200 test songs right, where 56.0 % is the most
that anything without order can expect, and logistic regression has 55.8 %. No figure is of the
Million Song Dataset.
"""

from mashjax.tasks import genre
from mashjax.training.config import Optim, TrainConfig


def get_config() -> TrainConfig:
    return TrainConfig(
        task="genre",
        model=genre.Config(network="dense"),
        optim=Optim(learning_rate=2e-3, warmup=50, ema=0.98),
        batch_size=64,
        steps=600,
        statistics_batches=64,
        checkpoint_every=300,
        eval_every=100,
        eval_examples=1000,
        log_every=50,
    )
