"""Two routes from a voice to a piano: its notes, played, and its spectrogram, painted.

    python tests/benchmarks/melody_routes.py --checkpoint=RUN [--data=STORE [--examples=24]]
        [--melody=DIR] [--peers=PYTHON] [--out=DIR]

RUN is of configs/melody_spectrogram.py; the other route is the melody network that ships, or
--melody. The clips and their notes are those of `melody.py` (examples of a store of
--layout=melody, and the real voices of $MASHJAX_MUSIC), and so is PYTHON, whose basic-pitch writes
down what it hears in each piano: a judge that knows neither route. Beside both stand the piano that
plays the true notes, and that piano with phases found anew, which is what Griffin and Lim's
algorithm costs.

Of notes: onset and pitch as in `melody.py`. Of sounds: log-spectral distance from the true piano in
dB (root mean square over bins, mean over frames), and the squared error of all magnitudes beside
their own square, in dB. --out writes all sounds.
"""

import argparse
import json
import pathlib

import jax.numpy as jnp
import numpy as np
from melody import of_clips, of_store, peers, scores

from mashjax.audio import files
from mashjax.audio.resample import resample
from mashjax.audio.stft import stft
from mashjax.data.control import written
from mashjax.mixing.hearing import hear
from mashjax.tasks.melody_spectrogram.model import UNIT, looks, sound
from mashjax.tasks.melody_spectrogram.piano import piano
from mashjax.tasks.melody_spectrogram.playing import ModelState, from_weights, play
from mashjax.training.loading import read_checkpoint

JUDGE = "basic-pitch"
FLOOR = 1e-4  # of a sine of full scale: about 60 dB below the loudest partials


def struck(model: ModelState, notes: np.ndarray, *, samples: int) -> np.ndarray:
    """The piano of notes [n, 3], as training has it: [samples]."""
    sr = model.cfg.sample_rate
    spans = [(round(a * sr), min(round(b * sr), samples), round(p)) for a, b, p in notes]
    track = written(spans, np.zeros(samples), np.ones(samples, bool))
    return np.asarray(piano(model.cfg, jnp.asarray(track[None])))[0]


def anew(model: ModelState, y: np.ndarray) -> np.ndarray:
    """The same sound with other phases, [samples]."""
    look = looks(model.cfg, model.statistics, jnp.asarray(y[None]))
    return np.asarray(sound(model.cfg, model.statistics, look, length=len(y)))[0]


def apart(model: ModelState, sounds: list[np.ndarray], true: list[np.ndarray]) -> dict[str, float]:
    """How far spectrograms of sounds are from those of the true pianos, all clips together."""
    logs, off, whole = [], 0.0, 0.0
    for pair in zip(sounds, true, strict=True):
        a, b = (
            np.abs(np.asarray(stft(x, n_fft=model.cfg.n_fft, hop_length=model.cfg.hop_length)))
            / (UNIT * model.cfg.n_fft)
            for x in pair
        )
        db = 20 * np.log10(np.maximum(a, FLOOR) / np.maximum(b, FLOOR))
        logs.append(np.sqrt((db**2).mean(axis=1)))
        off, whole = off + np.sum((a - b) ** 2), whole + np.sum(b**2)
    error = -np.inf if not off else 10 * np.log10(off / whole)
    return {"log_spectral_db": float(np.concatenate(logs).mean()), "error_db": float(error)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--data")
    parser.add_argument("--split", default="test")
    parser.add_argument("--examples", type=int, default=24)
    parser.add_argument("--melody")
    parser.add_argument("--peers")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    model = from_weights(read_checkpoint(arguments.checkpoint), name=arguments.checkpoint)
    sr = model.cfg.sample_rate
    sets = {"real": list(of_clips())}
    if arguments.data:
        count = arguments.examples
        sets["store"] = list(of_store(arguments.data, split=arguments.split, examples=count))
    for name, clips in sets.items():
        pianos: dict[str, list[np.ndarray]] = {}
        for y, rate, notes, *_ in clips:
            voice = resample(y[None], sr_in=rate, sr_out=sr)[0]
            heard = [
                (n.start, n.end, n.pitch)
                for n in hear(y, sr=rate, checkpoint=arguments.melody).notes
            ]
            true = struck(model, notes, samples=len(voice))
            for route, one in {
                "true notes": true,
                "true notes, phases found": anew(model, true),
                "notes": struck(model, heard, samples=len(voice)),
                "painted": play(model, voice, sr=sr),
            }.items():
                pianos.setdefault(route, []).append(one)
        table: dict[str, dict[str, float]] = {}
        for route, sounds in pianos.items():
            far = apart(model, sounds, pianos["true notes"])
            table[route] = {key: round(value, 2) for key, value in far.items()}
            if arguments.peers:
                truths = [
                    (y, sr, clip[2], None, None) for y, clip in zip(sounds, clips, strict=True)
                ]
                table[route] |= scores(truths, peers(arguments.peers, JUDGE, truths)[0])
            for number, y in enumerate(sounds if arguments.out else ()):
                arguments.out.mkdir(parents=True, exist_ok=True)
                path = arguments.out / f"{name} {number} {route}.wav"
                files.write(path, np.clip(y[None], -1, 1), sr=sr)
        print(json.dumps({name: table, "clips": len(clips)}, indent=1), flush=True)


if __name__ == "__main__":
    main()
