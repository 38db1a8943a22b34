"""The settings of the autoencoder's description of sound and of its network."""

import dataclasses
from typing import Any

from mashjax.audio.stft import StftSettings
from mashjax.data.augment import Augment
from mashjax.data.store import MASHUP_ROW, PAIR, Store


@dataclasses.dataclass(unsafe_hash=True)  # compiled functions have it as a static argument
class Config:
    """One field per line, each with its unit or its reason."""

    sample_rate: int = 22050  # Hz, of the store and of what is described
    n_fft: int = 2048  # samples per window
    hop_length: int = 512  # samples from frame to frame: 23 ms
    low_hz: float = 40.0  # centre of the lowest band
    top_hz: float = 10000.0  # centre of the highest band
    bands: int = 48  # evenly spaced on the mel scale
    block: int = 16  # frames over which a change counts as fast: 0.37 s
    groups: int = 6  # groups of bands in which onsets are counted
    rates: int = 16  # of onsets, evenly spaced in octaves
    slowest_hz: float = 0.5  # the first of them
    fastest_hz: float = 16.0  # the last of them
    floor_db: float = -60.0  # silence in the log powers, relative to white noise of RMS 1
    code: int = 64  # dimensions of the embedding
    hidden: int = 256  # units of the dense layer on either side of it
    augment: Augment = dataclasses.field(default_factory=Augment)  # of what is to be cleaned

    @property
    def stft(self) -> StftSettings:
        return StftSettings(self.sample_rate, self.n_fft, self.hop_length)


def fitted(cfg: Config, store: Store) -> Config:
    """The config, where the store holds what it hears. Raises UserError where it does not."""
    store.check_sound(cfg.sample_rate, PAIR, MASHUP_ROW)
    return cfg


def config_from_dict(fields: dict[str, Any]) -> Config:
    """A config from its fields as JSON gives them. Raises KeyError or TypeError."""
    return Config(**{**fields, "augment": Augment(**fields["augment"])})
