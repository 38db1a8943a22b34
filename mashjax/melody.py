r"""Turn a voice into a piano melody of equal length.

  python -m mashjax.melody VOICE --out=piano.wav --midi=piano.mid
  python -m mashjax.melody SONG --from=mix --chords
  python -m mashjax.melody --demo

VOICE is a wav, mp3, flac or ogg file of a lead voice; the piano has its sample rate.
"""

import contextlib
import functools
import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import flags

from mashjax import cli
from mashjax.audio import files
from mashjax.audio.loudness import TARGET_LUFS
from mashjax.errors import UserError
from mashjax.mixing.demo import SR, demo_parts
from mashjax.mixing.melody import NO_VOICE, PER_BEAT, Melody, Options, make_melody
from mashjax.mixing.outputs import Outputs, write_report, write_sound

_DECIDE = (
    "checkpoint",
    "quantise",
    "key",
    "transpose",
    "simplify",
    "chords",
    "soundfont",
    "loudness",
)
_WRITE = ("out", "midi", "plot", "report")


def melody(
    voice: str | os.PathLike,
    *,
    out: str | os.PathLike | None = None,
    midi: str | os.PathLike | None = None,
    plot: str | os.PathLike | None = None,
    report: str | os.PathLike | None = None,
    source: str = Options.source,
    checkpoint: str | os.PathLike | None = None,
    quantise: str = Options.quantise,
    key: str = Options.key,
    transpose: int = Options.transpose,
    simplify: float = Options.simplify,
    chords: bool = Options.chords,
    soundfont: str | os.PathLike | None = None,
    loudness: float = TARGET_LUFS,
    strict: bool = False,
    progress: Callable[[str], None] = lambda stage: None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Play what a voice sings on a piano.

    Args:
      voice: path of an audio file.
      out: where to write the piano; the ending says the format. None: nowhere.
      midi: where to write its notes as a MIDI file.
      plot: where to write a PNG of the voice's spectrogram and pitch, and the notes.
      report: where to write the report as JSON.
      source: "voice", or "mix": a whole song, whose lead is taken by the mashup network's mask.
      checkpoint: folder of an exported or training checkpoint; None: the one shipped. One of
        configs/melody_spectrogram.py paints the piano: then there are no notes to write or arrange.
      quantise: "off", "1/8" or "1/16": notes begin and end on these parts of the song's bars,
        whose tempo stays constant.
      key: "off", "auto" (the song's own), or one such as "D:minor": notes move to its scale.
      transpose: semitones.
      simplify: 0..1, how many beats lie between two notes at least; shorter notes between them go.
      chords: add a left hand, a chord for each bar.
      soundfont: a soundfont that FluidSynth plays; None: the piano of this package.
      loudness: LUFS of the result; its true peak is at most -1 dBTP.
      strict: raise an error where no voice is found.
      progress: called with the name of each stage.

    Returns:
      The samples float32 [channels, samples], with the voice's sample rate, length and channels,
      and the report. Its `notes` are in seconds and MIDI numbers, before the piano's; where nothing
      is sung there are none, the samples are 0, and `found` is "no voice found".

    Raises:
      UserError: an input that cannot be used, or an output that cannot be written; then
        no file has been written at all.
    """
    options = Options(
        checkpoint=checkpoint,
        source=source,
        quantise=quantise,
        key=key,
        transpose=transpose,
        simplify=simplify,
        chords=chords,
        soundfont=soundfont,
        loudness=loudness,
    )
    path = pathlib.Path(voice)
    places = [None if x is None else pathlib.Path(x) for x in (out, plot, report, midi)]
    outputs = Outputs(out=places[0], plot=places[1], report=places[2], midi=places[3])
    outputs.check([path])
    progress("reading the voice")
    clip = files.read(path, stem=True)
    outputs.accept(clip.sr, clip.y.shape[0])
    make = _maker(checkpoint, midi=midi, plot=plot)
    made = make(clip, name=os.fspath(voice), options=options, progress=progress)
    if strict and made.report["found"] == NO_VOICE:
        raise UserError(f"{path}: {NO_VOICE}")
    progress("writing")
    with contextlib.ExitStack() as stack:
        output = made.report["output"]
        y = write_sound(made.y, outputs, stack, sr=made.sr, output=output)
        if outputs.midi is not None:
            made.write_midi(stack.enter_context(files.replacing(outputs.midi)))
        if outputs.plot is not None:
            from mashjax.mixing.plot import draw_melody

            draw_melody(made, stack.enter_context(files.replacing(outputs.plot)))
        write_report(made.report, outputs, stack)
    return y, made.report


def _maker(
    checkpoint: str | os.PathLike | None, **of_notes: str | os.PathLike | None
) -> Callable[..., Melody]:
    """What makes a piano: notes that are heard and played or, where a checkpoint paints, that.

    of_notes: outputs that only the first can write, by name. Raises UserError where one is asked of
    the second.
    """
    if checkpoint is None:
        return make_melody
    from mashjax.mixing import painting  # JAX takes seconds

    model = painting.painter_of(checkpoint)
    if model is None:
        return make_melody
    for name in (name for name, path in of_notes.items() if path is not None):
        raise UserError(f"{checkpoint}: {painting.NO_NOTES}; leave --{name} out")
    return functools.partial(painting.paint_melody, model=model)


def _main(arguments: Sequence[str]) -> None:
    f = flags.FLAGS
    asked: dict[str, Any] = {name: f[name].value for name in _DECIDE}
    asked |= {"source": f["from"].value, "strict": f.strict, "progress": cli.Progress()}
    written: dict[str, Any] = {name: f[name].value for name in _WRITE}
    if f.demo:
        if arguments:
            raise UserError(f"--demo sings itself; leave {arguments[0]!r} out")
        if f.checkpoint is None:  # of another's, who knows whether it hears notes
            written["midi"] = written["midi"] or "piano.mid"
            written["plot"] = written["plot"] or "piano.png"
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "demo voice.wav")
            files.write(path, demo_parts(1)[0], sr=SR)
            _, report = melody(path, **asked, **written)
    else:
        if len(arguments) != 1:
            raise UserError(f"needs one voice, got {len(arguments)}; see --help")
        _, report = melody(arguments[0], **asked, **written)
    _print(report, [path for path in written.values() if path])


def _print(report: dict[str, Any], written: list[str]) -> None:
    if "note" in report["voice"]:
        print(f"note: {report['voice']['path']}: {report['voice']['note']}")
    for decision, words in report["decisions"].items():
        print(f"{decision}: {words}")
    output = report["output"]
    level = ""
    if output["lufs"] is not None:
        level = f", {output['lufs']:.1f} LUFS, {output['true_peak_dbtp']:.1f} dBTP"
    print(
        f"{report['found']}; {', '.join(written)}: {output['seconds']:.1f} s, "
        f"{output['sample_rate']} Hz, {output['channels']} channels{level}"
    )


def _define_flags() -> None:
    flags.DEFINE_string("out", "piano.wav", "The piano; its ending says the format.")
    flags.DEFINE_string("midi", None, "Its notes as a MIDI file.")
    flags.DEFINE_string("plot", None, "PNG of the voice, its pitch, and the notes.")
    flags.DEFINE_string("report", None, "JSON of what was heard and decided.")
    flags.DEFINE_enum(
        "from", "voice", ["voice", "mix"], "mix: a whole song, whose lead is taken out of it."
    )
    flags.DEFINE_string("checkpoint", None, "Checkpoint folder; default: the one shipped.")
    flags.DEFINE_enum(
        "quantise", "off", ["off", *PER_BEAT], "Notes begin and end on these parts of the bars."
    )
    flags.DEFINE_string("key", "off", "auto, off, or a key (D:minor) to whose scale notes move.")
    flags.DEFINE_integer("transpose", 0, "Semitones.")
    flags.DEFINE_float(
        "simplify", 0.0, "Beats between two notes at least.", lower_bound=0, upper_bound=1
    )
    flags.DEFINE_bool("chords", False, "Add a left hand.")
    flags.DEFINE_string("soundfont", None, "A soundfont (.sf2) for FluidSynth to play.")
    flags.DEFINE_float("loudness", -14.0, "LUFS of the result.", lower_bound=-40, upper_bound=-5)
    flags.DEFINE_bool("strict", False, "Fail where no voice is found.")
    flags.DEFINE_bool("demo", False, "Play what a voice made on the spot sings.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
