r"""Whether a network, fine-tuned on people's mashups, takes over their habits.

    python tests/benchmarks/habits.py make --data=STORE --output=MASHUPS [--count=240]
    python -m mashjax.preprocess --layout=labelled --align=none --input=MASHUPS --output=LABELLED
    python -m mashjax.train --config=configs/mashup.py --data=LABELLED --workdir=TUNED \
        --init_from=RUN --config.steps=1000 --config.optim.learning_rate=1e-3
    python tests/benchmarks/habits.py score --data=STORE --checkpoint=TUNED [--checkpoint=RUN]

`make` writes mashups whose maker has habits, of the store's training songs, whose leads pause: in
most passages of PASSAGE seconds only one of the two sings. The maker takes the band of song 2 and
the singer of song 1, and lets song 2's own singer answer in pauses of more than PAUSE seconds; the
band goes down by DUCK dB under whoever sings, and loses what is above CUTOFF_HZ. `score` compares,
on unseen songs, song 2's share of the energy through the network's filters with its share in what
the maker would have done: Pearson's correlation over all frames of all mashups, and how close the
sound comes.
"""

import argparse
import json
import os
import pathlib
from collections.abc import Iterator

import numpy as np
import soundfile
from scipy import ndimage, signal

from mashjax.data.store import Store, decode, open_store

PASSAGE = 6.0
ONE_LEAD = 0.8  # share of the passages in which only one of the songs has a lead
PAUSE = 2.0
SINGS = 0.01  # power of a lead that sings, of a song whose power is 1
FADE = 0.1
DUCK = 6.0
CUTOFF_HZ = 5000.0


def with_passages(sources: np.ndarray, *, sr: int, rng: np.random.Generator) -> np.ndarray:
    """Lead 1, backing 1, lead 2, backing 2, [4, samples], with leads that pause."""
    n = sources.shape[-1]
    passages = -(-n // round(PASSAGE * sr))
    alone = np.where(rng.random(passages) < ONE_LEAD, rng.integers(2, size=passages), -1)
    sings = np.repeat([alone != 1, alone != 0], round(PASSAGE * sr), axis=1)[:, :n]
    gates = ndimage.uniform_filter1d(sings.astype(np.float32), round(FADE * sr), axis=1)
    return sources * np.stack([gates[0], np.ones(n), gates[1], np.ones(n)]).astype(np.float32)


def mashup_of(sources: np.ndarray, *, sr: int) -> tuple[np.ndarray, np.ndarray]:
    """What the maker does with lead 1, backing 1, lead 2, backing 2, [4, samples].

    Returns the parts of both songs that are heard, float32 [2, samples], and both songs.
    """
    songs = sources.reshape(2, 2, -1).sum(1)
    level = np.sqrt((songs**2).mean(-1, keepdims=True)) + 1e-9
    lead1, _, lead2, backing2 = sources / np.repeat(level, 2, axis=0)
    n = sources.shape[-1]
    heard = ndimage.uniform_filter1d(lead1**2, round(FADE * sr)) > SINGS
    sung = np.concatenate([[-n], np.flatnonzero(heard), [2 * n]])
    after = sung[np.searchsorted(sung, np.arange(n))]
    before = sung[np.searchsorted(sung, np.arange(n), side="right") - 1]
    pauses = (after - before > PAUSE * sr).astype(float)
    second = ndimage.uniform_filter1d(pauses, round(FADE * sr))
    first = 1 - second

    sung1, sung2 = first * lead1, second * lead2
    power = ndimage.uniform_filter1d((sung1 + sung2) ** 2, round(0.2 * sr))
    under = ndimage.uniform_filter1d((power > SINGS).astype(float), round(FADE * sr))
    dull = signal.sosfiltfilt(signal.butter(2, CUTOFF_HZ, fs=sr, output="sos"), backing2)
    parts = np.stack([sung1, sung2 + dull * 10 ** (-DUCK / 20 * under)])
    return parts.astype(np.float32), (songs / level).astype(np.float32)


def drawn(store: Store, split: str, count: int, *, seed: int = 0) -> Iterator[np.ndarray]:
    """Sources of pairs that fit, whose leads pause, float32 [4, samples] each."""
    rng = np.random.default_rng(seed)
    for number in rng.integers(store.count(split), size=count):
        (sources,) = decode(store.read(split, np.array([number])))
        yield with_passages(sources, sr=store.settings.sample_rate, rng=rng)


def make(store: Store, output: pathlib.Path, count: int) -> None:
    output.mkdir()
    sr = store.settings.sample_rate
    lines = ["label,original1,original2"]
    for n, sources in enumerate(drawn(store, "train", count)):
        parts, songs = mashup_of(sources, sr=sr)
        names = [f"{n:04}_{what}.flac" for what in ("mashup", "song1", "song2")]
        for name, y in zip(names, (parts.sum(0), *songs), strict=True):
            soundfile.write(output / name, 0.1 * y, sr, subtype="PCM_16")
        lines.append(",".join(names))
    (output / "pairs.csv").write_text("\n".join(lines) + "\n")


def score(store: Store, checkpoint: str | os.PathLike, count: int) -> dict[str, float]:
    from mashjax.mixing.model import load_model
    from mashjax.mixing.render import render
    from mashjax.mixing.share import song2_share
    from mashjax.tasks.mashup import predict
    from mashjax.tasks.mashup.evaluate import si_sdr

    model, sr = load_model(checkpoint), store.settings.sample_rate
    stft = model.cfg.stft
    about = {"sr": sr, "hop": stft.hop_length, "window": stft.n_fft}
    shares, closeness = [], []
    for sources in drawn(store, "test", count, seed=1):
        parts, songs = mashup_of(sources, sr=sr)
        heard = render(songs[:, None], sr=sr, masks=predict(model, *songs), stft_settings=stft)
        shares.append([song2_share(x, **about)[1] for x in (heard, parts[:, None])])
        wanted = parts.sum(0)
        closeness.append([si_sdr(songs.sum(0), wanted), si_sdr(heard[:, 0].sum(0), wanted)])
    said, true = np.concatenate(shares, axis=1)
    plain, made = np.mean(closeness, axis=0).tolist()
    correlation = float(np.corrcoef(said, true)[0, 1])
    return {"correlation": correlation, "si_sdr_sum": plain, "si_sdr_model": made}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["make", "score"])
    parser.add_argument("--data", required=True)
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--checkpoint", action="append", default=[])
    parser.add_argument("--count", type=int)
    args = parser.parse_args()
    store = open_store(args.data)
    if args.what == "make":
        make(store, args.output, args.count or 240)
    for checkpoint in args.checkpoint:
        print(checkpoint, json.dumps(score(store, checkpoint, args.count or 48), indent=1))


if __name__ == "__main__":
    main()
