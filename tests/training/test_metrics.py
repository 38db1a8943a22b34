"""metrics.jsonl in a folder and in a bucket, TensorBoard's files, and traces."""

import json
import pathlib

import jax
import numpy as np
import pytest

from mashjax.errors import UserError
from mashjax.training.board import Board, picture
from mashjax.training.metrics import MetricsFile
from mashjax.training.profiling import WARM_UP, profiled
from mashjax.training.reporting import clock


def test_lines_after_the_step_it_resumes_from_go(tmp_path):
    metrics = MetricsFile(str(tmp_path / "run"), resume_step=0)
    for step in (5, 10, 15):
        metrics.write(step, loss=0.5)
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('{"step": 7, "lo')  # as a kill leaves it
    MetricsFile(str(tmp_path / "run"), resume_step=10).write(12, loss=0.25)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [5, 10, 12]


def test_an_address_gets_them_when_told_to(tmp_path, monkeypatch):
    """Where nothing can be appended to. An address of a folder stands for a bucket."""
    monkeypatch.setattr("mashjax.training.metrics.local_folder", lambda where: None)
    where = f"file://{tmp_path}/run"
    metrics = MetricsFile(where, resume_step=0)
    metrics.write(5, loss=0.5)
    path = tmp_path / "run" / "metrics.jsonl"
    assert path.read_text() == ""
    metrics.flush()
    assert path.read_text() == '{"step": 5, "loss": 0.5}\n'
    written = path.stat().st_mtime_ns
    metrics.flush()  # nothing new
    assert path.stat().st_mtime_ns == written


def events(folder: pathlib.Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*tfevents*"))


def test_the_board_has_curves_sounds_and_pictures(tmp_path):
    t = np.arange(8000) / 8000
    board = Board(str(tmp_path), resume_step=0)
    board.scalars(3, {"loss": 0.5}, group="train")
    board.sounds(3, {"mashup": 0.5 * np.sin(2 * np.pi * 500 * t)}, sample_rate=8000)
    board.close()
    written = events(tmp_path / "tensorboard")
    assert b"train/loss" in written
    assert b"sample/mashup" in written
    assert b"RIFF" in written and b"WAVE" in written
    assert b"PNG" in written
    with pytest.raises(UserError, match="--tensorboard: gs://bucket/run is no folder"):
        Board("gs://bucket/run", resume_step=0)


def test_a_picture_shows_a_tone_where_it_is():
    t = np.arange(8000) / 8000
    grey = picture(np.sin(2 * np.pi * 1000 * t), rows=257)
    assert grey.shape[0] == 257 and grey.min() >= 0 and grey.max() == pytest.approx(1)
    # 1000 of 4000 Hz: three quarters of the way down.
    assert np.argmax(grey.mean(1)) == 256 - 64


def test_a_trace_of_so_many_steps(tmp_path):
    work = jax.jit(lambda x: x @ x)
    with profiled(str(tmp_path), steps=2, first=10) as after:
        for done in range(11, 11 + WARM_UP + 4):
            after(done, work(np.ones((64, 64), np.float32)))
    (trace,) = (tmp_path / "profile").rglob("*.xplane.pb")
    assert trace.stat().st_size > 1000
    with pytest.raises(UserError, match="no folder"), profiled("gs://bucket/run", steps=1, first=0):
        pass
    with profiled("gs://bucket/run", steps=0, first=0) as after:
        after(1, None)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0:00"), (61, "1:01"), (3599.6, "1:00:00"), (36e4, "100:00:00")]
)
def test_durations(seconds, said):
    assert clock(seconds) == said
