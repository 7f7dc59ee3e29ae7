"""Properties of every activation in the catalogue: a new entry is tested by being there."""

import math

import chex
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

import flaxact as fa
from flaxact.activations._describe import references
from flaxact.activations._spec import find

SPECS = (
    *fa.names(),
    "gelu(approximate=False)",
    "leaky_relu(0.25)",
    "elu(alpha=0.5)",
    "centered(relu)",
    "centered(elu(0.5), mean=0.3, std=2)",
)
# The functions that jax.nn has under the same name.
SHARED = sorted(set(fa.names()) & set(dir(jax.nn)))
SQRT2, PHI = mp.sqrt(2), lambda x: mp.erfc(-x / mp.sqrt(2)) / 2
GELU_TANH = lambda x: x / (1 + mp.exp(-mp.sqrt(8 / mp.pi) * (x + mp.mpf("0.044715") * x**3)))  # noqa: E731
SELU_ALPHA, SELU_SCALE = mp.mpf("1.6732632423543772"), mp.mpf("1.0507009873554805")
# Independent of the implementation: the formulas at 50 digits.
REFERENCE = {
    "elu": lambda x: x if x > 0 else mp.expm1(x),
    "elu(alpha=0.5)": lambda x: x if x > 0 else mp.expm1(x) / 2,
    "gelu": GELU_TANH,
    "gelu(approximate=False)": lambda x: x * PHI(x),
    "identity": lambda x: x,
    "leaky_relu": lambda x: x if x > 0 else x * mp.mpf(0.01),
    "leaky_relu(0.25)": lambda x: x if x > 0 else x / 4,
    "relu": lambda x: max(x, mp.mpf(0)),
    "selu": lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * mp.expm1(x)),
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "silu": lambda x: x / (1 + mp.exp(-x)),
    "softplus": lambda x: mp.log1p(mp.exp(x)) if x < 200 else x,
    "tanh": mp.tanh,
    "centered(relu)": lambda x: max(x, mp.mpf(0)) - 1 / mp.sqrt(2 * mp.pi),
}
GRID = np.array(
    [0, 1e-45, 1e-38, 1e-20, 1e-8, 1e-4, 0.1, 0.5, 1, 2, 3, 5, 10, 30, 90, 1e4, 3.4e38], np.float32
)


def points(count: int = 300) -> np.ndarray:
    """A grid of hard cases, and random points across exponents, of both signs."""
    rng = np.random.default_rng(0)
    drawn = (2.0 ** rng.uniform(-30, 7, count)).astype(np.float32)
    positive = np.concatenate([GRID, drawn])
    return np.concatenate([positive, -positive])


def slope(activation, x):
    """The derivative at every element."""
    return jax.jvp(activation, (x,), (jnp.ones_like(x),))[1]


def away_from_kinks(spec: str, count: int = 40) -> np.ndarray:
    x = np.random.default_rng(1).uniform(-4, 4, count)
    for kink in fa.get(spec).kinks:
        x = np.where(abs(x - kink) < 0.05, x + 0.1, x)
    return x


def test_every_activation_has_a_reference():
    assert set(fa.names()) <= set(REFERENCE)


@pytest.mark.parametrize("spec", REFERENCE)
def test_values_are_those_of_mpmath(spec):
    x = points()
    x = x[(abs(x) >= np.finfo(np.float32).tiny) | (x == 0)]  # XLA takes subnormals as 0 on the CPU
    y = np.asarray(fa.get(spec)(jnp.asarray(x)), np.float64)
    with mp.workdps(50):
        true = np.array([float(REFERENCE[spec](mp.mpf(float(v)))) for v in x])
    beyond = abs(true) > np.finfo(np.float32).max
    np.testing.assert_array_equal(y[beyond], np.inf * np.sign(true[beyond]))
    y, true = y[~beyond], true[~beyond]
    # Four units in the last place, or 2e-7 where a value is small against the input.
    allowed = np.maximum(4 * np.spacing(abs(true).astype(np.float32)), 2e-7)
    np.testing.assert_array_less(abs(y - true), allowed)


@pytest.mark.parametrize("spec", REFERENCE)
def test_slopes_are_those_of_mpmath(spec):
    x = away_from_kinks(spec, 60).astype(np.float32)
    got = np.asarray(slope(fa.get(spec), jnp.asarray(x)), np.float64)
    with mp.workdps(50):
        true = [float(mp.diff(REFERENCE[spec], mp.mpf(float(v)))) for v in x]
    np.testing.assert_allclose(got, true, rtol=1e-5, atol=5e-7)


