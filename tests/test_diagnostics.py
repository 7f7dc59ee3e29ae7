import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import flaxact as fa
from flaxact.diagnostics import probe
from flaxact.layers import Act
from flaxact.theory import gaussian_moments


class Stack(nn.Module):
    act: str

    @nn.compact
    def __call__(self, x, *, train):
        assert not train
        x = Act(self.act, name="zebra")(x)
        shared = Act("identity", name="ant")
        return nn.Dense(3, name="last")(shared(shared(x) + 1))


# Theory is tested for every activation in test_theory.py; here, that the probe measures the same.
@pytest.mark.sampled(5)
@pytest.mark.parametrize("act", ["relu", "tanh", "leaky_relu(0.2)", "selu", "prelu", "hard_tanh"])
def test_probe_measures_what_theory_says_of_gaussian_inputs(act):
    x = jax.random.normal(jax.random.key(0), (4000, 100))
    module = Stack(act)
    figures = probe(module, module.init(jax.random.key(1), x, train=False), x)
    expected = gaussian_moments(fa.get(act))
    assert list(figures) == ["zebra", "ant"]  # the order of the data, not of the alphabet
    assert figures["zebra"]["mean"] == pytest.approx(expected.mean, abs=0.01)
    assert figures["zebra"]["variance"] == pytest.approx(expected.variance, abs=0.01)
    assert figures["zebra"]["zeros"] == pytest.approx(expected.zeros, abs=0.005)
    # A site that is used twice: both outputs count.
    assert figures["ant"]["mean"] == pytest.approx(expected.mean + 0.5, abs=0.01)


def test_probe_of_a_model_without_sites():
    module = nn.Dense(2)
    x = jnp.ones((3, 4))
    assert probe(module, module.init(jax.random.key(0), x), x) == {}


# Closed forms for z ~ N(0, 1).
CLOSED = {
    "relu": {"mean": 1 / np.sqrt(2 * np.pi), "second_moment": 0.5, "derivative_second_moment": 0.5},
    "leaky_relu(0.2)": {"second_moment": 0.52, "derivative_second_moment": 0.52, "zeros": 0.0},
    "identity": {"mean": 0.0, "variance": 1.0, "gain": 1.0, "derivative_second_moment": 1.0},
    "selu": {"mean": 0.0, "variance": 1.0},  # Klambauer et al. 2017: its fixed point
    "sigmoid": {"mean": 0.5},
    "gelu(approximate=False)": {"mean": 1 / (2 * np.sqrt(np.pi))},
    "centered(relu)": {"mean": 0.0, "variance": 0.5 - 1 / (2 * np.pi)},
    "relu()": {"gain": np.sqrt(2), "zeros": 0.5},  # He et al. 2015
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("spec", CLOSED)
def test_moments_in_closed_form(spec):
    moments = gaussian_moments(fa.get(spec))
    for name, value in CLOSED[spec].items():
        assert getattr(moments, name) == pytest.approx(value, abs=1e-10, rel=1e-10), name


@pytest.mark.parametrize("mean", [-3.0, 0.4])
@pytest.mark.parametrize("std", [0.1, 7.0])
def test_moments_for_any_gaussian(mean, std):
    from scipy.stats import norm

    at = mean / std
    moments = gaussian_moments(fa.get("relu"), mean, std)
    expected = mean * norm.cdf(at) + std * norm.pdf(at)
    second = (mean**2 + std**2) * norm.cdf(at) + mean * std * norm.pdf(at)
    assert moments.mean == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert moments.second_moment == pytest.approx(second, rel=1e-9, abs=1e-12)
    assert moments.zeros == pytest.approx(norm.cdf(-at), abs=1e-9)
