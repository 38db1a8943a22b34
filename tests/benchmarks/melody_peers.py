"""What others hear in voices: run by the Python of an environment that has them.

    python tests/benchmarks/melody_peers.py METHOD FILE.wav ...

METHOD is pyin (librosa), basic-pitch or swift-f0. Beside each file a FILE.METHOD.npz is written:
notes [n, 3] (start and end in seconds, pitch as a MIDI number), times [frames] in seconds and
f0 [frames] in Hz, negative where unvoiced and 0 where it has none (empty where a method has none at
all), and its processor seconds.

    python3.12 -m venv peers && peers/bin/pip install librosa onnxruntime resampy pretty_midi
        mir_eval scikit-learn 'setuptools<81' swift-f0
    peers/bin/pip install --no-deps basic-pitch==0.4.0
"""

import itertools
import pathlib
import sys
import time

import numpy as np

NONE = np.zeros(0)


def pyin(path: pathlib.Path):
    """librosa's pYIN; a run of frames that round to one semitone is a note, from 50 ms on."""
    import librosa

    y, sr = librosa.load(path, sr=22050)
    f0, voiced, _ = librosa.pyin(y, fmin=65.4, fmax=1046.5, sr=sr, frame_length=2048, fill_na=None)
    times = librosa.times_like(f0, sr=sr)
    hop = times[1] - times[0] if len(times) > 1 else 0.0
    pitch = np.where(voiced, np.round(librosa.hz_to_midi(np.where(voiced, f0, 440))), -1)
    edges = np.flatnonzero(np.diff(pitch, prepend=-2, append=-2))
    notes = [
        (times[a] - hop / 2, times[b - 1] + hop / 2, pitch[a])
        for a, b in itertools.pairwise(edges)
        if pitch[a] >= 0 and (b - a) * hop >= 0.05
    ]
    return notes, times, np.where(voiced, f0, -f0)


def basic_pitch(path: pathlib.Path):
    """Spotify's network, in the range of voices, as its command has it by default."""
    import basic_pitch as package
    from basic_pitch.inference import Model, predict

    folder = pathlib.Path(package.__file__).parent / "saved_models" / "icassp_2022"
    global _model
    _model = _model or Model(folder / "nmp.onnx")
    _, _, events = predict(path, _model)
    return [(start, end, pitch) for start, end, pitch, *_ in sorted(events)], NONE, NONE


def swift_f0(path: pathlib.Path):
    """SwiftF0 and its own segmentation, with pitches as it measures them."""
    import swift_f0 as package

    global _model
    _model = _model or package.SwiftF0()
    result = _model.detect_file(str(path))
    notes = [
        (n.start, n.end, 69 + 12 * np.log2(n.pitch_hz / 440)) for n in package.segment_notes(result)
    ]
    f0 = np.nan_to_num(np.asarray(result.pitch_hz, float))
    voiced = np.asarray(result.confidence) >= 0.5
    return notes, np.asarray(result.timestamps, float), np.where(voiced, f0, -f0)


METHODS = {"pyin": pyin, "basic-pitch": basic_pitch, "swift-f0": swift_f0}
_model = None


def main() -> None:
    method = sys.argv[1]
    for name in sys.argv[2:]:
        path = pathlib.Path(name)
        began = time.process_time()
        notes, times, f0 = METHODS[method](path)
        seconds = time.process_time() - began
        notes = np.array(notes, float).reshape(-1, 3)
        out = path.with_suffix(f".{method}.npz")
        np.savez(out, notes=notes, times=times, f0=f0, seconds=seconds)


if __name__ == "__main__":
    main()
