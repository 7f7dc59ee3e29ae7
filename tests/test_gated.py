"""Gated linear units made by the transform: every layout of gate and value, against NumPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import flaxact as fa
from flaxact.layers import Act
from tests.quick import check_gradients, jit

GATES = {
    "sigmoid": special.expit,
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x * special.expit(x),
    "squared(relu)": lambda x: np.maximum(x, 0) ** 2,
    "tanh": np.tanh,
}
LAYOUTS = list(itertools.product((False, True), (False, True), (-1, 0)))
X = np.random.default_rng(0).normal(size=(6, 8))


def pair(x, axis, gate_first, interleaved):
    """The gate and the value."""
    channels = np.moveaxis(x, axis, 0)
    half = len(channels) // 2
    parts = (channels[::2], channels[1::2]) if interleaved else (channels[:half], channels[half:])
    first, second = (np.moveaxis(part, 0, axis) for part in parts)
    return (first, second) if gate_first else (second, first)


@pytest.mark.parametrize(("gate_first", "interleaved", "axis"), LAYOUTS)
@pytest.mark.parametrize("gate", GATES)
def test_values_in_every_layout(gate, gate_first, interleaved, axis):
    activation = fa.gated(gate, axis=axis, gate_first=gate_first, interleaved=interleaved)
    gates, values = pair(X, axis, gate_first, interleaved)
    wanted = GATES[gate](gates) * values
    with jax.enable_x64(True):
        np.testing.assert_allclose(jit(activation)(X), wanted, rtol=1e-12)
        apart = jit(lambda gate, value: activation(gate, value=value))(gates, values)
        np.testing.assert_allclose(apart, wanted, rtol=1e-12)
    assert fa.get(str(activation)) == activation


def test_an_activation_of_the_value_too():
    gates, values = pair(X, -1, True, False)
    with jax.enable_x64(True):
        actual = jit(fa.gated("relu", "tanh", gate_first=True))(X)
    np.testing.assert_allclose(actual, np.maximum(gates, 0) * np.tanh(values), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "gate"),
    [
        ("glu", "sigmoid"),
        ("bilinear", "identity"),
        ("reglu", "relu"),
        ("geglu", "gelu"),
        ("geglu(approximate=False)", "gelu(approximate=False)"),
        ("swiglu", "silu"),
        ("seglu", "selu"),
    ],
)
def test_the_named_units_are_instances_of_it(name, gate):
    x = jnp.asarray(X, jnp.float32)
    np.testing.assert_array_equal(jit(fa.gated(gate))(x), jit(fa.get(name))(x))


@pytest.mark.parametrize(("gate_first", "interleaved", "axis"), LAYOUTS)
@pytest.mark.parametrize("text", ["clamped_swiglu(0.5)", "softcapped_swiglu(1.0, 0.5)"])
def test_bounded_gates_take_every_layout(text, gate_first, interleaved, axis):
    plain = fa.get(text)
    layout = {"axis": axis, "gate_first": gate_first, "interleaved": interleaved}
    x = jnp.asarray(X, jnp.float32)
    gates, values = pair(x, axis, gate_first, interleaved)
    wanted = plain(jnp.concatenate([values, gates], axis), axis=axis)
    np.testing.assert_allclose(fa.bind(plain, **layout)(x), wanted, rtol=1e-6)
    np.testing.assert_allclose(plain(gates, value=values), wanted, rtol=1e-6)


def test_beyond_a_clamp_nothing_flows_and_at_it_all_does():
    """As in PyTorch, in whose models it ships."""
    torch = pytest.importorskip("torch")
    gates = np.array([-9.0, 0.5, 7.0, 7.5, 0.5, 0.5, 0.5], np.float32)
    values = np.array([0.5, 0.5, 0.5, 0.5, 7.0, -7.0, 8.0], np.float32)
    actual = jax.grad(lambda g, v: fa.clamped_swiglu(g, value=v).sum(), (0, 1))(gates, values)
    g, v = (torch.tensor(array, requires_grad=True) for array in (gates, values))
    clamped = g.clamp(max=7.0)
    ((v.clamp(-7.0, 7.0) + 1) * clamped * torch.sigmoid(1.702 * clamped)).sum().backward()
    for ours, theirs in zip(actual, (g.grad, v.grad), strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("text", ["gated(silu)", "gated(relu, tanh)", "gated(squared(tanh))"])
def test_derivatives_of_both_orders_with_one_array_and_with_two(text):
    activation = fa.get(text)
    gates, values = pair(X, -1, False, False)
    with jax.enable_x64(True):
        check_gradients(activation, (X,), order=2)
        check_gradients(lambda g, v: activation(g, value=v), (gates, values), order=2)


def test_separate_arrays_of_half_precision_and_under_strict_promotion():
    activation = fa.gated("silu")
    gates, values = pair(X, -1, False, False)
    joined = jnp.asarray(X, jnp.bfloat16)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        for dtype in (jnp.bfloat16, jnp.float32):
            y = activation(jnp.asarray(gates, jnp.bfloat16), value=jnp.asarray(values, dtype))
            assert y.dtype == jnp.bfloat16
            if dtype == jnp.bfloat16:
                np.testing.assert_array_equal(y, activation(joined))


def test_learned_parameters_of_the_gate_are_as_wide_as_the_gate():
    x = jnp.asarray(X, jnp.float32)
    params = Act("gated(prelu)").init(jax.random.key(0), x)["params"]
    assert params["activation"]["activation"]["negative_slope"].shape == (4,)
    slopes = jnp.arange(1.0, 5.0)
    y = fa.gated("prelu")(x, activation={"negative_slope": slopes})
    np.testing.assert_allclose(y, x[:, :4] * jnp.where(x[:, 4:] > 0, x[:, 4:], slopes * x[:, 4:]))


def test_no_more_is_kept_for_the_backward_pass_than_gate_and_value():
    x = jnp.asarray(X, jnp.float32)
    gates, values = jnp.split(x, 2, -1)
    residuals = jax.eval_shape(lambda x: jax.vjp(fa.gated("silu"), x)[1], x)
    assert sum(leaf.size for leaf in jax.tree.leaves(residuals)) == x.size
    residuals = jax.eval_shape(
        lambda g, v: jax.vjp(lambda g, v: fa.gated("silu")(g, value=v), g, v)[1], gates, values
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(residuals)) == x.size


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("gated(relu)", (-np.inf, np.inf)),
        ("gated(relu, relu)", (0, np.inf)),
        ("gated(sigmoid, tanh)", (-1, 1)),
        ("gated(relu, negated(sigmoid))", (-np.inf, 0)),
    ],
)
def test_the_range_is_the_product_of_the_ranges(text, bounds):
    assert fa.get(text).range == bounds


def test_refusals():
    with pytest.raises(fa.InputError, match="gated needs a width that 2 divides, not 3"):
        fa.gated("relu", interleaved=True)(jnp.ones(3))
    with pytest.raises(fa.InputError, match=r"value of shape \(2,\) does not broadcast to \(3,\)"):
        fa.gated("relu")(jnp.ones(3), value=jnp.ones(2))
    with pytest.raises(fa.InputError, match=r"unknown parameter of .*'values'"):
        fa.gated("relu")(jnp.ones(4), values=jnp.ones(2))
    with pytest.raises(fa.InputError, match="gated needs True or False as gate_first"):
        fa.gated("relu", gate_first=1)
