r"""The network that ships: 1.57 million parameters, 6.3 MB.

    launch/voices.sh VOICES     and a singer's recording beside them: vocadito_10.wav (CC BY 4.0)
    python -m mashjax.preprocess --layout=midi --input=POP909 --clips_per_song=8 --voices=VOICES \
        --soundfont=FluidR3_GM.sf2,MuseScore_General_Lite.sf3 --output=STORE
    python -m mashjax.train --config=configs/mashup.py --data=STORE --workdir=RUN
    python -m mashjax.checkpoint export RUN --output=mashjax/pretrained/mashup
    python -m mashjax.evaluate --data=STORE

On 2 CPU cores that did other work beside it: 55 minutes for the store (796 songs, 6,326 examples,
6.4 GB), 59 for the training (0.5 s per step of 8 x 6 s when it was left alone). SI-SDR of the
mashup against the lead of one song over the backing of the other, with 95 % intervals over songs;
phi is the magnitude-weighted mean of 1 - cos(phase error):

                                          plain sum      this network               oracle mask
    377 pairs of 48 unseen songs         -0.1 dB, .176   6.6 dB (6.1-7.1), .109     13.1 dB, .073
    24 real voices over real backings    -0.1 dB, .178   7.4 dB (6.4-8.4), .135     15.4 dB, .085
    the same through mashjax.mix          -0.1 dB         7.4 dB

The first row's songs, soundfont (TimGM6mb) and recorded voices (`launch/voices.sh --unseen`) are
unseen; 2 pairs of 377 are worse than the plain sum. The second is tests/benchmarks/real_voices.py;
1 pair of 24 is worse. Masks as they are said, without `eased`, have 6.4 dB, .121 and 7.3 dB, .153;
the network before this one, trained on played leads and a formant singer alone, 5.4 dB, .142, 21
worse, and 6.1 dB, .189. Rotations bring 0.04 and 0.03 dB, and .002 and .001 of phi. From another
seed (--config.seed=1): 6.6 dB, .109, 1 worse, and 7.3 dB, .133, none worse.
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
