"""A network that trains in seconds: for tests, and to try the commands.

python -m mashjax.train --config=configs/tiny.py --data=STORE --workdir=RUN
"""

from mashjax.tasks import mashup
from mashjax.tasks.mashup.config import Network
from mashjax.training.config import Optim, TrainConfig


def get_config() -> TrainConfig:
    return TrainConfig(
        task="mashup",
        model=mashup.Config(
            sample_rate=8000,
            n_fft=512,
            hop_length=128,
            linear_bins=64,
            log_bands=16,
            top_hz=3500.0,
            magnitude=Network(
                embedding=24, hidden=16, attention=8, window=8, head=32, bidirectional=False
            ),
            phase=Network(
                embedding=16,
                hidden=8,
                attention=8,
                window=8,
                head=16,
                bidirectional=False,
                local=True,
            ),
            block_frames=96,
        ),
        optim=Optim(learning_rate=5e-3, rate_factors={"phase": 0.5}, warmup=5),
        batch_size=4,
        frames=48,
        steps=150,
        statistics_batches=2,
        checkpoint_every=20,
        eval_every=75,
        eval_examples=4,
        log_every=5,
    )
