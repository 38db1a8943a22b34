"""One picture of a mashup: both songs, the result, and who is heard when."""

import os
import pathlib

import numpy as np
from scipy.fft import rfft

from mashjax.audio.resample import to_mono
from mashjax.mixing.pipeline import Mashup

_COLUMNS = 1200
_ROWS = 240
_N_FFT = 4096
_RANGE_DB = 70


def draw(mashup: Mashup, path: str | os.PathLike) -> None:
    """Write a PNG: spectrograms of song 1, song 2 and the mashup, and song 2's share below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    report = mashup.report
    lead = report["alignment"]["lead"]
    titles = [
        f"Song {k + 1} ({'lead' if lead == k + 1 else 'backing'}): "
        f"{_short(song['path'])} - {_tempo(song)}, {_key(song)}"
        for k, song in enumerate(report["songs"])
    ]
    output = report["output"]
    titles.append(f"Mashup: {output['lufs']:.1f} LUFS, {output['true_peak_dbtp']:.1f} dBTP")
    seconds = mashup.y.shape[1] / mashup.sr
    top = min(mashup.sr / 2, 16000)
    figure = Figure(figsize=(12, 10), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(4, 1, sharex=True, height_ratios=[3, 3, 3, 1.6])
    for axis, title, y in zip(axes, titles, [*mashup.songs, mashup.y], strict=False):
        db, frequencies = _spectrogram(to_mono(y), mashup.sr, top)
        image = axis.imshow(
            db,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=db.max() - _RANGE_DB,
            vmax=db.max(),
            extent=(0, seconds, 0, _ROWS),
        )
        ticks = [f for f in (100, 200, 500, 1000, 2000, 5000, 10000) if f < top]
        axis.set_yticks(
            np.interp(np.log(ticks), np.log(frequencies), np.arange(_ROWS)),
            [f"{f / 1000:g} k" if f >= 1000 else str(f) for f in ticks],
        )
        axis.set_ylabel("Hz")
        axis.set_title(title, loc="left", fontsize=10)
        figure.colorbar(image, ax=axis, label="dB", pad=0.01)
    _draw_share(axes[3], report)
    figure.colorbar(image, ax=axes[3], pad=0.01).ax.set_visible(False)  # same width as above
    axes[3].set_xlim(0, seconds)
    figure.savefig(path, dpi=100, format="png")


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
    axis.set_title("Share of the energy", loc="left", fontsize=10)
    axis.set_xlabel("seconds")
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=8, ncols=2, frameon=False)
    axis.grid(axis="y", alpha=0.3)


def _spectrogram(y: np.ndarray, sr: int, top: float) -> tuple[np.ndarray, np.ndarray]:
    """Levels in dB [rows, columns] on log-spaced frequencies from 50 Hz to `top`."""
    columns = min(_COLUMNS, max(2, len(y) // 256))
    starts = np.linspace(0, len(y) - 1, columns).astype(int)
    padded = np.pad(y, _N_FFT // 2)
    window = np.hanning(_N_FFT).astype(np.float32)
    frames = np.stack([padded[s : s + _N_FFT] for s in starts])
    power = np.abs(rfft(frames * window, axis=-1)) ** 2
    frequencies = np.geomspace(50, top, _ROWS)
    edges = np.geomspace(50, top, _ROWS + 1) * _N_FFT / sr
    low = edges[:-1].astype(int)
    high = np.maximum(np.ceil(edges[1:]).astype(int), low + 1)
    total = np.concatenate([np.zeros((columns, 1)), np.cumsum(power, axis=1)], axis=1)
    high = np.minimum(high, power.shape[1])
    rows = (total[:, high] - total[:, low]) / np.maximum(high - low, 1)
    return 10 * np.log10(rows.T + 1e-10), frequencies


def _short(path: str) -> str:
    """A name that fits the title; characters the font lacks become '?'."""
    name = pathlib.Path(path).name.encode("latin-1", "replace").decode("latin-1")
    name = name.replace("$", r"\$")  # matplotlib would read it as mathematics
    return name if len(name) <= 48 else name[:30] + "..." + name[-15:]


def _tempo(song: dict) -> str:
    return f"{song['tempo_bpm']:.1f} BPM" if song["tempo_bpm"] else "no beat"


def _key(song: dict) -> str:
    return f"{song['key']['tonic']} {song['key']['mode']}"
