"""The melodies of voices: ours, and what others hear in the same voices.

    python tests/benchmarks/melody.py [--data=STORE [--examples=40] [--split=test]]
        [--peers=PYTHON] [--checkpoint=DIR] [--speed]

Two sets of voices: the examples of a store of `preprocess --layout=melody` whose songs no training
has seen, as they are, and the two real ones of $MASHJAX_MUSIC/vocals_solo with the reference notes
of `melody_reference`. --peers is the Python of an environment that `melody_peers.py` describes.

Of notes: F of onset and pitch, and of onset alone (mir_eval; onsets within 50 ms, pitches within 50
cents). Of frames: raw pitch accuracy as mir_eval defines it (within 50 cents where the reference is
voiced; a pitch counts although its frame is called unvoiced, for all that name one, which all but
basic-pitch do), the same where such frames are wrong (pitch_and_voicing), and voicing false alarm
(the share of frames without a note that are said to be voiced). Notes of all examples are counted
together. --speed: processor seconds of a song of four minutes, and peak memory.
"""

import argparse
import functools
import itertools
import json
import os
import pathlib
import resource
import subprocess
import tempfile
import time

import numpy as np
import soundfile

from mashjax.mixing.hearing import Heard, hear
from mashjax.tasks import melody
from mashjax.training.loading import read_checkpoint

MUSIC = pathlib.Path(os.environ.get("MASHJAX_MUSIC", "../shared/music"))
REFERENCE = pathlib.Path(__file__).parent / "melody_reference"
PEERS = ("pyin", "basic-pitch", "swift-f0")
ONSET, CENTS = 0.05, 50.0


