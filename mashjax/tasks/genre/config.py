"""The settings of the genre task's three networks."""

import dataclasses
from typing import Any

from mashjax.data.store import TRACK_ROW, Store
from mashjax.data.track_rows import SEGMENT_RATE
from mashjax.errors import UserError

NETWORKS = ("dense", "cnn", "lstm")
INPUTS = ("audio", "lyrics", "both")
WEIGHTS = ("none", "balanced")


@dataclasses.dataclass(unsafe_hash=True)
class Augment:
    """How a training song is varied."""

    transpose: bool = True  # its chroma goes to any of the twelve keys


@dataclasses.dataclass(unsafe_hash=True)  # compiled functions have it as a static argument
class Config:
    """One field per line, each with its unit or its reason."""

    network: str = "cnn"  # what reads the segments: one of NETWORKS
    inputs: str = "both"  # one of INPUTS
    sample_rate: int = SEGMENT_RATE  # segments per second, about
    segments: int = 0  # of a song: the store says how many; frames say nothing here
    genres: str = ""  # the classes' names, one a line: the store says them
    words: str = ""  # the vocabulary, with spaces: the store says it
    word_vectors: str = ""  # a word2vec or GloVe text file; "": latent semantic analysis
    topics: int = 50  # numbers that say what the words are about; a file of vectors has its own
    filters: int = 128  # cnn: of the first and the second convolution; the third has twice as many
    kernel: int = 5  # cnn: segments that a convolution sees
    pools: int = 4  # cnn: segments of which the strongest is kept, after the first and the second
    units: int = 128  # lstm: of each of its two layers; the study that this follows has 10
    group: int = 3  # lstm: segments that it reads at once
    dense: int = 128  # units of the two dense layers that all networks end in
    embedding: int = 50  # dimensions of the layer under the classes: the song's place on a map
    dropout: float = 0.3  # share of the dense layers' inputs left out in training
    l1: float = 0.0  # times the sum of the kernels' magnitudes
    l2: float = 1e-5  # times the sum of their squares
    weights: str = "none"  # of the classes in the loss; "balanced": a rare song counts for more
    popularity: float = 0.3  # weight of the second head's loss; 0 where no song's is known
    augment: Augment = dataclasses.field(default_factory=Augment)

    @property
    def names(self) -> list[str]:
        """The classes."""
        return self.genres.split("\n")

    @property
    def vocabulary(self) -> int:
        """How many words are known."""
        return len(self.words.split())

    @property
    def hears(self) -> bool:
        return self.inputs != "lyrics"

    @property
    def reads(self) -> bool:
        return self.inputs != "audio"


def fitted(cfg: Config, store: Store) -> Config:
    """The config with the store's classes, words and number of segments.

    Raises:
      UserError: the store is none of tracks, knows no words where the config reads them, has
        others of these than the config; or a setting can mean nothing.
    """
    for name, value, known in (
        ("network", cfg.network, NETWORKS),
        ("inputs", cfg.inputs, INPUTS),
        ("weights", cfg.weights, WEIGHTS),
    ):
        if value not in known:
            raise UserError(f"model.{name}={value!r}: say {', '.join(known)}")
    store.check_sound(cfg.sample_rate, TRACK_ROW)
    settings = store.settings
    if cfg.reads and not settings.words:
        raise UserError(
            f"{store.path}: knows no song's words: train with --config.model.inputs=audio"
        )
    words = settings.words if cfg.reads else ""
    for name, learned, found in (
        ("genres", cfg.genres, settings.genres),
        ("words", cfg.words, words),
    ):
        if learned not in ("", found):
            raise UserError(f"{store.path}: its {name} are not those that the model learned")
    if cfg.segments not in (0, settings.samples):
        raise UserError(
            f"{store.path}: has {settings.samples} segments of a song, and the model learned "
            f"{cfg.segments}: preprocess --segments={cfg.segments}"
        )
    rated = any("popularity" in song for song in store.manifest["songs"].values())
    popularity = cfg.popularity if rated else 0.0
    return dataclasses.replace(
        cfg,
        segments=settings.samples,
        genres=settings.genres,
        words=words,
        popularity=popularity,
    )


def config_from_dict(fields: dict[str, Any]) -> Config:
    """A config from its fields as JSON gives them. Raises KeyError or TypeError."""
    # Without its number a network would read songs of none: it is of an earlier version.
    known = {"segments": fields["segments"], "augment": Augment(**fields["augment"])}
    return Config(**{**fields, **known})
