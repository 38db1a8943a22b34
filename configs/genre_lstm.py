"""TODO"""

from mashjax.tasks import genre
from mashjax.training.config import Optim, TrainConfig


def get_config() -> TrainConfig:
    return TrainConfig(
        task="genre",
        model=genre.Config(network="lstm"),
        optim=Optim(learning_rate=2e-3, warmup=50, ema=0.98),
        batch_size=64,
        frames=300,
        steps=600,
        statistics_batches=64,
        checkpoint_every=300,
        eval_every=100,
        eval_examples=1000,
        log_every=50,
    )
