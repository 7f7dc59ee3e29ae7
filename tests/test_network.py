"""A net's Jacobian, curvature, linear pieces and parameters, against NumPy, jax.hessian and counts."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import flaxact as fa
from flaxact.diagnostics.network import (
    jacobian_singular_values,
    linear_regions,
    opposite_pairs,
    parameter_figures,
    sharpness,
)
from flaxact.layers import Act
from flaxact.training import Recipe

KEY = jax.random.key(0)


@pytest.mark.parametrize("shape", [(20, 12), (12, 20)])
def test_singular_values_of_a_linear_function(shape):
    matrix = jax.random.normal(KEY, shape)
    expected = np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False)
    x = jnp.ones((2, shape[1] // 2))  # any shape
    function = lambda x: (matrix @ x.ravel()).reshape(4, -1)  # noqa: E731
    np.testing.assert_allclose(jacobian_singular_values(function, x), expected, rtol=1e-4)
    actual = jacobian_singular_values(function, x, 3)
    np.testing.assert_allclose(actual, expected[:3], rtol=1e-4)
    actual = jacobian_singular_values(function, x, 2, smallest=True)
    np.testing.assert_allclose(actual, expected[-2:], rtol=1e-2)


def test_an_orthogonal_linear_net_is_an_isometry_and_a_gaussian_one_is_not():
    def net(init):
        weights = [init(jax.random.fold_in(KEY, i), (40, 40)) for i in range(10)]

        def apply(x):
            for w in weights:
                x = x @ w
            return x

        return jacobian_singular_values(apply, jnp.ones(40))

    np.testing.assert_allclose(net(fa.initializers.orthogonal()), 1, rtol=1e-5)
    gaussian = net(fa.initializers.lecun())
    assert gaussian[0] > 2
    assert gaussian[-1] < 1e-3


def test_sharpness_of_a_quadratic():
    basis, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(30, 30)))
    values = np.linspace(-9, 5, 30)
    matrix = jnp.asarray(basis * values @ basis.T, jnp.float32)
    actual = sharpness(lambda w: w["a"] @ matrix @ w["a"] / 2, {"a": jnp.ones(30)}, 3)
    np.testing.assert_allclose(actual, np.sort(values)[:-4:-1], rtol=1e-4)


@pytest.mark.thorough
def test_sharpness_of_a_net_is_the_hessians():
    x = jax.random.normal(KEY, (20, 3))
    y = jnp.arange(20.0) % 2

    def loss(w):
        hidden = fa.tanh(x @ w[:12].reshape(3, 4))
        return jnp.mean((hidden @ w[12:] - y) ** 2)

    w = jax.random.normal(jax.random.key(1), (16,))
    expected = np.linalg.eigvalsh(np.asarray(jax.hessian(loss)(w)))[::-1]
    np.testing.assert_allclose(sharpness(loss, w, 2), expected[:2], rtol=1e-4)


class Hinges(nn.Module):
    """A unit for each hinge, relu(x - hinge)."""

    act: str
    hinges: tuple[float, ...]

    @nn.compact
    def __call__(self, x):
        return Act(self.act, name="act")(x.reshape(len(x), 1) - jnp.array(self.hinges))


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    ("act", "expected"),
    [("relu", 4), ("leaky_relu", 4), ("identity", 1), ("hard_tanh", 6), ("prelu", 4)],
)
def test_linear_regions_are_counted(act, expected):
    # Three hinges on the line from 0 to 10; of hard_tanh also at -1 and 1 beside the first two that
    # fit (0.5: 1.5; 2: 1, 3; 20: none), where relu sees 0.5, 2, 7.
    hinges = (0.5, 2.0, 20.0) if act == "hard_tanh" else (0.5, 2.0, 7.0)
    module = Hinges(act, hinges)
    start = jnp.zeros((1, 1, 1))
    end = jnp.full((1, 1, 1), 10.0)
    variables = module.init(KEY, start[None])
    if act == "hard_tanh":
        expected = 1 + sum(0 < h + side < 10 for h in hinges for side in (-1, 1))
    assert linear_regions(module, variables, start, end, points=300) == expected


@pytest.mark.thorough
def test_a_random_relu_net_has_more_pieces_the_wider_it_is():
    def count(width):
        module = nn.Sequential([nn.Dense(width), Act("relu"), nn.Dense(width), Act("relu")])
        start, end = jax.random.normal(KEY, (2, 8))
        return linear_regions(module, module.init(KEY, start[None]), start, end, points=500)

    assert 1 < count(4) < count(16) < count(64)


def test_opposite_pairs():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 6))
    paired = np.concatenate([kernel, -2 * kernel], -1)
    np.testing.assert_allclose(opposite_pairs(paired), -1)
    # Of two directions in the plane the cosine is that of their angle.
    angles = np.array([0.0, 0.4, 2.0])
    actual = opposite_pairs(np.stack([np.cos(angles), np.sin(angles)]))
    np.testing.assert_allclose(actual, np.cos([2.0, 1.6, 2.0]))
    assert np.isnan(opposite_pairs(np.array([[0.0, 1.0, -1.0]])))[0]


def test_parameter_figures():
    module = nn.Dense(3)
    x = jax.random.normal(KEY, (8, 5))
    labels = jnp.arange(8) % 3
    variables = module.init(KEY, x)
    recipe = Recipe(learning_rate=0.1, optimizer="sgd", momentum=0.9, weight_decay=0.5)
    figures = parameter_figures(module, variables, x, labels, recipe=recipe)
    w = np.asarray(variables["params"]["kernel"], np.float64)
    logits = np.asarray(x, np.float64) @ w
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    gradient = np.asarray(x).T @ (shares - np.eye(3)[labels]) / 8
    kernel = figures["kernel"]
    assert list(figures) == ["bias", "kernel"]
    assert kernel["norm"] == pytest.approx(np.linalg.norm(w), rel=1e-5)
    assert kernel["gradient_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
    ratio = np.linalg.norm(gradient) / np.linalg.norm(w)
    assert kernel["gradient_to_weight"] == pytest.approx(ratio, rel=1e-4)
    step = 0.1 * np.linalg.norm(gradient + 0.5 * w) / np.linalg.norm(w)
    assert kernel["update_to_weight"] == pytest.approx(step, rel=1e-4)
    assert math.isinf(figures["bias"]["update_to_weight"])  # it starts at 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: jacobian_singular_values(jnp.negative, jnp.ones(3), 3), "from 1 to 2"),
        (lambda: sharpness(jnp.sum, jnp.ones(3), 3), "from 1 to 2"),
        (
            lambda: linear_regions(Hinges("tanh", (1.0,)), {}, jnp.ones(1), jnp.ones(1)),
            "tanh is not",
        ),
        (lambda: linear_regions(Hinges("glu", (1, 1)), {}, jnp.ones(1), jnp.ones(1)), "glu is not"),
        (
            lambda: linear_regions(Hinges("relu", ()), {}, jnp.ones(1), jnp.ones(1), points=1),
            "2 points",
        ),
    ],
)
def test_what_it_cannot_take(call, said):
    with pytest.raises(fa.InputError, match=said):
        call()
