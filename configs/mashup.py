"""The network that ships: 1.0 M parameters, 4 MB.

python -m mashjax.preprocess --layout=midi --input=POP909 --soundfont=FluidR3_GM.sf2 --output=STORE
python -m mashjax.train --config=configs/mashup.py --data=STORE --workdir=RUN
python -m mashjax.evaluate --checkpoint=RUN --data=STORE
python -m mashjax.checkpoint export RUN --output=mashjax/pretrained/mashup
"""

from mashjax.tasks import mashup
from mashjax.training.config import Optim, TrainConfig


def get_config() -> TrainConfig:
    return TrainConfig(
        task="mashup",
        model=mashup.Config(),
        optim=Optim(learning_rate=3e-3, rate_factors={"phase": 0.5}),
        batch_size=8,
        frames=260,
        steps=5000,
        checkpoint_every=100,
        eval_every=200,
        eval_examples=48,
        log_every=20,
    )
