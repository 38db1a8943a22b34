"""A picture of a track: its chroma and its timbre over time."""

import os

import numpy as np

from mashjax.audio import files
from mashjax.data.tracks import PITCH_CLASSES, TIMBRES, Track
from mashjax.music.tonality import TONICS

WIDTH, HEIGHT, DPI = 12, 7, 100  # inches, dots per inch
EXTREME = 98  # percentile of the coefficients' sizes, at which colours end


def draw_track(track: Track, path: str | os.PathLike) -> None:
    """Write a PNG: strength of the pitch classes, then loudness, then the other coefficients.

    Raises:
      UserError: `path` does not end in .png, or cannot be written.
    """
    files.check_ending(path, (".png",))
    files.check_folder(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True, height_ratios=[3, 1, 3])
    edges = np.append(track.starts, max(track.seconds, track.starts[-1] + 1e-3))
    image = axes[0].pcolormesh(edges, np.arange(13) - 0.5, track.chroma.T, cmap="magma")
    image.set_clim(0, 1)
    axes[0].set_yticks(range(PITCH_CLASSES), TONICS, fontsize=8)
    axes[0].set_title("Chroma: how strong each pitch class is", loc="left", fontsize=10)
    figure.colorbar(image, ax=axes[0], label="of the strongest", pad=0.01)
    axes[1].stairs(track.timbre[:, 0], edges, baseline=None)
    axes[1].set_ylabel("dB")
    axes[1].set_title("Timbre 1: loudness", loc="left", fontsize=10)
    rest = track.timbre[:, 1:]
    end = float(np.percentile(np.abs(rest), EXTREME)) or 1.0
    lines = np.arange(1, TIMBRES + 1) + 0.5
    image = axes[2].pcolormesh(edges, lines, rest.T, cmap="RdBu_r", vmin=-end, vmax=end)
    axes[2].set_yticks(range(2, TIMBRES + 1), [str(k) for k in range(2, TIMBRES + 1)], fontsize=8)
    axes[2].invert_yaxis()
    axes[2].set_title("Timbre 2 to 12: the shape of the sound", loc="left", fontsize=10)
    axes[2].set_xlabel("seconds")
    figure.colorbar(image, ax=axes[2], label="coefficient", pad=0.01)
    figure.colorbar(image, ax=axes[1], pad=0.01).ax.set_visible(False)  # the same width
    axes[2].set_xlim(edges[0], edges[-1])
    figure.suptitle(_title(track), fontsize=11)
    with files.replacing(path) as beside:
        figure.savefig(beside, dpi=DPI, format="png")


def _title(track: Track) -> str:
    """What is known of the track; characters that the font lacks become '?'."""
    parts = [" - ".join(name for name in (track.artist, track.title) if name) or track.track_id]
    parts.append(f"{len(track.starts)} segments")
    if track.tempo_bpm:
        parts.append(f"{track.tempo_bpm:.1f} BPM")
    if track.key is not None:
        parts.append(f"{TONICS[track.key]} {('minor', 'major')[track.mode or 0]}")
    text = ", ".join(parts).encode("latin-1", "replace").decode("latin-1")
    return text.replace("$", r"\$")  # matplotlib would read it as mathematics
