"""Activations made from activations: what they are, what is stated of them, and what they refuse."""

import functools
import itertools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import hermite_e
from scipy import stats

import flaxact as fa
from flaxact.activations._verify import disagreements
from tests.quick import check_gradients, jit

FIXED = [n for n in fa.names("pointwise") if not fa.get(n).learned]


def relu(x):
    return np.maximum(x, 0)


def leaky(x, slope=0.2):
    return np.where(x > 0, x, slope * x)


# E relu(z) = 1/√(2π), E relu(z)² = 1/2; for leaky ReLU of slope s, (1 - s)/√(2π) and (1 + s²)/2.
MEAN = 1 / math.sqrt(2 * math.pi)
LEAKY = (0.8 * MEAN, math.sqrt(0.52 - 0.64 * MEAN**2))
# 1 everywhere: what is declared, from 0 to 1, is wider than what the values show.
SQUARED_SIGN = "squared(shifted(scaled(step, output=2.0), output=-1.0))"
VALUES = {
    "centered(relu)": lambda x: relu(x) - MEAN,
    "centered(relu, std=2.0)": lambda x: relu(x) - 2 * MEAN,
    "standardized(relu)": lambda x: (relu(x) - MEAN) / math.sqrt(0.5 - MEAN**2),
    "standardized(leaky_relu(0.2))": lambda x: (leaky(x) - LEAKY[0]) / LEAKY[1],
    "scaled(tanh, 1.7159, input=0.5)": lambda x: 1.7159 * np.tanh(0.5 * x),
    "scaled(relu, -2.0)": lambda x: -2 * relu(x),
    "shifted(relu, -1.0, 1.0)": lambda x: relu(x + 1) - 1,
    "negated(elu)": lambda x: -np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "clipped(leaky_relu(0.2), -0.5, 2.0)": lambda x: np.clip(leaky(x), -0.5, 2),
    "mixture(tanh, relu, weight=0.25)": lambda x: 0.25 * np.tanh(x) + 0.75 * relu(x),
    "compose(relu, shifted(tanh, output=0.5))": lambda x: relu(np.tanh(x) + 0.5),
    "softcap(leaky_relu(0.2), cap=0.5)": lambda x: 0.5 * np.tanh(leaky(x) / 0.5),
    "softcap(hard_tanh)": lambda x: 30 * np.tanh(np.clip(x, -1, 1) / 30),
    "squared(leaky_relu(0.5))": lambda x: leaky(x, 0.5) ** 2,
    "squared(relu)": lambda x: relu(x) ** 2,
    "squared(shifted(relu, output=1.0))": lambda x: (relu(x) + 1) ** 2,
    SQUARED_SIGN: np.ones_like,
    "squared(shifted(step, output=1.0))": lambda x: np.where(x > 0, 4.0, 1.0),
    "noisy(relu)": relu,
    "with_surrogate_derivative(step, sigmoid)": lambda x: np.where(x > 0, 1.0, 0.0),
    "scaled(centered(scaled(relu, input=2.0)), output=0.5)": lambda x: relu(x) - MEAN,
    "negated(shifted(squared_relu, input=-1.0))": lambda x: -(relu(x - 1) ** 2),
}
ELSEWHERE = {
    "bipolar": "below",
    "gated": "test_gated",
    "rational": "test_learned",
    "tailored_dks": "below, by its conditions",
    "tailored_tat": "below, by its conditions",
}


def slopes(activation):
    return lambda x: jax.jvp(activation, (x,), (jnp.ones_like(x),))[1]


def evaluated(f, x) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(jit(f)(np.asarray(x, np.float64)))


def test_every_transform_is_tried():
    assert {fa.get(t).spec.name for t in VALUES} | ELSEWHERE.keys() == set(fa.names("transform"))


@pytest.mark.parametrize("text", VALUES)
def test_values_are_those_of_the_formula(text):
    x = np.random.default_rng(0).normal(size=200)
    np.testing.assert_allclose(evaluated(fa.get(text), x), VALUES[text](x), rtol=1e-9, atol=1e-9)
    assert fa.get(str(fa.get(text))) == fa.get(text)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("text", [text for text in VALUES if text != SQUARED_SIGN])
def test_what_is_declared_is_what_the_values_show(text):
    assert list(disagreements(fa.get(text))) == []


