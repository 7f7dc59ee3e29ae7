import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from flaxact.diagnostics.predict import MOMENTS, predict_layer_moments
from flaxact.layers import Act
from flaxact.models import create_model
from flaxact.theory import gaussian_moments

KEY = jax.random.key(0)


def noise(*shape):
    return jax.random.randint(KEY, shape, 0, 256)


def compared(model, images):
    images = jnp.asarray(images)
    variables = model.init(jax.random.key(1), images)
    expected, measured = predict_layer_moments(model, variables, images)
    assert list(expected) == list(measured)
    assert all(set(figures) == set(MOMENTS) for figures in expected.values())
    return expected, measured


@pytest.mark.sampled(5)
@pytest.mark.parametrize("kernel_init", ["he", "xavier"])
@pytest.mark.parametrize("act", ["relu", "tanh"])
def test_moments_of_a_wide_perceptron(act, kernel_init):
    model = create_model("mlp_glorot", act, hidden=2000, kernel_init=kernel_init)
    expected, measured = compared(model, noise(32, 8, 8, 1))
    for site, figures in measured.items():
        for name in ("pre_second_moment", "pre_variance", "second_moment"):
            assert expected[site][name] == pytest.approx(figures[name], rel=0.1), (site, name)
        # Cosines of inputs near 1 leave about one draw a unit for a mean.
        scale = math.sqrt(figures["pre_second_moment"])
        assert expected[site]["pre_mean"] == pytest.approx(figures["pre_mean"], abs=0.1 * scale)
        assert expected[site]["mean"] == pytest.approx(figures["mean"], abs=0.1 * scale)


def test_that_of_he_is_known_beforehand():
    model = create_model("mlp_glorot", "relu", hidden=1000, kernel_init="he")
    images = noise(32, 8, 8, 1)
    expected, _ = compared(model, images)
    for figures in expected.values():  # He's weights keep the second moment: twice the image's
        inputs = np.mean((np.asarray(images) / 255) ** 2)
        assert figures["pre_second_moment"] == pytest.approx(2 * inputs, rel=0.03)
        assert figures["pre_mean"] == 0
        assert figures["second_moment"] == pytest.approx(figures["pre_second_moment"] / 2)


@pytest.mark.slow
# Half as wide as published, a layer's draw of weights moves moments by up to a quarter (over 12 draws
# the standard deviation is 0.00 to 0.23 a site), and convolutions after a padded one get a tenth more
# than expected: their inputs are smaller at the border, where the fewest windows see them.
@pytest.mark.parametrize("norm", ["batch", "weight"])
def test_moments_of_vgg(norm):
    model = create_model("vgg11", "relu", kernel_init="he", norm=norm, num_classes=10, width=0.5)
    expected, measured = compared(model, noise(8, 32, 32, 3))
    assert len(expected) == 10
    for name in ("pre_second_moment", "second_moment"):
        off = [math.log(expected[site][name] / measured[site][name]) for site in measured]
        assert np.abs(off).max() < 0.5
        assert np.mean(off) == pytest.approx(0, abs=0.12)


class Mixed(nn.Module):
    """What theory has nothing to say of lies between."""

    @nn.compact
    def __call__(self, x):
        x = Act("crelu", name="coupled")(nn.Dense(400, name="first")(x))
        x = Act("relu", name="after")(nn.Dense(400, name="second")(x))
        x = nn.LayerNorm(name="norm")(x)
        x = Act("tanh", name="normalized")(x)
        return Act("prelu", name="learned")(x + 1)


def test_where_theory_has_nothing_to_say_it_starts_anew():
    x = jax.random.normal(KEY, (200, 300))
    module = Mixed()
    variables = module.init(KEY, x)
    expected, measured = predict_layer_moments(module, variables, x)
    assert math.isnan(expected["coupled"]["second_moment"])
    assert not math.isnan(expected["coupled"]["pre_second_moment"])
    actual = expected["after"]["pre_second_moment"]
    assert actual == pytest.approx(measured["after"]["pre_second_moment"], rel=0.1)
    assert (expected["normalized"]["pre_mean"], expected["normalized"]["pre_variance"]) == (0, 1)
    assert expected["normalized"]["variance"] == pytest.approx(gaussian_moments("tanh").variance)
    learned = expected["learned"]
    assert learned["pre_mean"] == pytest.approx(measured["learned"]["pre_mean"], abs=1e-4)
    assert learned["second_moment"] > 0
    params = variables["params"] | {"learned": {"activation": {"negative_slope": jnp.ones(400)}}}
    expected, _ = predict_layer_moments(module, {"params": params}, x)
    assert math.isnan(expected["learned"]["mean"])
