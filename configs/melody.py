"""The melody network that ships."""

from mashjax.tasks import melody
from mashjax.training.config import Optim, TrainConfig


def get_config() -> TrainConfig:
    return TrainConfig(
        task="melody",
        model=melody.Config(),
        optim=Optim(learning_rate=2e-3, warmup=60, weight_decay=1e-2, ema=0.99),
        batch_size=8,
        frames=400,
        steps=1500,
        checkpoint_every=200,
        eval_every=250,
        eval_examples=64,
        log_every=20,
    )