def of_store(path: str, *, split: str, examples: int):
    """(samples, rate, notes [n, 3], MIDI pitch of frames 10 ms apart, NaN where there is none, and
    whether a note sounds there) of examples that are spread over the split."""
    from mashjax.data.control import told
    from mashjax.data.store import decode, open_store

    store = open_store(path)
    sr = store.settings.sample_rate
    count = store.count(split)
    for index in np.linspace(0, count - 1, min(examples, count)).astype(int):
        lead, _, track = decode(store.read(split, np.array([index])))[0]
        says = told(track)
        edges = np.flatnonzero(np.diff(says.side, prepend=0, append=0))
        notes = [
            (a / sr, b / sr, int(says.note[a]))
            for a, b in itertools.pairwise(edges)
            if says.side[a] and (b - a) / sr > 0.03
        ]
        at = slice(None, None, sr // 100)
        pitch = np.where(says.voiced, says.note + says.deviation, np.nan)[at]
        yield lead, sr, np.array(notes).reshape(-1, 3), pitch, (says.side != 0)[at]


def of_clips():
    """Likewise of the real voices; their frames are not known."""
    for path in sorted(REFERENCE.glob("*.csv")):
        y, sr = soundfile.read(MUSIC / "vocals_solo" / f"{path.stem}.wav", dtype="float32")
        notes = np.loadtxt(path, delimiter=",", skiprows=1)
        yield y, sr, notes, None, None


def ours(y: np.ndarray, sr: int, checkpoint: str | None):
    """The notes, frames' times, their pitch (MIDI) and whether they are voiced."""
    heard = hear(y, sr=sr, checkpoint=checkpoint)
    model = _model(checkpoint)
    return _notes(heard), heard.times, melody.predict(model, y, sr=sr).f0, np.isfinite(heard.f0)


@functools.cache
def _model(checkpoint: str | None):
    folder = str(melody.SHIPPED) if checkpoint is None else checkpoint
    return melody.from_weights(read_checkpoint(folder), name=folder)


def _notes(heard: Heard) -> np.ndarray:
    return np.array([(n.start, n.end, n.pitch) for n in heard.notes], float).reshape(-1, 3)


def matched(reference: np.ndarray, found: np.ndarray) -> tuple[int, int]:
    """How many notes have the right onset and pitch, and how many the right onset."""
    from mir_eval.transcription import match_note_onsets, match_notes

    if not len(reference) or not len(found):
        return 0, 0
    hz = [440 * 2 ** ((x[:, 2] - 69) / 12) for x in (reference, found)]
    spans = [np.maximum(x[:, :2], [0, 0.001]) for x in (reference, found)]
    for x in spans:
        x[:, 1] = np.maximum(x[:, 1], x[:, 0] + 0.01)
    both = match_notes(
        spans[0],
        hz[0],
        spans[1],
        hz[1],
        onset_tolerance=ONSET,
        pitch_tolerance=CENTS,
        offset_ratio=None,
    )
    return len(both), len(match_note_onsets(spans[0], spans[1], onset_tolerance=ONSET))


def scores(truths, founds) -> dict[str, float]:
    """Of all sounds together; founds: (notes, times, MIDI pitch and voicing of these times)."""
    right = onsets = known = said = hit = sure = voiced = alarms = silent = 0
    for (_, _, notes, pitch, sounds), (found, times, f0, says) in zip(truths, founds, strict=True):
        both, begins = matched(notes, found)
        right, onsets = right + both, onsets + begins
        known, said = known + len(notes), said + len(found)
        if pitch is None or not len(times):
            continue
        near = np.abs(np.arange(len(pitch))[:, None] * 0.01 - times).argmin(axis=1)
        truly = np.isfinite(pitch)
        close = np.abs(f0[near] - pitch)[truly] < CENTS / 100
        voiced += truly.sum()
        hit += close.sum()
        sure += (close & says[near][truly]).sum()
        silent += (~sounds).sum()
        alarms += says[near][~sounds].sum()
    result = {
        "onset_pitch_f": 2 * right / max(known + said, 1),
        "precision": right / max(said, 1),
        "recall": right / max(known, 1),
        "onset_f": 2 * onsets / max(known + said, 1),
        "notes": known,
        "said": said,
    }
    if voiced:
        result |= {"raw_pitch_accuracy": hit / voiced, "pitch_and_voicing": sure / voiced}
        result |= {"false_alarm": alarms / max(silent, 1)}
    return {name: round(float(x), 3) for name, x in result.items()}


def peers(python: str, method: str, truths) -> tuple[list, float]:
    """What a peer finds in each sound, and its processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder, f"{k}.wav") for k in range(len(truths))]
        for path, (y, sr, *_) in zip(paths, truths, strict=True):
            soundfile.write(path, y, sr)
        script = pathlib.Path(__file__).with_name("melody_peers.py")
        command = [python, "-W", "ignore", str(script), method, *map(str, paths)]
        subprocess.run(command, check=True, capture_output=True)
        said = [dict(np.load(path.with_suffix(f".{method}.npz"))) for path in paths]
    founds = []
    for x in said:
        hz = np.abs(x["f0"])
        pitch = np.where(hz > 0, 69 + 12 * np.log2(np.maximum(hz, 1) / 440), np.nan)
        founds.append((x["notes"], x["times"], pitch, x["f0"] > 0))
    return founds, float(sum(x["seconds"] for x in said))


def speed(checkpoint: str | None) -> dict[str, float]:
    """Of a song of four minutes, with everything that the command does after its start."""
    from mashjax.audio.files import Clip
    from mashjax.mixing.demo import SR, demo_parts
    from mashjax.mixing.melody import Options, make_melody

    y = demo_parts(1)[0]
    options = Options(checkpoint=checkpoint, chords=True, quantise="1/16")
    make_melody(Clip(y[:, : 5 * SR], SR), name="start", options=options)
    song = np.tile(y, 1 + 240 * SR // y.shape[1])[:, : 240 * SR]
    began = time.process_time()
    made = make_melody(Clip(song, SR), name="song", options=options)
    spent = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "processor_seconds": round(spent, 1),
        "times_real_time_on_2_cores": round(2 * 240 / spent, 1),
        "peak_gib": round(peak, 2),
        "notes": len(made.right),
        "lufs": made.report["output"]["lufs"],
        "true_peak_dbtp": made.report["output"]["true_peak_dbtp"],
        "samples_apart": made.y.shape[1] - song.shape[1],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data")
    parser.add_argument("--split", default="test")
    parser.add_argument("--examples", type=int, default=40)
    parser.add_argument("--peers")
    parser.add_argument("--checkpoint")
    parser.add_argument("--speed", action="store_true")
    arguments = parser.parse_args()
    sets = {"real": list(of_clips())}
    if arguments.data:
        count = arguments.examples
        sets["store"] = list(of_store(arguments.data, split=arguments.split, examples=count))
    for name, truths in sets.items():
        found = [ours(y, sr, arguments.checkpoint) for y, sr, *_ in truths]
        seconds = sum(len(y) / sr for y, sr, *_ in truths)
        table = {"mashjax": scores(truths, found)}
        for method in PEERS if arguments.peers else ():
            founds, spent = peers(arguments.peers, method, truths)
            table[method] = scores(truths, founds) | {"cpu_per_s": round(spent / seconds, 3)}
        print(json.dumps({name: table, "seconds": round(seconds, 1)}, indent=1), flush=True)
    if arguments.speed:
        print(json.dumps({"speed": speed(arguments.checkpoint)}, indent=1))


if __name__ == "__main__":
    main()
