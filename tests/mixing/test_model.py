"""The network that ships, on songs that it has never seen."""

import dataclasses

import numpy as np
import pytest

from mashjax.audio import files
from mashjax.audio.loudness import match
from mashjax.audio.resample import resample, to_mono
from mashjax.mix import mix
from mashjax.mixing.demo import SR, demo_parts
from mashjax.mixing.model import load_model
from mashjax.mixing.pipeline import WORKING_LUFS
from mashjax.mixing.render import render
from mashjax.tasks.mashup import predict


@pytest.fixture(scope="module")
def model():
    return load_model()


def si_sdr(estimate: np.ndarray, wanted: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019)."""
    estimate, wanted = estimate.ravel().astype(np.float64), wanted.ravel().astype(np.float64)
    wanted = wanted * (estimate @ wanted) / (wanted @ wanted)
    return 10 * np.log10(np.sum(wanted**2) / np.sum((estimate - wanted) ** 2))


def test_the_mashup_is_nearer_to_voice_over_band_than_the_sum_is(tmp_path):
    (voice, piano), (_, band) = demo_parts(1), demo_parts(2)
    samples = min(voice.shape[1], band.shape[1]) // SR * SR
    songs = [(voice + piano)[:, :samples], band[:, :samples]]
    for k, song in enumerate(songs, start=1):
        files.write(tmp_path / f"{k}.wav", song, sr=SR)
    mix(tmp_path / "1.wav", tmp_path / "2.wav", align="none", lead=1, stems=tmp_path / "stems")
    part1, part2 = (files.read(tmp_path / "stems" / f"part{k}.wav").y for k in (1, 2))
    gain1, gain2 = (match(song, sr=SR, lufs=WORKING_LUFS)[1] for song in songs)
    wanted = gain1 * voice[:, :samples] + gain2 * songs[1]
    plain = gain1 * songs[0] + gain2 * songs[1]
    assert si_sdr(part1 + part2, wanted) > si_sdr(plain, wanted) + 3
    assert si_sdr(part1, voice[:, :samples]) > si_sdr(songs[0], voice[:, :samples]) + 3


def test_no_seam_where_blocks_meet(model, demo_songs):
    """A block's boundary is within 0.1 dB of a run in one piece."""
    rate = model.cfg.sample_rate
    mono = [resample(to_mono(y), sr_in=SR, sr_out=rate) for y in demo_songs]
    frames = model.cfg.stft.frames(len(mono[0]))
    short = dataclasses.replace(model, cfg=dataclasses.replace(model.cfg, block_frames=128))
    whole = dataclasses.replace(model, cfg=dataclasses.replace(model.cfg, block_frames=frames))
    parts = [
        render(
            np.stack(mono)[:, None], sr=rate, masks=predict(m, *mono), stft_settings=model.cfg.stft
        )
        for m in (short, whole)
    ]
    hop = model.cfg.hop_length
    for boundary in range(128, frames - 2, 128):
        around = slice((boundary - 2) * hop, (boundary + 2) * hop)
        for song in range(2):
            level = [10 * np.log10(np.mean(p[song, :, around] ** 2) + 1e-12) for p in parts]
            assert abs(level[0] - level[1]) < 0.1
    np.testing.assert_allclose(parts[0], parts[1], atol=1e-4)
