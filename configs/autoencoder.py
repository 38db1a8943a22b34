"""The autoencoder that ships: seconds of sound in 64 numbers; 0.16 million parameters, 0.7 MB.

    python -m mashjax.train --config=configs/autoencoder.py --data=STORE --workdir=RUN
    python -m mashjax.checkpoint export RUN --output=mashjax/pretrained/autoencoder
    python -m mashjax.evaluate --checkpoint=RUN --data=STORE

STORE is that of configs/mashup.py. Expected (an estimate: it was trained beside much else): 0.7 s
of one core per step of 16 x 6 s, half a minute for the principal components that it starts from.
The one that ships was stopped at step 207. Variance explained:

                                              this network     64 principal components
    400 clips of held-out songs               86.7 %           86.8 %
    377 clips of unseen songs and sounds      86.6 %           86.8 %
    seen with other levels, tone and pitch    75.0 %           72.5 %

The components are not beaten on clips as they are, only where songs vary; neighbours are as good
(mashjax/pretrained/autoencoder/README.md, tests/benchmarks/embedding.py).
"""

from mashjax.tasks import autoencoder
from mashjax.training.config import Optim, TrainConfig


def get_config() -> TrainConfig:
    return TrainConfig(
        task="autoencoder",
        model=autoencoder.Config(),
        optim=Optim(learning_rate=1e-3, warmup=50),
        batch_size=16,
        frames=256,
        steps=300,
        statistics_batches=60,
        checkpoint_every=50,
        eval_every=100,
        eval_examples=200,
        log_every=10,
    )
