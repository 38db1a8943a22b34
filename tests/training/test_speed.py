"""What a step uses of its devices."""

import jax
import jax.numpy as jnp
import pytest

from mashjax.training.mesh import data_mesh
from mashjax.training.speed import Utilisation, _peak


def test_utilisation_is_operations_per_second_of_the_peak(monkeypatch):
    monkeypatch.setattr("mashjax.training.speed._measured_peak", lambda: 1e9)
    x = jax.ShapeDtypeStruct((100, 100), jnp.float32)
    utilisation = Utilisation(data_mesh(1), lambda a, b: a @ b, x, x)
    assert utilisation.flops == 2 * 100**3
    assert utilisation(0.01) == pytest.approx(2e6 / 0.01 / 1e9)


def test_a_cpus_peak_is_measured():
    assert 1e8 < _peak(data_mesh(1)) < 1e14
