"""From a song's sound to what the library knows of it."""

import numpy as np
from scipy import fft, signal

from mashjax.audio.loudness import loudness
from mashjax.audio.resample import resample, to_mono
from mashjax.library.segments import Segment, Song
from mashjax.music import tonality
from mashjax.music.analysis import Analysis, analyse
from mashjax.music.segmentation import segment
from mashjax.tasks import autoencoder
from mashjax.tasks.mashup import ModelState, predict

BANDS = 2 ** (np.arange(-10, 10 + 4) / 3) * 500  # Hz: edges of thirds of an octave, 50 Hz to 10 kHz
TIMBRE = 12  # coefficients of a spectrum's shape
FLOOR_DB = -80.0  # under full scale: silence
QUIET = 1e-6  # of a phrase's loudest band: what is below it has no timbre
OF_SONG = 1.0  # how much the song's pitch classes say for a phrase's key beside its own
UNSURE_BEAT = 0.25  # confidence
UNSURE_KEY = 0.25  # confidence: songs have 0.37 to 1, drums alone and noise mostly less
DRIFT = 0.04  # of the tempo, between a song's slow and its fast quarter
HALF_SUNG = 0.25  # share of the energy; sung songs have 0.3 to 0.55, most instrumental ones 0.1
BLOCK = 2048  # frames of the spectrum at a time, so that memory does not grow with the song


def describe(y: np.ndarray, *, sr: int, model: ModelState) -> Song:
    """What the library keeps of a song.

    Args:
      y: float32 [channels, samples] at `sr` Hz.
      model: the mashup network, asked for the song's lead and its backing.

    A song without a beat has no segments; nothing in the sound makes it fail.
    """
    rate = model.cfg.sample_rate
    mono = resample(to_mono(y), sr_in=sr, sr_out=rate)
    song = analyse(mono, sr=rate)
    phrases = segment(song)
    segments: list[Segment] = []
    if phrases:
        lead, backing, whole = _energies(mono, song, model=model)
    for phrase in phrases:
        cells = slice(phrase.first, phrase.first + phrase.bars * song.beats_per_bar)
        start, end = float(song.cells[cells.start]), float(song.cells[cells.stop])
        level = loudness(y[:, round(start * sr) : round(end * sr)], sr=sr)
        if not np.isfinite(level):
            continue
        key = _key(song, cells)
        shape = _shape(whole[cells])
        segments.append(
            Segment(
                number=len(segments),
                start=start,
                end=end,
                bars=phrase.bars,
                beats_per_bar=song.beats_per_bar,
                tempo_bpm=60 * (cells.stop - cells.start) / (end - start),
                tonic=tonality.TONICS.index(key.tonic),
                mode=key.mode,
                key_confidence=key.confidence,
                tuning_cents=song.tuning_cents,
                loudness_lufs=level,
                brightness_hz=_centroid(whole[cells].mean(axis=0)),
                voice=_voice(float(_share(lead[cells].sum(), backing[cells].sum()))),
                beats=song.cells[cells.start : cells.stop + 1].astype(np.float32),
                chroma=song.chroma[cells].astype(np.float32),
                rhythm=song.rhythm[cells].astype(np.float32),
                lead=_share(lead[cells].sum(axis=1), backing[cells].sum(axis=1)),
                lead_spectrum=_db(lead[cells].mean(axis=0)),
                backing_spectrum=_db(backing[cells].mean(axis=0)),
                timbre=np.concatenate([shape.mean(axis=0), shape.std(axis=0)]),
                embedding=autoencoder.embed(
                    autoencoder.shipped(), mono[round(start * rate) : round(end * rate)], sr=rate
                ),
            )
        )
    return Song(
        seconds=y.shape[1] / sr,
        sample_rate=sr,
        channels=y.shape[0],
        tempo_bpm=song.tempo_bpm,
        beats_per_bar=song.beats_per_bar,
        tonic=tonality.TONICS.index(song.key.tonic),
        mode=song.key.mode,
        key_confidence=song.key.confidence,
        doubts=_doubts(song, segments),
        segments=tuple(segments),
    )


