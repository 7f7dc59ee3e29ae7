"""Why a mean is bad for the layer above: eigenvalues in closed form, and the steps that they cost."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxact.diagnostics import Site
from flaxact.diagnostics.measures import catalogue
from flaxact.errors import InputError
from flaxact.theory.descent import linear_layer

RNG = np.random.default_rng(0)


def white(examples, inputs):
    """Inputs with mean 0 and covariance 1, both exactly."""
    rows = RNG.normal(size=(examples, inputs))
    return math.sqrt(examples) * np.linalg.qr(rows - rows.mean(0))[0]


@pytest.mark.parametrize("c", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("n", [2, 30])
def test_a_mean_adds_one_eigenvalue(n, c):
    """E xxᵀ = 1 + c² 11ᵀ: once 1 + n c², else 1 (LeCun et al. 1998, §5.3)."""
    x = white(400, n) + c
    layer = linear_layer(x, x @ RNG.normal(size=(n, 3)))
    np.testing.assert_allclose(layer.spectrum[0], [1.0] * (n - 1) + [1 + n * c**2], rtol=1e-10)
    assert layer.condition_number == pytest.approx(1 + n * c**2, rel=1e-10)
    with jax.enable_x64(True):
        post = jnp.asarray(x[:, None])
        measured = float(catalogue["condition_number"](Site(post, post, None, None)))
    assert measured == pytest.approx(np.linalg.cond(x.T @ x / len(x)), rel=1e-9)
    assert measured == pytest.approx(1 + n * c**2, rel=1e-9)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_eigenvalues_tell_the_steps_of_descent(share):
    scales = np.array([0.3, 1.0, 2.0, 0.0])  # one input is always 0
    x = white(200, 4) * scales
    layer = linear_layer(x, x @ RNG.normal(size=(4, 2)))
    assert layer.condition_number == math.inf
    rate = 2 * share / scales.max() ** 2
    assert layer.steps(rate, 1e-4) == layer.descend(rate, 1e-4)
    assert layer.descend(rate, 1e-4, most=2) == math.inf


@pytest.mark.thorough
def test_the_best_rate_needs_the_fewest_steps_and_those_of_the_condition_number():
    x = white(300, 20) + 1.0
    layer = linear_layer(x, x @ RNG.normal(size=(20, 1)))
    steps = layer.steps(layer.best_rate, 1e-9)
    wanted = math.log(1e-9) / (2 * math.log(20 / 22))  # κ = 21
    assert steps == pytest.approx(wanted, rel=0.05)
    for factor in (0.8, 1.04):
        assert layer.steps(factor * layer.best_rate, 1e-9) > steps


def test_least_squares_finds_the_best_weights():
    x = RNG.normal(size=(50, 6))
    targets = RNG.normal(size=(50, 2))
    best = np.linalg.lstsq(x, targets, rcond=None)[0]
    np.testing.assert_allclose(linear_layer(x, targets).off, -best, rtol=1e-9)


def test_a_rate_that_diverges_is_refused():
    layer = linear_layer(np.eye(2), np.ones((2, 1)))
    with pytest.raises(InputError, match="at most 4"):
        layer.steps(5.0, 0.1)
    assert layer.steps(1e-12, 0.1) == math.inf
