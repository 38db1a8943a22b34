"""Genres from three convolutions over time (128, 128 and 256 filters) and words: 0.32 million
parameters.

    python -m mashjax.preprocess --layout=genre --input=SONGS --output=STORE
    python -m mashjax.train --config=configs/genre_cnn.py --data=STORE --workdir=RUN
    python -m mashjax.genre evaluate --checkpoint=RUN --data=STORE --plots=DIR --export=DIR

--config.model.inputs=audio|lyrics|both; --config.model.weights=balanced, or preprocess
--balance=over|under, where classes are of unequal size; --config.optim.method=adamw|rmsprop|sgd;
--config.model.l1= and l2=; --config.model.word_vectors=FILE with --config.model.topics=SIZE.

Expected: 0.07 processor seconds per step of 64 songs, so 41 s for all 600; 30,000 songs in 16 s of
two cores. On the made songs of tests/benchmarks/genre_made.py, share right of 1,200 test songs, and
the most that is possible:

    audio and words     72.9 %    78.9 %
    audio               64.8 %    71.3 %
    words               25.3 %    24.9 %

On the proxy set of tests/benchmarks/genre_proxy.py (six ways to arrange a song, 300 for training;
preprocess --segments=160, --config.model.inputs=audio --config.batch_size=32
--config.steps=1200, evaluate --step=best): macro-F1 .814 and .819 from two seeds on 120 clips of
unseen songs and instruments, logistic regression on the means .698. No figure is of the Million
Song Dataset.
"""

from mashjax.tasks import genre
from mashjax.training.config import Optim, TrainConfig


def get_config() -> TrainConfig:
    return TrainConfig(
        task="genre",
        model=genre.Config(network="cnn"),
        optim=Optim(learning_rate=2e-3, warmup=50, ema=0.98),
        batch_size=64,
        steps=600,
        statistics_batches=64,
        checkpoint_every=300,
        eval_every=100,
        eval_examples=1000,
        log_every=50,
    )