def test_kinks_move_with_the_input_and_jumps_go_along():
    assert fa.get("scaled(relu6, input=2.0)").kinks == (0.0, 3.0)
    assert fa.get("shifted(hard_tanh, input=0.5)").kinks == (-1.5, 0.5)
    assert fa.get("scaled(step, input=2.0)").jumps == (0.0,)
    assert fa.get("shifted(step, input=1.0)").jumps == (-1.0,)
    assert fa.get("shifted(step, input=1.0)").smoothness == -1
    assert fa.get("mixture(relu, shifted(relu, input=1.0))").kinks == (-1.0, 0.0)
    kinks = fa.get("compose(relu, shifted(tanh, output=0.5))").kinks
    np.testing.assert_allclose(kinks, [-math.atanh(0.5)], atol=1e-9)


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", FIXED)
def test_output_of_a_gaussian_is_centred_and_standardized(name):
    """By the midpoint rule, between the stated breaks, for the standard and for another Gaussian."""
    plain = [fa.centered(name), fa.standardized(name)]
    other = [fa.centered(name, mean=0.5, std=0.75), fa.standardized(name, mean=0.5, std=0.75)]
    edges = [-10.0, *(b for b in fa.get(name).breaks if -10 < b < 10), 10.0]
    parts = [np.linspace(a, b, 8001) for a, b in itertools.pairwise(edges)]
    x = np.concatenate([(p[1:] + p[:-1]) / 2 for p in parts])
    width = np.concatenate([np.diff(p) for p in parts])
    actual = evaluated(lambda x: jnp.stack([f(x) for f in (*plain, *other)]), x)
    for (centered, standard), (mean, std) in zip(
        (actual[:2], actual[2:]), ((0, 1), (0.5, 0.75)), strict=True
    ):
        weights = width * stats.norm(mean, std).pdf(x)
        scale = np.sqrt(weights @ centered**2)
        assert abs(weights @ centered) <= 3e-6 * max(1, scale)
        assert abs(weights @ standard) <= 3e-6
        assert weights @ standard**2 == pytest.approx(1, abs=1e-5)


NODES, WEIGHTS = hermite_e.hermegauss(200)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def second_moment(f, q: float) -> float:
    return float(WEIGHTS @ f(math.sqrt(q) * NODES) ** 2)


def conditions(activation):
    """Q(1), Q'(1), C(0), C'(1) and C''(1), by Gauss–Hermite quadrature and differences."""
    f = functools.partial(evaluated, activation)
    h = 1e-3
    q_slope = (second_moment(f, 1 + h) - second_moment(f, 1 - h)) / (2 * h)
    first = (f(NODES + h) - f(NODES - h)) / (2 * h)
    bend = (f(NODES + h) - 2 * f(NODES) + f(NODES - h)) / (h * h)
    mean = float(WEIGHTS @ f(NODES))
    return (
        second_moment(f, 1),
        q_slope,
        mean**2,
        float(WEIGHTS @ first**2),
        float(WEIGHTS @ bend**2),
    )


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("depth", "zeta"), [(50, 1.5), (10, 1.2)])
@pytest.mark.parametrize("inner", ["tanh", "softplus", "silu", "gelu"])
def test_tailored_dks_meets_its_conditions(inner, depth, zeta):
    q, q_slope, c0, c_slope, _ = conditions(fa.tailored_dks(inner, depth=depth, zeta=zeta))
    assert q == pytest.approx(1, abs=1e-5)
    assert q_slope == pytest.approx(1, abs=1e-5)
    assert c0 == pytest.approx(0, abs=1e-8)
    assert c_slope == pytest.approx(zeta ** (1 / depth), abs=1e-5)


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("depth", "tau"), [(50, 0.3), (10, 0.2)])
@pytest.mark.parametrize("inner", ["tanh", "softplus", "silu", "gelu"])
def test_tailored_tat_meets_its_conditions(inner, depth, tau):
    q, q_slope, _, c_slope, c_bend = conditions(fa.tailored_tat(inner, depth=depth, tau=tau))
    for found in (q, q_slope, c_slope):
        assert found == pytest.approx(1, abs=1e-5)
    assert c_bend == pytest.approx(tau / depth, rel=1e-3)


@pytest.mark.parametrize(("depth", "eta"), [(50, 0.9), (10, 0.5), (100, 0.99), (1, 0.1)])
def test_tailored_relu_reaches_the_stated_correlation(depth, eta):
    """Leaky ReLU is a line and an absolute value, of which E |u||v| is known in closed form."""
    activation = fa.get(f"tailored_relu(depth={depth}, eta={eta})")
    below, above = evaluated(activation, np.array([-1.0, 1.0]))
    assert (above**2 + below**2) / 2 == pytest.approx(1)  # keeps the second moment
    line = (above - below) / 2
    bent = (above + below) / 2
    c = 0.0
    for _ in range(depth):
        size = 2 / math.pi * (math.sqrt(1 - c * c) + c * math.asin(c))
        c = line**2 * c + bent**2 * size
    assert c == pytest.approx(eta, abs=1e-6)


