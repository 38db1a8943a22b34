"""Hear and see a stored example: from magnitudes and phases back to sound, and to a picture."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from mashjax.audio.loudness import loudness
from mashjax.data import views
from mashjax.data.store import PAIR, Store, decode
from mashjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Sound:
    """Audio float32 [samples], and what can be said of it.

    lufs: its level, None if silent; error_db: what the way through magnitude and phase changed,
    relative to the stored samples, None where there are none or they are silent; si_sdr_db:
    against the label, at the stored levels (`evaluate` matches both songs' levels first).
    """

    y: np.ndarray
    title: str
    lufs: float | None
    error_db: float | None = None
    si_sdr_db: float | None = None


@dataclasses.dataclass(frozen=True)
class Example:
    """A stored example as sounds by name (see `names`), and what the manifest says of its songs."""

    title: str
    sr: int
    seconds: float
    sounds: dict[str, Sound]
    songs: list[dict[str, Any]]


def names(store: Store, *, model: bool) -> list[str]:
    """The sounds of an example: both songs, "sum", "label", "model", and the songs' sources."""
    pair = store.sources == PAIR
    songs = ["song1", "song2"] if pair else ["original1", "original2"]
    return [*songs, "sum", "label", *(["model"] if model else []), *(PAIR if pair else [])]


def check_index(store: Store, split: str, index: int) -> None:
    """Raise UserError unless there is such an example."""
    count = store.count(split)
    if count == 0:
        raise UserError(f"{store.path}: its split {split!r} is empty; name another --split")
    if not 0 <= index < count:
        raise UserError(f"{store.path}: {split} has examples 0 to {count - 1}, not {index}")


def reconstruct_example(
    store: Store,
    split: str,
    index: int,
    *,
    checkpoint: str | os.PathLike | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Example:
    """An example's sounds, computed from the views of its magnitudes and phases.

    checkpoint: the folder of a run or an export, or "shipped"; None: no model.

    Raises:
      UserError: no such example, or it is damaged; a checkpoint that cannot be used, or is one
        for another sample rate.
    """
    import jax.numpy as jnp

    from mashjax.mixing.plot import short
    from mashjax.tasks.mashup.evaluate import si_sdr

    check_index(store, split, index)
    sr, samples = store.settings.sample_rate, store.settings.samples
    model = None if checkpoint is None else _load_model(checkpoint, sr=sr)
    progress("reading the example")
    sources = decode(store.read(split, np.array([index]))[0])
    inputs = _heard(views.inputs(store, split)[:, index].read().result(), samples)
    label = _heard(views.labels(store, split)[:, index].read().result(), samples)

    def sound(y: np.ndarray, title: str, *, stored=None, score: bool = False) -> Sound:
        return Sound(
            y=y,
            title=title,
            lufs=_lufs(y, sr),
            error_db=None if stored is None else _error_db(y, stored),
            si_sdr_db=float(si_sdr(jnp.asarray(y), jnp.asarray(label))) if score else None,
        )

    songs = _songs(store, split, index)
    order = names(store, model=model is not None)
    sounds = {
        name: sound(y, _song_title(name, song), stored=stored)
        for name, y, song, stored in zip(
            order[:2], inputs, songs, views.originals(sources), strict=True
        )
    }
    sounds["sum"] = sound(inputs.sum(0), "Sum of both, as they are", score=True)
    sounds["label"] = sound(label, _label_title(store, split, index), stored=views.label(sources))
    if model is not None:
        progress("asking the network")
        title = f"Model ({short(os.fspath(checkpoint or ''))})"
        sounds["model"] = sound(_mashup(model, inputs), title, score=True)
    if store.sources == PAIR:
        sounds |= {name: sound(y, name) for name, y in zip(PAIR, sources, strict=True)}
    title = f"Example {index} of {split}, {short(store.path)}"
    return Example(title, sr, store.settings.seconds, sounds, songs)


def draw(example: Example, path: str | os.PathLike) -> None:
    """Write a PNG: spectrograms of both songs, their sum, the label and the model's mashup."""
    from mashjax.mixing.plot import draw_column

    panels = {}
    for name, sound in example.sounds.items():
        if name in PAIR:
            continue
        said = [sound.title, "silent" if sound.lufs is None else f"{sound.lufs:.1f} LUFS"]
        if sound.si_sdr_db is not None:
            said.append(f"SI-SDR {sound.si_sdr_db:.1f} dB")
        spectrum = views.spectrum(sound.y, n_fft=views.N_FFT, hop_length=views.HOP_LENGTH)
        panels[", ".join(said)] = np.abs(spectrum)
    draw_column(panels, path, sr=example.sr, seconds=example.seconds, title=example.title)


def _heard(view: np.ndarray, samples: int) -> np.ndarray:
    """Audio [..., samples] of magnitude and phase [2, ..., frames, bins]."""
    import jax.numpy as jnp

    from mashjax.audio.stft import istft

    spectrum = jnp.asarray(view[0] * np.exp(1j * view[1]))
    y = istft(spectrum, n_fft=views.N_FFT, hop_length=views.HOP_LENGTH, length=samples)
    return np.asarray(y)


def _load_model(checkpoint: str | os.PathLike, *, sr: int):
    from mashjax.tasks.mashup import SHIPPED, from_weights
    from mashjax.training.loading import read_checkpoint

    folder = os.fspath(SHIPPED if checkpoint == "shipped" else checkpoint)
    model = from_weights(read_checkpoint(folder), name=folder)
    rate = model.cfg.sample_rate
    if rate != sr:
        raise UserError(
            f"{folder}: hears {rate} Hz, and the store holds {sr} Hz; name another checkpoint, "
            f"or make a store with --sample_rate={rate}"
        )
    return model


def _mashup(model, songs: np.ndarray) -> np.ndarray:
    """A model's mashup [samples] of two songs [2, samples] at its own sample rate."""
    import jax.numpy as jnp

    from mashjax.audio.stft import istft
    from mashjax.mixing.render import render
    from mashjax.tasks.mashup import predict, predict_direct

    cfg = model.cfg
    if cfg.head == "mask":
        masks = predict(model, *songs)
        parts = render(songs[:, None], sr=cfg.sample_rate, masks=masks, stft_settings=cfg.stft)
        return parts.sum((0, 1))
    painted = predict_direct(model, *songs)
    spectrum = painted.magnitude * np.exp(1j * painted.phase)
    spectrum = np.pad(spectrum, ((0, 0), (0, cfg.stft.bins - spectrum.shape[1])))
    y = istft(
        jnp.asarray(spectrum), n_fft=cfg.n_fft, hop_length=cfg.hop_length, length=songs.shape[1]
    )
    # It was painted as one of two songs of RMS 1.
    return np.asarray(y) * np.sqrt(np.mean(songs**2))


def _lufs(y: np.ndarray, sr: int) -> float | None:
    level = loudness(y[None], sr=sr)
    return level if np.isfinite(level) else None


def _error_db(y: np.ndarray, stored: np.ndarray) -> float | None:
    energy = float(np.sum(np.square(stored, dtype=np.float64)))
    error = float(np.sum(np.square(y - stored, dtype=np.float64)))
    return 10 * float(np.log10(max(error, 1e-30) / energy)) if energy else None


def _songs(store: Store, split: str, index: int) -> list[dict[str, Any]]:
    """What the manifest says of both songs of an example."""
    examples = store.examples(split)
    if store.sources == PAIR:
        partner = int(store.partners(split)[index, 0])
        return [examples[index], examples[partner]]
    return store.manifest["songs"][examples[index]["song"]]["originals"]


def _song_title(name: str, song: dict[str, Any]) -> str:
    """What is known of a song, in a line; `name` as in `names`."""
    from mashjax.mixing.plot import short

    role = {"song1": " (lead)", "song2": " (backing)"}.get(name, "")
    file = song.get("song") or song["name"]
    said = [f"{name[:-1].capitalize()} {name[-1]}{role}: {short(file)}"]
    if "tempo_bpm" in song:
        said.append(f"{song['tempo_bpm']:.1f} BPM")
    if "stretch" in song:
        said.append(f"stretched by {song['stretch']:.3f}")
    if "tempo_ratio" in song:
        said.append(f"tempo x {song['tempo_ratio']:.3f}")
    if "shift_semitones" in song:
        said.append(f"{song['shift_semitones']:+.2f} semitones")
    if "start" in song:
        said.append(f"from {song['start']:.1f} s")
    return ", ".join(said)


def _label_title(store: Store, split: str, index: int) -> str:
    from mashjax.mixing.plot import short

    if store.sources == PAIR:
        return "Label: lead of song 1, backing of song 2"
    example = store.examples(split)[index]
    return f"Label: {short(example['song'])}, from {example['start']:.1f} s"
