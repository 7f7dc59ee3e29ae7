"""What wide random nets do with signals: measured against theory and against published figures."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from flaxact.activations import get
from flaxact.diagnostics import capture, make_probe
from flaxact.diagnostics.maps import (
    born_dead,
    iterated_correlation_map,
    measured_correlation_map,
    measured_second_moments,
)
from flaxact.layers import Act
from flaxact.models import create_model
from flaxact.theory import born_dead_bound, variance_map

KEY = jax.random.key(0)
SIX = ("relu", "tanh", "erf", "gelu", "centered(relu)", "standardized(relu)")
COSINES = np.array([-0.8, 0.0, 0.5, 0.9, 0.99])


@pytest.mark.sampled(5)
@pytest.mark.parametrize("activation", SIX)
def test_the_measured_correlation_map(activation):
    mapped = measured_correlation_map(activation, COSINES, width=400, depth=8, pairs=64)
    expected = iterated_correlation_map(activation, COSINES, depth=8)
    # A net of 400 has cosines that are off by 1 / 20 a layer for each pair, on average by less.
    np.testing.assert_allclose(mapped, expected, atol=0.05)
    np.testing.assert_allclose(mapped[0], expected[0], atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("activation", SIX)
def test_the_measured_correlation_map_of_width_2000_to_depth_20(activation):
    """Of eight nets' mean: one net of gelu or tanh, whose maps forget slowly, may be off by 0.04."""
    mapped = [
        measured_correlation_map(activation, COSINES, 2000, 20, seed=seed) for seed in range(8)
    ]
    off = np.abs(np.mean(mapped, 0) - iterated_correlation_map(activation, COSINES, depth=20))
    print(f"{activation}: off by {off.max():.4f} at most, {off.mean():.4f} in the mean")
    assert off.max() < 0.02


# Lu et al. 2019, for depth 10; the shares are of a simulation of ours before this code (papers.md).
@pytest.mark.sampled(5)
@pytest.mark.parametrize(("width", "percent"), [(2, 88), (3, 58), (5, 12), (10, 0.15)])
def test_nets_that_are_born_dead(width, percent):
    share = born_dead(width, depth=10, draws=2000)
    assert 100 * share == pytest.approx(percent, abs=3)
    assert share <= born_dead_bound(width, 10)


def test_the_bound_is_the_share_of_inputs_that_end_in_zeros():
    """What one side of 0 meets, layer by layer, is what the bound counts."""
    generator = np.random.default_rng(1)
    x = np.ones((4000, 3))
    for _ in range(5):
        weights = generator.normal(size=(4000, 3, 3))
        x = np.maximum(np.einsum("ni,nij->nj", x, weights), 0)
    assert np.mean(~x.any(1)) == pytest.approx(born_dead_bound(3, 6), abs=0.025)


def probed(kernel_init, depth, hidden, measures, seeds=4):
    """Mean over seeds of each measure of a ReLU net, (sites,)."""
    model = create_model("mlp_glorot", "relu", depth=depth, hidden=hidden, kernel_init=kernel_init)
    images = jax.random.randint(KEY, (32, 8, 8, 1), 0, 256)
    measure = make_probe(model, measures)

    def draw(key):
        return measure(model.init(key, images), images, None)

    actual = jax.jit(jax.vmap(draw))(jax.random.split(KEY, seeds))
    sites = [f"act{place + 1}" for place in range(depth)]
    return {m: np.array([np.mean(actual[s][m]) for s in sites]) for m in measures}


@pytest.mark.thorough
def test_half_of_a_relu_nets_activations_are_zero():
    zeros = probed("he", depth=3, hidden=1000, measures=("zeros",), seeds=8)["zeros"]
    assert zeros.mean() == pytest.approx(0.5, abs=0.01)  # Glorot et al. 2011, §3.2


