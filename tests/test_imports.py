"""What a command loads: training machines have no sound libraries, and a mix starts at once."""

import subprocess
import sys

import pytest

SOUND = {"soundfile", "librosa", "matplotlib", "python_stretch", "pyloudnorm", "mido"}


def loaded_by(*modules: str) -> set[str]:
    """Top-level names of all that importing `modules` loads, in a process of its own."""
    code = f"import sys, {', '.join(modules)}; print(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_training_path_needs_no_sound_library():
    found = loaded_by("mashjax.training.loop", "mashjax.data.batches", "mashjax.tasks.mashup")
    assert not found & SOUND
    assert {"jax", "tensorstore", "optax"} <= found  # the check does see what is loaded


@pytest.mark.parametrize(
    "module",
    [
        "mashjax.mix",
        "mashjax.genre",
        "mashjax.melody",
        "mashjax.preprocess",
        "mashjax.collect",
        "mashjax.match",
        "mashjax.library.finding",
        "mashjax.evaluate",
        "mashjax.reconstruct",
        "mashjax.service.app",
    ],
)
def test_a_command_imports_jax_only_when_it_needs_it(module):
    """A refusal of bad input takes tenths of a second, not the seconds that JAX takes."""
    assert "jax" not in loaded_by(module)
