"""The settings of the network that paints a piano's spectrogram."""

import dataclasses
from typing import Any

from mashjax.data.store import MELODY_ROW, Store
from mashjax.tasks import melody


@dataclasses.dataclass(unsafe_hash=True)  # compiled functions have it as a static argument
class Config:
    """One field per line, each with its unit or its reason."""

    heard: melody.Config = dataclasses.field(default_factory=melody.Config)  # what the voice is in
    n_fft: int = 1536  # samples per window of the piano's spectrogram; its hop is that of `heard`
    power: float = 0.3  # of the magnitudes that are painted, so that weak partials count
    channels: int = 16  # of the convolutions over frames and pitches
    states: int = 6  # numbers per note that a frame of the piano is painted from
    width: int = 192  # of the convolutions over frames
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)  # frames between the taps of each
    critic: float = 0.0  # weight of the adversarial loss; 0: none
    critic_channels: int = 24  # of the critic's convolutions

    @property
    def sample_rate(self) -> int:
        return self.heard.sample_rate

    @property
    def hop_length(self) -> int:
        return self.heard.hop_length


def fitted(cfg: Config, store: Store) -> Config:
    """The config, where the store holds what it hears. Raises UserError where it does not."""
    store.check_sound(cfg.sample_rate, MELODY_ROW)
    return cfg


def config_from_dict(fields: dict[str, Any]) -> Config:
    """A config from its fields as JSON gives them. Raises KeyError or TypeError."""
    heard = melody.config_from_dict(fields["heard"])
    return Config(**{**fields, "heard": heard, "dilations": tuple(fields["dilations"])})


def example_samples(cfg: Config, frames: int) -> int:
    """How long an example must be, in samples, to have so many frames."""
    return melody.example_samples(cfg.heard, frames)


def read_samples(cfg: Config, frames: int) -> int:
    """How much of an example training should read, where there is so much."""
    return melody.read_samples(cfg.heard, frames)
