"""The settings of the mashup task's features, networks and losses."""

import dataclasses
import functools
from typing import Any

from mashjax.audio.stft import StftSettings
from mashjax.data.augment import Augment
from mashjax.data.store import MASHUP_ROW, PAIR, Store
from mashjax.tasks.mashup.bands import Bands


@dataclasses.dataclass(unsafe_hash=True)  # compiled functions have it as a static argument
class Config:
    """One field per line, each with its unit or its reason."""

    sample_rate: int = 22050  # Hz, of the store and of what the network hears
    n_fft: int = 2048  # samples per window
    hop_length: int = 512  # samples from frame to frame: 23 ms
    linear_bins: int = (
        128  # lowest bins that are bands of their own: harmonics stay apart to 1.4 kHz
    )
    log_bands: int = 72  # bands above those, evenly spaced in octaves
    top_hz: float = 10000.0  # the last band's centre; what is above takes its mask
    floor_db: float = -60.0  # silence in the log-magnitudes, relative to white noise of RMS 1
    head: str = "mask"  # "mask": filter both songs; "direct": paint the mashup (the students')
    magnitude: "Network" = dataclasses.field(default_factory=lambda: Network())
    phase: "Network" = dataclasses.field(
        default_factory=lambda: Network(64, hidden=48, head=48, bidirectional=False, local=True)
    )
    first_mask: float = 0.95  # both masks before training: a clean overlay
    phase_weight: float = 0.1  # of the phase network's loss; its gradients reach nothing else
    compressed_weight: float = 0.3  # of the compressed-magnitude loss beside the complex one
    augment: Augment = dataclasses.field(default_factory=Augment)  # of training examples
    dtype: str = "float32"  # of matrix products; "bfloat16": their factors, never sums and states
    stacked: bool = False  # both networks, which must be of one size, in the same loops: for TPUs
    remat: bool = False  # compute the parts of the networks twice in training, for less memory
    block_frames: int = 512  # inference runs in blocks of this many frames

    @property
    def stft(self) -> StftSettings:
        return StftSettings(self.sample_rate, self.n_fft, self.hop_length)

    @property
    def bands(self) -> Bands:
        return _bands(self.stft, self.linear_bins, self.log_bands, self.top_hz)


@dataclasses.dataclass(unsafe_hash=True)
class Network:
    """The size of one of the two encoder-decoders."""

    embedding: int | None = 160  # a dense layer before the encoder; None: features go straight in
    hidden: int = 128  # LSTM units per direction; a Transformer's width
    attention: int = 64  # width; one head between encoder and decoder, a Transformer's are of 32
    window: int = 64  # frames that attention sees to either side: 1.5 s
    head: int = 256  # units of the dense layer before the last
    bidirectional: bool = True  # False: as the students had it; a Transformer looks only back
    encoder: str = "lstm"  # or "transformer"; the decoder is of the same kind
    layers: int = 2  # blocks of a Transformer encoder, and as many of its decoder
    local: bool = False  # one head for all bins, each with its neighbours (of the phase network)


def fitted(cfg: Config, store: Store) -> Config:
    """The config, where the store holds what it hears. Raises UserError where it does not."""
    store.check_sound(cfg.sample_rate, PAIR, MASHUP_ROW)
    return cfg


def config_from_dict(fields: dict[str, Any]) -> Config:
    """A config from its fields as JSON gives them. Raises KeyError or TypeError."""
    networks = {name: Network(**fields[name]) for name in ("magnitude", "phase")}
    return Config(**{**fields, **networks, "augment": Augment(**fields["augment"])})


_bands = functools.lru_cache(maxsize=16)(Bands)
