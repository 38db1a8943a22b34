"""The students' first system: raw spectra of two songs regressed onto a third.

    python -m mashjax.train --config=configs/students.py --data=STORE --workdir=RUN

22.05 kHz mono, one minute (2,584 frames), n_fft 2048, hop 512, an embedding of 512, unidirectional,
one network for magnitude and one for raw phase, no augmentation; 20.5 million parameters. STORE
must hold examples of 60 s: `preprocess --seconds=60`. It is kept to measure what the masks of
configs/mashup.py gain.
"""

from mashjax.data.augment import Augment
from mashjax.tasks import mashup
from mashjax.tasks.mashup.config import Network
from mashjax.training.config import Optim, TrainConfig


def get_config() -> TrainConfig:
    network = Network(
        embedding=512, hidden=512, attention=512, window=512, head=512, bidirectional=False
    )
    return TrainConfig(
        task="mashup",
        model=mashup.Config(
            sample_rate=22050,
            n_fft=2048,
            hop_length=512,
            linear_bins=1025,
            log_bands=0,
            head="direct",
            magnitude=network,
            phase=network,
            phase_weight=1.0,
            augment=Augment(gain_db=0.0, inverted=0.0, tilt_db=0.0, pitch_semitones=0.0),
            block_frames=2584,
        ),
        optim=Optim(learning_rate=1e-3),
        incoherent=0.0,
        batch_size=2,
        frames=2584,
        steps=10000,
        checkpoint_every=250,
        eval_every=500,
        eval_examples=8,
        log_every=20,
    )