def test_a_layer_of_xavier_loses_a_factor_of_root_two_and_one_of_he_nothing():
    """He et al. 2015, §2.2, for 30 layers."""
    for kernel_init, factor in (("he", 1.0), ("xavier", math.sqrt(0.5))):
        figures = probed(kernel_init, depth=30, hidden=400, measures=("pre_second_moment",))
        # The first layer is not as wide as the others.
        size = np.sqrt(figures["pre_second_moment"][1:])
        assert (size[-1] / size[0]) ** (1 / 28) == pytest.approx(factor, rel=0.02)


@pytest.mark.thorough
def test_second_moments_follow_the_variance_map():
    for activation, weight_std in (("tanh", 1.5), ("erf", 0.8), ("elu", 1.2)):
        actual = measured_second_moments(activation, weight_std, width=1000, depth=6)
        q = [1.0]
        for _ in range(5):
            q.append(float(variance_map(activation, q[-1], weight_std)))
        np.testing.assert_allclose(actual, variance_map(activation, q), rtol=0.1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_he_keeps_the_standard_deviation_of_30_layers_within_5_percent():
    """One net's own size wanders by √(30 · 5 / width); that of many nets together does not."""

    def sizes(weight_std, draws):
        actual = [
            measured_second_moments("relu", weight_std, 1000, 30, seed=seed, inputs=4)
            for seed in range(draws)
        ]
        root = np.sqrt(np.mean(actual, 0))
        return root / root[0]

    he = sizes(math.sqrt(2), 100)
    xavier = sizes(1.0, 30)
    print(f"after 30 layers: he {he[-1]:.4f}, xavier 2^-14.5 · {xavier[-1] * 2**14.5:.4f}")
    assert np.abs(he - 1).max() < 0.05
    layers = np.arange(30)
    assert np.abs(xavier * 2 ** (layers / 2) - 1).max() < 0.1


class VggB(nn.Module):
    """The ten convolutions of VGG-B with weights of standard deviation 0.01, as He et al. 2015 count.

    Without the poolings and the borders that their §2.2 leaves out.
    """

    @nn.compact
    def __call__(self, x):
        filters = (64, 64, 128, 128, 256, 256, 512, 512, 512, 512)
        init = nn.initializers.normal(0.01)
        for place, features in enumerate(filters, 1):
            conv = nn.Conv(features, (3, 3), padding="CIRCULAR", kernel_init=init, name=f"c{place}")
            x = Act("relu", name=f"act{place}")(conv(x))
        return nn.Dense(10, name="logits")(x.reshape(len(x), -1))


@pytest.mark.slow
def test_the_gradient_of_vgg_b_shrinks_as_he_et_al_say():
    """By 1.7e4 from what conv10 gives to what conv2 gets; the formula is in test_initializers.py."""
    model = VggB()
    labels = jnp.arange(8) % 10

    @jax.jit
    def sizes(key):
        images = 100 * jax.random.normal(key, (8, 4, 4, 3))
        sites = capture(model, model.init(key, images), images, labels).sites
        return jnp.stack([jnp.mean(sites[name].gradient ** 2) for name in ("act1", "act10")])

    # Filters drawn anew: with 64 in a layer, one draw's gradients may be a tenth larger or smaller.
    actual = np.mean([sizes(key) for key in jax.random.split(KEY, 12)], 0)
    ratio = math.sqrt(actual[1] / actual[0])
    print(f"VGG-B shrinks gradients by {ratio:.0f}")
    assert ratio == pytest.approx(1.7e4, rel=0.1)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("depth", [1, 4, 16])
def test_a_stack_of_identity_layers_is_one_matrix(depth):
    model = create_model("mlp_glorot", "identity", depth=depth, hidden=64)
    images = jax.random.randint(KEY, (16, 8, 8, 1), 0, 256)
    variables = model.init(KEY, images)
    params = variables["params"]
    layers = [params[f"dense{place + 1}"] for place in range(depth)] + [params["logits"]]
    matrix = np.eye(64)
    for layer in layers:
        assert not np.any(layer["bias"])
        matrix = matrix @ np.asarray(layer["kernel"], np.float64)
    expected = np.asarray(images).reshape(16, 64) / 255 @ matrix
    actual = np.asarray(model.apply(variables, images))
    np.testing.assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())
    assert get("identity").breaks == ()
