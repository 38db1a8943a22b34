"""The study's own route from a voice to a piano: a spectrogram in, a spectrogram out.

    python -m mashjax.train --config=configs/melody_spectrogram.py --data=STORE --workdir=RUN
    python -m mashjax.melody VOICE --checkpoint=RUN --out=piano.wav
    python tests/benchmarks/melody_routes.py --checkpoint=RUN --data=UNSEEN --peers=PYTHON

STORE is that of configs/melody.py. 1.2 million parameters, convolutions alone; a step of 8 x 4 s
takes about 0.7 s of one core. On 48 validation clips .748 of the piano's spectrogram is painted
and .896 of the frames show its note. Nothing of it ships: the other route is better at notes, on 24
clips of songs, soundfont and voices that neither ever heard (what basic-pitch hears in the piano,
beside the notes that were sung; 272 notes) and on two real voices (52 notes):

                               onset and pitch F   log-spectral distance   error of magnitudes
    unseen clips: true notes           .817                  0                    none
      true notes, phases found         .829                 .54 dB             -18.6 dB
      notes, heard and played          .752                1.41 dB              -8.5 dB
      painted                          .532                2.14 dB              -7.3 dB
    real voices: true notes            .889                  0                    none
      true notes, phases found         .916                 .68 dB             -19.6 dB
      notes, heard and played          .692                3.31 dB              -6.3 dB
      painted                          .460                4.89 dB              -3.9 dB

So phases cost nothing that is heard as notes. What is painted flickers between notes: 427 are heard
in it, of which 44 % are right (of 329, 69 %, where notes are decoded): nothing in it knows that a
note lasts. It learned from voices as they are made, before `tasks/melody` drew how they are
recorded. On all 165 unseen clips .706 is painted and .924 of the frames show their note.

--config.model.critic=0.1 adds the adversarial loss. From this run on, with a new critic, 400 steps
with it gave .503, 2.12 dB and -7.4 dB on the unseen clips (.514, 2.15 and -7.3 with 0.3 and ten
times the critic's rate), 400 without it .499, 2.16 and -7.2: next to nothing, hence it is off.
"""

from mashjax.tasks import melody_spectrogram
from mashjax.training.config import Optim, TrainConfig


def get_config() -> TrainConfig:
    return TrainConfig(
        task="melody_spectrogram",
        model=melody_spectrogram.Config(),
        optim=Optim(learning_rate=2e-3, warmup=60, weight_decay=1e-2, ema=0.99),
        batch_size=8,
        frames=400,
        steps=2400,
        checkpoint_every=200,
        eval_every=400,
        eval_examples=48,
        log_every=20,
    )
