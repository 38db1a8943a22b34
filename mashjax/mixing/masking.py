"""Ask the network, and let through of both songs what it says."""

import dataclasses
import os

import numpy as np

from mashjax.audio.resample import resample, to_mono
from mashjax.mixing.model import load_model
from mashjax.mixing.render import render
from mashjax.mixing.sections import arrange
from mashjax.mixing.taste import Section
from mashjax.music.structure import Phrases
from mashjax.tasks.mashup import Masks, ModelState, predict


def masked(
    songs: np.ndarray,
    *,
    sr: int,
    sections: list[Section],
    phrases: Phrases | None,
    checkpoint: str | os.PathLike | None,
    wet: float,
) -> tuple[np.ndarray, list[Section], int, int]:
    """The parts of both songs, who leads when, and the network's hop and window in samples.

    songs: aligned, [2, channels, samples] at `sr` Hz. sections: the one of the song that leads;
    with phrases the lead may change between them. checkpoint: see `load_model`.
    wet: 0..1, how far the masks act.
    """
    model = load_model(checkpoint)
    stft = model.cfg.stft
    mono = np.stack([resample(to_mono(y), sr_in=sr, sr_out=stft.sample_rate) for y in songs])
    lead = sections[0].lead
    if phrases is None:
        masks = _ask(model, mono, lead=lead)
    else:
        roles = _ask(model, mono, lead=1), _ask(model, mono, lead=2)
        masks, sections = arrange(mono, roles, phrases, lead=lead, stft_settings=stft)
    parts = render(songs, sr=sr, masks=_softened(masks, wet=wet), stft_settings=stft)
    hop = round(stft.hop_length * sr / stft.sample_rate)
    return parts, sections, hop, hop * stft.n_fft // stft.hop_length


def _ask(model: ModelState, mono: np.ndarray, *, lead: int) -> Masks:
    """The masks under which song `lead` of `mono` [2, samples] leads; `mask1` is song 1's."""
    # The network's first song is the lead, its second the backing.
    masks = predict(model, mono[lead - 1], mono[2 - lead])
    if lead == 1:
        return masks
    return dataclasses.replace(
        masks,
        mask1=masks.mask2,
        mask2=masks.mask1,
        rotation1=masks.rotation2,
        rotation2=masks.rotation1,
    )


def _softened(masks: Masks, *, wet: float) -> Masks:
    """Masks that act in part: at 0 they let everything through as it is, at 1 they are as said."""
    return dataclasses.replace(
        masks,
        mask1=1 - wet + wet * masks.mask1,
        mask2=1 - wet + wet * masks.mask2,
        rotation1=wet * masks.rotation1,
        rotation2=wet * masks.rotation2,
    )
