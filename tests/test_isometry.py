"""Jacobians of deep nets beside what free probability expects of them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxact.diagnostics.isometry import (
    DeepNet,
    critical,
    expected_relative_variance,
    relative_variance,
    resolution,
)
from flaxact.errors import InputError


@pytest.mark.sampled(5)
@pytest.mark.parametrize("orthogonal", [True, False])
@pytest.mark.parametrize("act", ["identity", "relu", "tanh"])
def test_spectra_are_as_wide_as_expected(act, orthogonal):
    net = critical(act, 4, 100, orthogonal=orthogonal, bias_std=0.05 if act == "tanh" else 0.0)
    actual = np.mean([relative_variance(net.jacobian(seed)) for seed in range(6)])
    assert actual == pytest.approx(expected_relative_variance(net), rel=0.15, abs=1e-5)


def test_what_is_expected_in_closed_form():
    def wide(act, orthogonal):
        return DeepNet(act, 10, 8, orthogonal, weight_std=1.0, bias_std=0.0, q=0.3)

    assert expected_relative_variance(wide("identity", True)) == 0
    assert expected_relative_variance(wide("identity", False)) == 10
    assert expected_relative_variance(wide("relu", False)) == pytest.approx(20)
    slope = 0.1  # E f'² = (1 + a²) / 2
    wanted = 10 * ((1 + slope**4) / 2 / ((1 + slope**2) / 2) ** 2 - 1)
    leaky = wide(f"leaky_relu(negative_slope={slope})", True)
    assert expected_relative_variance(leaky) == pytest.approx(wanted)


def test_values_below_the_resolution_are_rounding():
    rank = 30
    factors = np.random.default_rng(0).normal(size=(2, 50, rank)).astype(np.float32)
    values = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False)
    assert values[rank:].max() < resolution(values) < values[rank - 1]


@pytest.mark.thorough
def test_the_edge_keeps_second_moments():
    net = critical("tanh", 30, 200, orthogonal=True, bias_std=0.05)
    x = math.sqrt(net.q) * jax.random.normal(jax.random.key(1), (8, 200))
    end = net.propagate(net.layers(jax.random.key(0)), x)
    assert float(jnp.mean(end**2)) == pytest.approx(net.q, rel=0.15)


def test_classifiers_take_images():
    net = critical("relu", 3, 16, orthogonal=False).classifier(5)
    images = jnp.ones((2, 4, 4, 1))
    variables = net.init(jax.random.key(0), images)
    logits, _ = net.apply(variables, images, train=True, key=jax.random.key(0))
    assert logits.shape == (2, 5)


@pytest.mark.parametrize(("act", "bias_std"), [("relu", 0.1), ("tanh", 0.0)])
def test_nets_that_have_no_edge_are_refused(act, bias_std):
    with pytest.raises(InputError, match="edge"):
        critical(act, 3, 8, orthogonal=True, bias_std=bias_std)
