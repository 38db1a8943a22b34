"""Pictures: of a mashup, with who is heard when; of an example, with all that it consists of; of a
voice, with what a piano makes of it."""

import os
import pathlib

import numpy as np
from scipy.fft import rfft

from mashjax.audio.resample import to_mono
from mashjax.mixing.melody import Melody
from mashjax.mixing.pipeline import Mashup

_COLUMNS = 1200
_ROWS = 240
_N_FFT = 4096
_RANGE_DB = 70
_LOWEST_HZ, _HIGHEST_HZ = 50, 16000


def draw(mashup: Mashup, path: str | os.PathLike) -> None:
    """Write a PNG: spectrograms of song 1, song 2 and the mashup; below them song 2's share,
    and how well the lead is heard over the backing, and over the voice that was taken out."""
    report = mashup.report
    leads = [section["lead"] for section in report["sections"]]
    roles = [" and ".join(_roles(leads, k)) for k in (1, 2)]
    titles = [
        f"Song {k + 1} ({roles[k]}): {short(song['path'])} - {_tempo(song)}, {_key(song)}"
        for k, song in enumerate(report["songs"])
    ]
    output = report["output"]
    titles.append(f"Mashup: {output['lufs']:.1f} LUFS, {output['true_peak_dbtp']:.1f} dBTP")
    seconds = mashup.y.shape[1] / mashup.sr
    top = min(mashup.sr / 2, _HIGHEST_HZ)
    figure = _figure(12, 12)
    axes = figure.subplots(5, 1, sharex=True, height_ratios=[3, 3, 3, 1.6, 1.8])
    for axis, title, y in zip(axes, titles, [*mashup.songs, mashup.y], strict=False):
        db, frequencies = _spectrogram(to_mono(y), mashup.sr, top)
        image = _draw_spectrogram(axis, db, frequencies, seconds=seconds, highest=db.max())
        axis.set_title(title, loc="left", fontsize=10)
        figure.colorbar(image, ax=axis, label="dB", pad=0.01)
    _draw_share(axes[3], report)
    _draw_levels(axes[4], report)
    for axis in axes[3:]:
        figure.colorbar(image, ax=axis, pad=0.01).ax.set_visible(False)  # same width as above
    axes[4].set_xlim(0, seconds)
    axes[4].set_xlabel("seconds")
    figure.savefig(path, dpi=100, format="png")


def draw_column(
    panels: dict[str, np.ndarray], path: str | os.PathLike, *, sr: int, seconds: float, title: str
) -> None:
    """Write a PNG: spectrograms one above the other, on one scale of levels and one of time.

    panels: title -> STFT magnitudes [frames, bins], of `sr` Hz and `seconds` in all.
    """
    top = min(sr / 2, _HIGHEST_HZ)
    levels = {}
    for name, magnitude in panels.items():
        n_fft = 2 * (magnitude.shape[1] - 1)
        levels[name], frequencies = _log_rows(magnitude.astype(np.float64) ** 2, n_fft, sr, top)
    highest = max(db.max() for db in levels.values())
    figure = _figure(12, 1 + 2.2 * len(panels))
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, db) in zip(axes, levels.items(), strict=True):
        image = _draw_spectrogram(axis, db - highest, frequencies, seconds=seconds, highest=0.0)
        axis.set_title(name, loc="left", fontsize=10)
    axes[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=axes, label="dB, 0 = the loudest of all", pad=0.01, aspect=60)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=100, format="png")


def draw_melody(melody: Melody, path: str | os.PathLike) -> None:
    """Write a PNG: the voice's spectrogram and pitch; below it the notes of both hands."""
    voice, seconds = melody.report["voice"], melody.y.shape[1] / melody.sr
    top = min(melody.sr / 2, _HIGHEST_HZ)
    figure = _figure(12, 8)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 4])
    db, frequencies = _spectrogram(melody.voice, melody.sr, top)
    _draw_spectrogram(above, db, frequencies, seconds=seconds, highest=db.max())
    hz = 440 * 2 ** ((melody.heard.f0 - 69) / 12)
    rows = np.interp(np.log(hz), np.log(frequencies), np.arange(_ROWS))
    above.plot(melody.heard.times, rows, color="cyan", linewidth=1)
    above.set_title(f"Voice: {short(voice['path'])} - {_tempo(voice)}, {_key(voice)}", loc="left")
    below.plot(melody.heard.times, melody.heard.f0, color="gray", linewidth=0.8, label="sung")
    hands = ((melody.right, "tab:red", "played"), (melody.left, "tab:blue", "left hand"))
    for notes, color, label in hands:
        pitches, starts, ends = ([getattr(n, k) for n in notes] for k in ("pitch", "start", "end"))
        below.hlines(pitches, starts, ends, color=color, linewidth=4, label=label, alpha=0.7)
    octaves = range(24, 109, 12)
    below.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
    below.set_yticks(range(21, 109), minor=True)
    sounding = [note.pitch for note in melody.right + melody.left] or [60]
    below.set_ylim(min(sounding) - 3, max(sounding) + 3)
    below.set_xlim(0, seconds)
    below.set_xlabel("seconds")
    below.grid(alpha=0.3, which="both", linewidth=0.5)
    below.set_title(f"Piano: {melody.report['found']}", loc="left")
    below.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=8, ncols=3, frameon=False)
    figure.savefig(path, dpi=100, format="png")


