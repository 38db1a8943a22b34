"""Mashups of real voices over real backings whose truth is known, scored.

    python tests/benchmarks/real_voices.py [--checkpoint=DIR] [--pairs=24]
        [--mix [--duck=6]]

Of the folder $MASHJAX_MUSIC: two recorded voices that no training has heard, over backings made of
stems and instrumental recordings. Each pair is two songs of SECONDS, a voice over a backing each;
wanted is the voice of the one over the backing of the other. Stretched and shifted is nothing.
--mix asks `mashjax.mix --align=none`, at 44.1 kHz in stereo, instead of the network alone.
"""

import argparse
import functools
import json
import os
import pathlib
import tempfile

import numpy as np
import soundfile

from mashjax.audio import files
from mashjax.audio.resample import fit, resample

MUSIC = pathlib.Path(os.environ.get("MASHJAX_MUSIC", "../shared/music"))
VOICES = ["vocals_solo/vocadito_14.wav", "stems/waveform_playlist/Vocals30.mp3"]
STEMS = {
    "stems/waveform_playlist": ["BassDrums30.mp3", "Guitar30.mp3", "PianoSynth30.mp3"],
    "stems/mdn_multitrack": ["bassguitar.mp3", "clav.mp3", "drums.mp3", "horns.mp3"],
    "stems/slakh_Track00001/stems": [f"S{n:02}.flac" for n in (0, 2, 3, 4, 7, 8, 10)],
}
SECONDS = 10.0
SR = 44100


@functools.cache
def backings() -> list[np.ndarray]:
    """float32 [2, samples] each, at SR."""
    found = []
    for folder, names in STEMS.items():
        stems = [_read(MUSIC / folder / name) for name in names]
        longest = max(y.shape[1] for y in stems)
        found.append(sum(fit(y, samples=longest) for y in stems))
    recordings = sorted(p for p in (MUSIC / "instrumental").glob("*") if p.suffix in files.ENDINGS)
    found += [_read(path) for path in recordings]
    return [y for y in found if y.shape[1] >= (SECONDS + 2) * SR]


def make_pairs(count: int, *, seed: int = 0) -> np.ndarray:
    """Sources float32 [pairs, 4, channels, samples]: lead 1, backing 1, lead 2, backing 2."""
    rng = np.random.default_rng(seed)
    voices = [_read(MUSIC / path) for path in VOICES]
    pairs = []
    for n in range(count):
        first, second = rng.choice(len(backings()), 2, replace=False)
        song = []
        for voice, backing in ((voices[n % 2], first), (voices[1 - n % 2], second)):
            lead, back = _cut(voice, rng), _cut(backings()[backing], rng)
            loud = 10 ** (rng.uniform(-3, 3) / 20) * _active_rms(back) / _active_rms(lead)
            song += [loud * lead, back]
        pairs.append(np.stack(song))
    return np.stack(pairs).astype(np.float32)


def _cut(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """SECONDS of y that sound, with nothing after its end."""
    n = round(SECONDS * SR)
    while True:
        start = int(rng.integers(max(1, y.shape[1] - n + SR)))
        piece = y[:, start : start + n]
        piece = np.pad(piece, ((0, 0), (0, n - piece.shape[1])))
        power = (piece[:, : n // 4410 * 4410].reshape(2, -1, 4410) ** 2).mean((0, 2))
        if np.mean(power > 1e-3 * (y**2).mean()) > 0.6:
            return piece


def _active_rms(y: np.ndarray) -> float:
    power = (y[:, : y.shape[1] // 4410 * 4410].reshape(2, -1, 4410) ** 2).mean((0, 2))
    return float(np.sqrt(np.median(power[power > 1e-3 * power.max()])))


def _read(path: pathlib.Path) -> np.ndarray:
    clip = files.read(path, stem=True)
    y = resample(clip.y, sr_in=clip.sr, sr_out=SR)
    return np.broadcast_to(y, (2, y.shape[1]))


def _network(checkpoint: str | None, pairs: np.ndarray) -> dict:
    from mashjax.tasks import mashup
    from mashjax.training.config import from_dict
    from mashjax.training.loading import read_checkpoint
    from mashjax.training.scoring import Scores

    weights = read_checkpoint(mashup.SHIPPED if checkpoint is None else checkpoint)
    cfg = from_dict(weights.metadata["config"]).model
    mono = pairs.mean(2)
    heard = resample(mono.reshape(-1, mono.shape[-1]), sr_in=SR, sr_out=cfg.sample_rate)
    batches = np.split(heard.reshape(len(pairs), 4, -1), range(8, len(pairs), 8))
    scores = mashup.evaluate(cfg, weights.params, weights.statistics, batches)
    table = Scores("mashup", scores, [str(number) for number in range(len(pairs))])
    return {**table.counts, **table.means()}


def _mixed(checkpoint: str | None, pairs: np.ndarray, *, duck: float) -> dict:
    """SI-SDR of what `mix` writes before mastering (its parts), beside the plain sum's."""
    from mashjax.mix import mix
    from mashjax.tasks.mashup.evaluate import si_sdr

    rows = []
    for lead1, backing1, lead2, backing2 in pairs:
        with tempfile.TemporaryDirectory() as folder:
            songs = [pathlib.Path(folder, f"song{k}.wav") for k in (1, 2)]
            for path, y in zip(songs, (lead1 + backing1, lead2 + backing2), strict=True):
                soundfile.write(path, (0.5 / np.abs(y).max() * y).T, SR, subtype="FLOAT")
            stems = pathlib.Path(folder, "stems")
            mix(*songs, align="none", lead=1, stems=stems, checkpoint=checkpoint, duck=duck)
            read = {p.stem: soundfile.read(p)[0].T for p in stems.glob("*.wav")}
        # What was wanted, at the levels that mix gave the songs.
        gains = [
            np.sum(read[f"song{k}"] * y) / np.sum(y * y)
            for k, y in ((1, lead1 + backing1), (2, lead2 + backing2))
        ]
        wanted = gains[0] * lead1 + gains[1] * backing2
        mixes = (read[f"{what}1"] + read[f"{what}2"] for what in ("song", "part"))
        rows.append([float(si_sdr(y.ravel(), wanted.ravel())) for y in mixes])
    plain, made = np.mean(rows, axis=0)
    worse = int(np.sum(np.diff(rows, axis=1) < 0))
    return {"examples": len(rows), "si_sdr_sum": plain, "si_sdr_model": made, "worse": worse}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint")
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mix", action="store_true")
    parser.add_argument("--duck", type=float, default=0.0, help="dB, of mix")
    args = parser.parse_args()
    pairs = make_pairs(args.pairs, seed=args.seed)
    if args.mix:
        scores = _mixed(args.checkpoint, pairs, duck=args.duck)
    else:
        scores = _network(args.checkpoint, pairs)
    print(json.dumps(scores, indent=1))


if __name__ == "__main__":
    main()
