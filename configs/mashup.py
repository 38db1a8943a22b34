r"""The network that ships: 1.01 million parameters, 4.1 MB.

    python -m mashjax.preprocess --layout=midi --input=POP909 --soundfont=FluidR3_GM.sf2 \
        --limit=300 --output=STORE
    python -m mashjax.train --config=configs/mashup.py --data=STORE --workdir=RUN
    python -m mashjax.checkpoint export RUN --output=mashjax/pretrained/mashup
    python -m mashjax.evaluate --data=STORE

What ships was trained with gains and polarities only, on pairs that fit
(--config.model.augment.tilt_db=0 --config.model.augment.pitch_semitones=0 --config.incoherent=0),
and on a store that held 2,050 aligned pairs of these songs in place of clips on a grid.
On 2 CPU cores: 24 minutes for the store, 40 for the training, on a machine that did other work
beside it (0.35 s per step of 8 x 6 s when it was left alone). SI-SDR of the mashup against the
lead of one song over the backing of the other; phi is the magnitude-weighted mean of
1 - cos(phase error):

                                        plain sum       this network    ideal ratio masks
    546 examples of 48 unseen songs     0.2 dB, .165    7.9 dB, .107    14.4 dB, .063
    46 of unseen songs, one a recording 0.0 dB, .171    8.7 dB, .109    14.4 dB, .065
    2 real voice over real backing     -1.0 dB, .202    2.2 dB, .213    14.1 dB, .089

The first row is of a store as these commands make it, of the songs of POP909 whose split is test;
the others are of pairs as that older store held them. No example was worse than the plain sum. The
validation score stands still from step 2,800 on (7.6 dB): more songs, not more steps, are what it
lacks. The rotations change nothing yet (less than 0.001 dB).
"""

from mashjax.tasks import mashup
from mashjax.training.config import Optim, TrainConfig


def get_config() -> TrainConfig:
    return TrainConfig(
        task="mashup",
        model=mashup.Config(),
        optim=Optim(learning_rate=3e-3, rate_factors={"phase": 0.15}),
        batch_size=8,
        frames=260,
        steps=5500,
        checkpoint_every=250,
        eval_every=250,
        eval_examples=48,
        log_every=20,
    )
