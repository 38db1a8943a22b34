"""The settings of the melody network and of what it hears."""

import dataclasses
from typing import Any

from mashjax.audio.stft import StftSettings
from mashjax.data.augment import Augment
from mashjax.data.store import MELODY_ROW, Store


@dataclasses.dataclass(unsafe_hash=True)  # compiled functions have it as a static argument
class Config:
    """One field per line, each with its unit or its reason."""

    sample_rate: int = 16000  # Hz, of the store and of what is heard
    n_fft: int = 1536  # samples per window of the pitches' spectrum: 96 ms part a bass's partials
    short_fft: int = 512  # samples per window of the bands: 32 ms, for what begins
    hop_length: int = 160  # samples from frame to frame: 10 ms
    lowest: int = 36  # MIDI number of the lowest note: C2, 65 Hz
    notes: int = 60  # semitones from it on, up to B6
    top_hz: float = 7800.0  # highest centre of the pitches' spectrum
    bands: int = 40  # evenly spaced on the mel scale
    floor_db: float = -70.0  # silence in the log powers, relative to white noise of RMS 1
    channels: int = 16  # of the convolutions
    squeezed: int = 4  # channels per note that the sequence network sees
    width: int = 128  # what a frame is reduced to before it
    encoder: int = 128  # units of the first LSTM, per direction
    attention: int = 64  # width of the self-attention
    window: int = 100  # frames that it sees to either side: 1 s
    decoder: int = 96  # units of the second LSTM, per direction
    dtype: str = "float32"  # of the sequence network's matrix products
    noise_db: tuple[float, float] = (-70.0, -15.0)  # augmentation: noise under the voice
    bleed_db: tuple[float, float] = (-40.0, -3.0)  # likewise: its own backing
    bled: float = 0.5  # share of the examples in which the backing is heard at all
    unsung: float = 0.04  # share in which nothing else is
    augment: Augment = dataclasses.field(
        default_factory=lambda: Augment(gain_db=8.0, tilt_db=2.0, pitch_semitones=0.0)
    )

    @property
    def stft(self) -> StftSettings:
        return StftSettings(self.sample_rate, self.n_fft, self.hop_length)


def fitted(cfg: Config, store: Store) -> Config:
    """The config, where the store holds what it hears. Raises UserError where it does not."""
    store.check_sound(cfg.sample_rate, MELODY_ROW)
    return cfg


def config_from_dict(fields: dict[str, Any]) -> Config:
    """A config from its fields as JSON gives them. Raises KeyError or TypeError."""
    pairs = {name: tuple(fields[name]) for name in ("noise_db", "bleed_db")}
    return Config(**{**fields, **pairs, "augment": Augment(**fields["augment"])})