def short(path: str) -> str:
    """A name that fits the title; characters the font lacks become '?'."""
    name = pathlib.Path(path).name.encode("latin-1", "replace").decode("latin-1")
    name = name.replace("$", r"\$")  # matplotlib would read it as mathematics
    return name if len(name) <= 48 else name[:30] + "..." + name[-15:]


def _figure(width: float, height: float):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _draw_spectrogram(axis, db: np.ndarray, frequencies: np.ndarray, *, seconds, highest):
    """Draw levels [rows, columns] from `highest` dB downwards; returns the image."""
    image = axis.imshow(
        db,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=highest - _RANGE_DB,
        vmax=highest,
        extent=(0, seconds, 0, _ROWS),
    )
    ticks = [f for f in (100, 200, 500, 1000, 2000, 5000, 10000) if f < frequencies[-1]]
    axis.set_yticks(
        np.interp(np.log(ticks), np.log(frequencies), np.arange(_ROWS)),
        [f"{f / 1000:g} k" if f >= 1000 else str(f) for f in ticks],
    )
    axis.set_ylabel("Hz")
    return image


def _draw_share(axis, report: dict) -> None:
    times = np.asarray(report["mask"]["times"])
    share = np.asarray(report["mask"]["song2_share"])
    # One second's mean over the frames' own values: the beat's flicker hides the line otherwise.
    width = max(1, round(1.0 / max(times[1] - times[0], 1e-6)))
    smooth = np.convolve(np.pad(share, width // 2, mode="edge"), np.ones(width) / width, "same")
    smooth = smooth[width // 2 :][: len(share)]
    axis.fill_between(times, share, color="tab:orange", alpha=0.3, linewidth=0, label="per frame")
    axis.plot(times, smooth, color="tab:red", linewidth=1.5, label="mean of 1 s")
    axis.set_ylim(0, 1)
    axis.set_yticks([0, 0.5, 1], ["song 1", "half", "song 2"])
    for section in report["sections"][1:]:
        axis.axvline(section["start"], color="black", linewidth=0.8)
    axis.set_title("Share of the energy", loc="left", fontsize=10)
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=8, ncols=2, frameon=False)
    axis.grid(axis="y", alpha=0.3)


def _draw_levels(axis, report: dict) -> None:
    levels = report["levels"]
    times, starts = levels["times"], [section["start"] for section in report["sections"][1:]]
    leads = np.array([section["lead"] for section in report["sections"]])
    lead = leads[np.searchsorted(starts, times, side="right")] - 1
    frames = np.arange(len(times))
    part, removed, ducked = (np.array(levels[f"{k}_db"]) for k in ("part", "removed", "ducked"))
    backing = part[1 - lead, frames]
    before = backing + ducked[1 - lead, frames]
    axis.plot(times, part[lead, frames], color="tab:red", linewidth=1.5, label="lead")
    axis.plot(times, backing, color="tab:blue", linewidth=1, label="backing")
    axis.fill_between(
        times, backing, before, color="tab:blue", alpha=0.3, linewidth=0, label="ducked"
    )
    other = removed[1 - lead, frames]
    axis.plot(
        times,
        other,
        color="gray",
        linewidth=1,
        linestyle=":",
        label="taken out of the backing song",
    )
    axis.set_ylim(-60, 0)
    axis.set_ylabel("dB")
    axis.set_title("Levels from 200 Hz to 5 kHz, where voices live", loc="left", fontsize=10)
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=8, ncols=4, frameon=False)
    axis.grid(axis="y", alpha=0.3)


def _roles(leads: list[int], song: int) -> list[str]:
    """What a song is in the sections whose `leads` are given: "lead", "backing" or both."""
    return ["lead"] * (song in leads) + ["backing"] * (3 - song in leads)


def _spectrogram(y: np.ndarray, sr: int, top: float) -> tuple[np.ndarray, np.ndarray]:
    """Levels in dB [rows, columns], and the rows' frequencies."""
    columns = min(_COLUMNS, max(2, len(y) // 256))
    starts = np.linspace(0, len(y) - 1, columns).astype(int)
    padded = np.pad(y, _N_FFT // 2)
    window = np.hanning(_N_FFT).astype(np.float32)
    frames = np.stack([padded[s : s + _N_FFT] for s in starts])
    power = np.abs(rfft(frames * window, axis=-1)) ** 2
    return _log_rows(power, _N_FFT, sr, top)


def _log_rows(power: np.ndarray, n_fft: int, sr: int, top: float) -> tuple[np.ndarray, np.ndarray]:
    """Power [columns, bins] as levels in dB on log-spaced frequencies from 50 Hz to `top`."""
    frequencies = np.geomspace(_LOWEST_HZ, top, _ROWS)
    edges = np.geomspace(_LOWEST_HZ, top, _ROWS + 1) * n_fft / sr
    low = edges[:-1].astype(int)
    high = np.maximum(np.ceil(edges[1:]).astype(int), low + 1)
    total = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    high = np.minimum(high, power.shape[1])
    rows = (total[:, high] - total[:, low]) / np.maximum(high - low, 1)
    return 10 * np.log10(rows.T + 1e-10), frequencies


def _tempo(song: dict) -> str:
    return f"{song['tempo_bpm']:.1f} BPM" if song["tempo_bpm"] else "no beat"


def _key(song: dict) -> str:
    return f"{song['key']['tonic']} {song['key']['mode']}"
