"""A real store of synthetic pairs, the tiny config, and one compile cache for all runs."""

import importlib.util
import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import jax
import numpy as np
import pytest

from mashjax.data.store import Settings

ROOT = pathlib.Path(__file__).parents[2]
RATE, SECONDS = 8000, 1.0


@pytest.fixture(scope="session", autouse=True)
def compile_cache(tmp_path_factory):
    """Every run compiles the same step; the second one and those in processes read it."""
    folder = str(tmp_path_factory.mktemp("jax"))
    options = {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0.1,
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }
    before = {name: getattr(jax.config, name) for name in options}
    for name, value in options.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)
    yield folder
    for name, value in before.items():
        jax.config.update(name, value)
        del os.environ[name.upper()]


def write(make_store, path: pathlib.Path, *, seed: int = 0, held_out: int = 4) -> str:
    """Songs of one row: pulsing tones as leads, decaying noise as backings."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(RATE * SECONDS)) / RATE

    def lead():
        partials = [np.sin(2 * np.pi * rng.uniform(200, 900) * k * t) / k for k in (1, 2, 3)]
        return 0.1 * sum(partials) * (np.sin(2 * np.pi * rng.uniform(1, 3) * t) > 0)

    def backing():
        return 0.1 * rng.normal(size=len(t)) * np.exp(-8 * (t * rng.uniform(2, 4) % 1))

    def songs(number: int) -> list[np.ndarray]:
        return [np.clip([[lead(), backing()]], -1, 1) for _ in range(number)]

    splits = {"train": songs(8), "valid": songs(held_out), "test": songs(held_out)}
    return make_store(path, splits, settings=Settings(sample_rate=RATE, seconds=SECONDS))


@pytest.fixture(scope="session")
def store(tmp_path_factory, make_store):
    return write(make_store, tmp_path_factory.mktemp("stores") / "one")


@pytest.fixture(scope="session")
def other_store(tmp_path_factory, make_store):
    return write(make_store, tmp_path_factory.mktemp("stores") / "other", seed=1)


@pytest.fixture(scope="session")
def small_store(tmp_path_factory, make_store):
    """Of so few songs that none is held back."""
    return write(make_store, tmp_path_factory.mktemp("stores") / "small", held_out=0)


@pytest.fixture(scope="session")
def mashups_store(tmp_path_factory, make_store):
    """Labelled: half of song 1, and song 2 as it is; what the first stores hold is not needed."""
    rng = np.random.default_rng(2)
    t = np.arange(round(RATE * SECONDS)) / RATE

    def mashup():
        first = 0.2 * np.sin(2 * np.pi * rng.uniform(200, 900) * t)
        second = 0.1 * rng.normal(size=len(t))
        return np.clip([[0.5 * first + second, first, second]], -1, 1)

    settings = Settings(layout="labelled", sample_rate=RATE, seconds=SECONDS)
    splits = {split: [mashup() for _ in range(4)] for split in ("train", "valid", "test")}
    return make_store(tmp_path_factory.mktemp("stores") / "mashups", splits, settings=settings)


def load_config(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


@pytest.fixture
def tiny():
    return load_config("tiny")


@pytest.fixture(scope="session")
def get_config():
    return load_config


@pytest.fixture(scope="session")
def finished(tmp_path_factory, store):
    """The workdir of an uninterrupted run of configs/tiny.py."""
    from mashjax.training.loop import train

    workdir = tmp_path_factory.mktemp("runs") / "finished"
    outcome = train(load_config("tiny"), data=store, workdir=workdir)
    assert (outcome.step, outcome.stopped) == (150, False)
    return workdir


@pytest.fixture
def start_python() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts Python on so many virtual devices, its output to be read; killed with the test."""
    started = []

    def start(*arguments, devices: int = 1, **environment) -> subprocess.Popen:
        flags = f"--xla_force_host_platform_device_count={devices}"
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags} | environment,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def meeting_place() -> Callable[..., list[dict[str, str]]]:
    """The environment of each of so many processes that are to meet on this machine."""

    def environments(count: int = 2) -> list[dict[str, str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        common = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(count)}
        return [common | {"JAX_PROCESS_ID": str(number)} for number in range(count)]

    return environments