@pytest.mark.parametrize("spec", SPECS)
def test_limits_at_infinity_and_nan(spec):
    activation = fa.get(spec)
    low, high = activation.range
    y = np.asarray(activation(jnp.array([-jnp.inf, jnp.inf, jnp.nan])))
    slopes = np.asarray(slope(activation, jnp.array([-jnp.inf, jnp.inf])))
    assert np.isnan(y[2])
    assert not np.isnan(y[:2]).any()
    assert not np.isnan(slopes).any()
    if activation.monotonic:
        np.testing.assert_allclose(y[:2], [low, high], rtol=1e-6, atol=1e-7)
    far = activation(jnp.array([-1e30, 1e30]))
    np.testing.assert_allclose(
        np.nan_to_num(y[:2], posinf=1e30, neginf=-1e30),
        np.where(np.isinf(y[:2]), np.sign(y[:2]) * 1e30, np.asarray(far)),
    )


@pytest.mark.parametrize("spec", SPECS)
def test_both_modes_and_three_orders_are_exact(spec):
    with jax.enable_x64(True):
        x = jnp.asarray(away_from_kinks(spec))
        check_grads(fa.get(spec), (x,), order=3, modes=["fwd", "rev"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("spec", [s for s in SPECS if not fa.get(s).spec.is_transform])
def test_slope_is_that_of_the_plain_function(spec):
    """What is stated as the derivative is what JAX finds by itself, at the kinks too."""
    activation = fa.get(spec)
    plain = activation.spec.function
    while hasattr(plain, "__wrapped__"):
        plain = plain.__wrapped__
    x = jnp.concatenate([jnp.asarray(points(50)), jnp.asarray(activation.kinks, jnp.float32)])
    x = x[abs(x) < 1e4]
    by_itself = slope(lambda x: plain(x, **dict(activation.changed)), x)
    chex.assert_trees_all_close(slope(activation, x), by_itself, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_the_rounded_float32_result(spec, dtype):
    activation = fa.get(spec)
    x = jnp.asarray(points(100)).clip(-6e4, 6e4).astype(dtype)
    y = activation(x)
    assert y.dtype == dtype
    chex.assert_trees_all_equal(y, activation(x.astype(jnp.float32)).astype(dtype))
    gradient = jax.grad(lambda x: activation(x).astype(jnp.float32).sum())(x)
    assert gradient.dtype == dtype
    assert not jnp.isnan(gradient).any()


@pytest.mark.parametrize("spec", SPECS)
def test_shape_dtype_and_vmap(spec):
    activation = fa.get(spec)
    for shape in ((), (3,), (2, 0, 3)):
        assert activation(jnp.ones(shape)).shape == shape
    with jax.enable_x64(True):
        assert activation(jnp.ones(3, jnp.float64)).dtype == jnp.float64
    x = jnp.linspace(-2, 2, 12).reshape(3, 4)
    chex.assert_trees_all_close(jax.vmap(activation)(x), activation(x), rtol=1e-6)
    chex.assert_trees_all_close(jax.vmap(jax.vmap(jax.grad(activation)))(x), slope(activation, x))


@pytest.mark.parametrize("spec", SPECS)
def test_stated_range_holds_and_is_reached(spec):
    activation = fa.get(spec)
    low, high = activation.range
    y = np.asarray(activation(jnp.linspace(-40, 40, 400_001)), np.float64)
    slack = 1e-6
    assert low - slack <= y.min()
    assert y.max() <= high + slack
    assert not math.isfinite(low) or y.min() <= low + slack
    assert not math.isfinite(high) or y.max() >= high - slack


@pytest.mark.parametrize("spec", SPECS)
def test_stated_monotonic_and_kinks(spec):
    activation = fa.get(spec)
    with jax.enable_x64(True):
        x = np.linspace(-6, 6, 4800) + 1e-5
        y = np.asarray(activation(jnp.asarray(x)))
        assert bool(np.all(np.diff(y) >= 0)) == activation.monotonic
        # The derivative jumps at the stated kinks, and nowhere else by more than its own slope.
        jumps = abs(np.diff(np.asarray(slope(activation, jnp.asarray(x)))))
    found = x[:-1][jumps > 0.02]
    assert len(found) == len(activation.kinks)
    np.testing.assert_allclose(found, activation.kinks, atol=0.01)


@pytest.mark.parametrize("name", fa.names())
def test_sources_are_in_the_bibliography(name):
    source = find(name).source
    assert not source or source in references()
    assert fa.cite(name) == references().get(source, "")
    assert find(name).summary


@pytest.mark.parametrize("name", SHARED)
def test_drop_in_for_jax_nn(name):
    ours, theirs = getattr(fa, name), getattr(jax.nn, name)
    x = jnp.asarray(points()).clip(-1e4, 1e4)
    chex.assert_trees_all_close(ours(x), theirs(x), rtol=2e-6, atol=3e-7)
    for scalar in (1.5, -0.25):
        assert ours(scalar).weak_type == theirs(scalar).weak_type
        assert ours(scalar).dtype == theirs(scalar).dtype


@pytest.mark.parametrize("spec", SPECS)
def test_one_trace_for_equal_activations(spec):
    traces = []

    def apply(x, activation):
        traces.append(activation)
        return activation(x)

    jitted = jax.jit(apply, static_argnums=1)
    for _ in range(2):
        jitted(jnp.ones(3), fa.get(spec))
    assert len(traces) == 1


@pytest.mark.parametrize("name", ["elu", "leaky_relu"])
def test_learned_hyperparameters_get_their_gradient(name):
    """An array may be trained: its gradient is that of the formula, never silently zero."""
    function, x = getattr(fa, name), jnp.array([-1.5, -0.5, 0.7])
    with jax.enable_x64(True):
        x = x.astype(jnp.float64)
        for value in (0.3, 1.0):
            check_grads(function, (x, jnp.float64(value)), order=2)
        assert jax.grad(lambda h: function(x, h).sum())(0.5) != 0


def test_slopes_below_zero_of_leaky_relu():
    """Where the output no longer tells the sign of the input."""
    for negative_slope in (-1.0, 0.0, jnp.float32(-1.0)):
        got = slope(lambda x, s=negative_slope: fa.leaky_relu(x, s), jnp.array([-2.0, 2.0]))
        chex.assert_trees_all_equal(got, jnp.array([negative_slope, 1.0]))


@pytest.mark.parametrize(
    "bad", [1, True, "text", None, [1.0], np.arange(3), jnp.array([True]), jnp.array(1j)]
)
@pytest.mark.parametrize("name", fa.names())
def test_only_floating_arrays(name, bad):
    with pytest.raises(fa.InputError, match=f"{name} takes an array of floating dtype"):
        getattr(fa, name)(bad)


def test_alpha_must_be_positive():
    for call in (lambda: fa.elu(jnp.ones(2), -1.0), lambda: fa.elu(1.0, alpha=0)):
        with pytest.raises(fa.InputError, match="elu needs alpha > 0"):
            call()


@given(st.floats(-5, 5), st.floats(0.05, 20))
def test_centered_relu_has_mean_zero_for_any_gaussian(mean, std):
    # E relu(z) in closed form, through SciPy rather than our own quadrature.
    from scipy.stats import norm

    closed = mean * norm.cdf(mean / std) + std * norm.pdf(mean / std)
    shift = float(fa.centered("relu", mean=mean, std=std)(0.0))
    assert math.isclose(-shift, closed, rel_tol=1e-6, abs_tol=1e-7)


@pytest.mark.parametrize("name", fa.names())
def test_centered_has_mean_zero_by_scipys_quadrature(name):
    from scipy.integrate import quad
    from scipy.stats import norm

    activation = fa.get(f"centered({name})")
    with jax.enable_x64(True):
        mean, _ = quad(
            lambda z: float(activation(jnp.float64(z))) * norm.pdf(z), -9, 9, points=[0], limit=60
        )
    assert abs(mean) < 1e-6


def test_centered_relu_is_relu_shifted():
    x = jnp.asarray(points(100))
    centered = fa.centered(fa.relu)
    chex.assert_trees_all_equal(slope(centered, x), slope(fa.relu, x))
    chex.assert_trees_all_close(centered(x), fa.relu(x) - 1 / math.sqrt(2 * math.pi))
    assert jax.jit(centered)(jnp.zeros(())) == centered(jnp.zeros(()))  # while tracing too
