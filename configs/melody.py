"""The melody network that ships: what a voice sings, every 10 ms; 0.69 million parameters, 2.8 MB.

    launch/voices.sh VOICES
    python -m mashjax.preprocess --layout=melody --input=POP909 --output=STORE \\
        --soundfont=FluidR3_GM.sf2,MuseScore_General_Lite.sf3 --voices=VOICES \\
        --sample_rate=16000 --seconds=8 --clips_per_song=5 --limit=520
    python -m mashjax.train --config=configs/melody.py --data=STORE --workdir=RUN
    python -m mashjax.checkpoint export RUN --output=mashjax/pretrained/melody
    python tests/benchmarks/melody_frames.py UNSEEN

The store has 5.8 h of 520 songs' melodies, one singer or player each; it takes about 1.5 s of one
core per song (an estimate). A step of 8 x 4 s takes about 1 s of one core. The network that ships
was stopped and resumed twice, with `steps` first 1000 and 1800 and, from step 251 on, 760, and each
time its rate fell along the new cosine; it has heard half of each clip 2.7 times. Scores of frames
(`tasks/melody/evaluate.py`), on 165 clips of 33 songs that it never heard, by TimGM6mb and voices
(`launch/voices.sh --unseen`) that it never heard either:

    lead               clips   overall   note   pitch   recall   false alarm   onset F
    recorded voices       45      .826   .830    .886     .925          .112      .850
    our own singer        40      .907   .909    .989     .991          .105      .920
    instruments           60      .887   .870    .933     .935          .218      .724
    speech, no notes      20      .966                                  .034

A note that is sung up to 45 cents out of tune still counts as the one that was meant.
"""

from mashjax.tasks import melody
from mashjax.training.config import Optim, TrainConfig


def get_config() -> TrainConfig:
    return TrainConfig(
        task="melody",
        model=melody.Config(),
        optim=Optim(learning_rate=2e-3, warmup=60, weight_decay=1e-2, ema=0.99),
        batch_size=8,
        frames=400,
        steps=760,
        checkpoint_every=100,
        eval_every=200,
        eval_examples=48,
        log_every=20,
    )