def _energies(
    mono: np.ndarray, song: Analysis, *, model: ModelState
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean power of lead, backing and whole song in each cell, each [cells, bands].

    The network's first song is the one whose lead it keeps, the second the one whose backing: the
    song is both. That finds leads as well as with another song in the other place.
    """
    masks = predict(model, mono, mono)
    stft, bands = model.cfg.stft, model.cfg.bands
    window = signal.get_window("hann", stft.n_fft).astype(np.float32)
    padded = np.pad(mono, (stft.n_fft // 2, stft.n_fft))
    view = np.lib.stride_tricks.sliding_window_view(padded, stft.n_fft)[:: stft.hop_length]
    frames = len(masks.times)
    band = np.searchsorted(BANDS, bands.frequencies) - 1
    inside = (band >= 0) & (band < len(BANDS) - 1)
    gather = np.zeros((bands.count, len(BANDS) - 1), np.float32)
    gather[np.flatnonzero(inside), band[inside]] = 1
    kept = np.empty((3, frames, len(BANDS) - 1), np.float32)
    for i in range(0, frames, BLOCK):
        part = slice(i, min(i + BLOCK, frames))
        power = np.abs(fft.rfft(view[part] * window, axis=1)) ** 2 / window.sum() ** 2
        high = power[:, bands.linear : bands.bins] @ bands.spread.T
        power = np.concatenate([power[:, : bands.linear], high], axis=1)
        shares = masks.mask1[part] ** 2, masks.mask2[part] ** 2, np.float32(1)
        kept[:, part] = [(power * share) @ gather for share in shares]
    edges = np.round(song.cells * stft.frame_rate).astype(int)
    count = np.maximum(1, np.diff(edges))[:, None]
    first = np.minimum(edges[:-1], frames - 1)
    lead, backing, whole = np.add.reduceat(kept, first, axis=1) / count
    return lead, backing, whole


def _key(song: Analysis, cells: slice) -> tonality.Key:
    """The key of some cells; the song's has its say, since few chords fit several keys."""
    here, whole = song.chroma[cells].sum(axis=0), song.chroma.sum(axis=0)
    key, _ = tonality.key_of(
        here / max(here.sum(), 1e-9) + OF_SONG * whole / max(whole.sum(), 1e-9)
    )
    return key


def _share(lead: np.ndarray, backing: np.ndarray) -> np.ndarray:
    return (lead / np.maximum(lead + backing, 10 ** (FLOOR_DB / 10))).astype(np.float32)


def _voice(share: float) -> float:
    """How likely a lead of so large a share is sung. On 8 songs and 13 instrumental pieces the one
    with a voice has the larger share in 88 % of pairs; `music.voice` tells 71 % of them."""
    return float(1 / (1 + np.exp(-(share - HALF_SUNG) / 0.06)))


def _db(power: np.ndarray) -> np.ndarray:
    return (10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10)))).astype(np.float32)


def _shape(power: np.ndarray) -> np.ndarray:
    """The shape of each cell's spectrum [cells, TIMBRE], whatever its level: cepstral
    coefficients from the first on."""
    level = 10 * np.log10(np.maximum(power, QUIET * power.max()))
    return fft.dct(level, axis=1, norm="ortho")[:, 1 : TIMBRE + 1].astype(np.float32)


def _centroid(power: np.ndarray) -> float:
    """Hz, of magnitudes."""
    magnitude = np.sqrt(power)
    return float(magnitude @ np.sqrt(BANDS[1:] * BANDS[:-1]) / max(magnitude.sum(), 1e-12))


def _doubts(song: Analysis, segments: list[Segment]) -> tuple[str, ...]:
    doubts = []
    if song.tempo_bpm is None:
        return ("no beat was found",)
    if song.beat_confidence < UNSURE_BEAT:
        doubts.append("the beat is uncertain")
    beats = np.diff(song.beats)
    slow, fast = np.quantile(beats, (0.75, 0.25))
    if not song.steady and slow > (1 + DRIFT) * fast:
        doubts.append("the tempo drifts")
    if song.beats_per_bar != 4:
        doubts.append(f"bars of {song.beats_per_bar} beats")
    if song.key.confidence < UNSURE_KEY:
        doubts.append("no clear key")
    if not segments:
        doubts.append("shorter than four bars")
    return tuple(doubts)
