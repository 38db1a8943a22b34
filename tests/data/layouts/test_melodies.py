import os
import pathlib
import shutil

import numpy as np
import pytest

from mashjax.data.batches import batches
from mashjax.data.control import told
from mashjax.data.layouts import melodies
from mashjax.data.layouts.finding import Beside
from mashjax.data.store import Settings, decode, open_store, verify
from mashjax.preprocess import preprocess

SOUNDFONT = os.environ.get("MASHJAX_SOUNDFONT", "/usr/share/sounds/sf2/FluidR3_GM.sf2")
pytestmark = pytest.mark.skipif(
    shutil.which("fluidsynth") is None or not pathlib.Path(SOUNDFONT).is_file(),
    reason="needs the program fluidsynth and a soundfont (MASHJAX_SOUNDFONT)",
)
SETTINGS = Settings(layout="melody", sample_rate=16000, seconds=4.0, clips_per_song=2)


@pytest.fixture
def made(pop909, tmp_path):
    for name in ("008", "009"):
        shutil.copytree(pop909 / "007", pop909 / name)
    summary = preprocess(pop909, tmp_path / "store", settings=SETTINGS, beside=Beside((SOUNDFONT,)))
    return summary, tmp_path / "store"


def test_a_store_of_melodies_has_leads_backings_and_what_is_sung(made):
    summary, path = made
    assert summary.examples == {"train": 6, "valid": 0, "test": 0}
    assert summary.pairs == summary.without_partner == 0
    assert verify(path) == []
    store = open_store(path)
    assert store.sources == ("lead", "backing", "notes")
    assert {example["lead"] for example in store.examples("train")} <= {"played", "singer"}
    rows = decode(store.read("train", np.arange(6)))
    for lead, backing, track in rows:
        said = told(track)
        assert lead.std() > 0.01
        assert backing.std() > 0.005
        assert 0.3 < said.voiced.mean() <= 1
        assert len(np.unique(said.note[said.note > 0])) > 1
        # What sounds is louder than what does not, by 10 dB at least.
        loud, rest = lead[said.voiced], lead[said.note == 0]
        assert len(rest) < 4000 or loud.std() > 3 * rest.std()
    batch = batches(store, split="train", seed=0, batch_size=2, samples=16000)(0)
    assert batch.shape == (2, 3, 16000)


def test_the_same_songs_give_the_same_store(made, pop909, tmp_path):
    preprocess(pop909, tmp_path / "again", settings=SETTINGS, beside=Beside((SOUNDFONT,)))
    assert open_store(tmp_path / "again").manifest_hash == open_store(made[1]).manifest_hash


def test_speech_is_a_lead_without_notes(pop909, tmp_path, monkeypatch):
    """Only the shares change: all of it is speech."""
    pytest.importorskip("pyworld")
    import soundfile

    voices = tmp_path / "voices"
    voices.mkdir()
    speech = np.random.default_rng(0).normal(0, 0.1, 48000)
    soundfile.write(voices / "somebody.wav", speech, 16000)
    monkeypatch.setattr(melodies, "PLAYED", 0.0)
    monkeypatch.setattr(melodies, "SUNG", 0.0)
    monkeypatch.setattr(melodies, "SPOKEN", 1.0)
    path = tmp_path / "store"
    preprocess(pop909, path, settings=SETTINGS, beside=Beside((SOUNDFONT,), voices=str(voices)))
    store = open_store(path)
    assert {example["lead"] for example in store.examples("train")} == {"speech"}
    rows = decode(store.read("train", np.arange(2)))
    assert rows[:, 0].std() > 0.05
    assert not rows[:, 2].any()