@pytest.mark.parametrize(
    ("forward", "derivative"), [("step", "sigmoid"), ("relu", "bsilu"), ("hard_tanh", "identity")]
)
def test_with_surrogate_derivative(forward, derivative):
    lent = fa.with_surrogate_derivative(forward, derivative)
    x = jnp.linspace(-3, 3, 41)
    chex.assert_trees_all_equal(lent(x), fa.get(forward)(x))
    slope = slopes(fa.get(derivative))(x)
    chex.assert_trees_all_close(slopes(lent)(x), slope, rtol=1e-6)
    chex.assert_trees_all_close(jax.vmap(jax.grad(lent))(x), slope, rtol=1e-6)
    second = jax.vmap(jax.grad(jax.grad(lent)))(x)
    wanted = jax.vmap(jax.grad(jax.grad(fa.get(derivative))))(x)
    chex.assert_trees_all_close(second, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("inner", ["relu", "elu", "softplus", "tanh"])
def test_bipolar(inner):
    activation = fa.bipolar(inner)
    f = fa.get(inner)
    x = jax.random.normal(jax.random.key(0), (300, 6)) + 1
    y = activation(x)
    chex.assert_trees_all_close(y[:, ::2], f(x[:, ::2]), rtol=1e-6)
    chex.assert_trees_all_close(y[:, 1::2], -f(-x[:, 1::2]), rtol=1e-6)
    assert activation.spec.coupled
    assert activation.monotonic
    # For relu and its smooth relatives, f(x) - f(-x) = x: the output's mean is half the input's.
    if inner in ("relu", "softplus"):
        same = jnp.repeat(x[:, :1], 6, 1)
        assert float(activation(same).mean()) == pytest.approx(float(same.mean()) / 2, rel=1e-5)


def test_a_derivative_is_that_of_the_activation_inside():
    x = jnp.linspace(-3, 3, 31) + 0.01
    slope = jit(slopes(fa.get("elu")))(x)
    for text, factor in (("centered(elu)", 1), ("negated(elu)", -1), ("scaled(elu, 3.0)", 3)):
        actual = jit(slopes(fa.get(text)))(x)
        chex.assert_trees_all_close(actual, factor * slope, rtol=2e-6, atol=1e-6)
        check_gradients(fa.get(text), (np.asarray(x, np.float64),), order=2)


@pytest.mark.parametrize("outer", [n for n in fa.names("transform") if n != "bipolar"])
def test_pointwise_activations_only(outer):
    for coupled in ("softmax", "maxout(pieces=4)", "bipolar(relu)"):
        with pytest.raises(fa.InputError, match=f"{outer} needs a pointwise activation, not "):
            getattr(fa, outer)(coupled)
    with pytest.raises(fa.InputError, match=f"{outer} needs an activation as"):
        getattr(fa, outer)(0.5)
    with pytest.raises(fa.InputError, match="did you mean 'relu'"):
        getattr(fa, outer)("rleu")
    with pytest.raises(fa.InputError, match=rf"{outer} needs \w+, as in {outer}\(relu\)"):
        fa.get(outer)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clipped(relu, 1.0, -1.0)", "clipped needs low <= high, not 1.0 and -1.0"),
        ("mixture(relu, tanh, weight=1.5)", "mixture needs weight from 0 to 1, not 1.5"),
        ("standardized(relu, std=0)", "standardized needs std > 0"),
        ("tailored_dks(tanh, depth=0)", "tailored_dks needs depth > 0"),
        ("tailored_dks(tanh, depth=2.5)", "tailored_dks needs a whole number as depth"),
        ("scaled(relu, output=tanh)", "scaled needs a number as output, not tanh"),
    ],
)
def test_refusals(text, said):
    with pytest.raises(fa.InputError, match=said):
        fa.get(text)


def test_what_no_shape_can_meet():
    for text, said in (
        ("tailored_dks(relu)", "found no shape of relu"),
        ("tailored_tat(relu)", "needs a smooth activation, not relu"),
        ("tailored_relu(depth=1, eta=0.9)", "relu reaches 0.318"),  # 1/π
    ):
        with pytest.raises(fa.InputError, match=said):
            fa.get(text)(jnp.ones(3))
