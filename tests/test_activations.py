"""Properties of every pointwise activation: a new entry is tested by being there."""

import contextlib
import functools
import inspect
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import flaxact as fa
from flaxact.activations._describe import references
from flaxact.activations._spec import catalogue
from flaxact.activations._verify import disagreements
from tests.quick import OPTIMISED, check_gradients, derivatives, jit, rounding_jit
from tests.references import REFERENCE, truth

SPECS = tuple(REFERENCE)
OWN = [spec for spec in SPECS if not fa.get(spec).spec.surrogate]  # differentiation gives f' itself
# No limit at infinity.
PERIODIC = {"cosine", "fourier", "gcu", "sine", "siren", "snake", "finer", "finer(frequency=30.0)"}
GRID = np.array([0, 2e-38, 1e-20, 1e-8, 1e-4, 0.1, 0.5, 1, 2, 3, 5, 10, 30, 90, 1e4], np.float32)
FAR = np.array([1e10, 1e30, 3.4e38], np.float32)


def points(count: int = 60) -> np.ndarray:
    """A grid of hard cases, and random points across exponents, of both signs."""
    rng = np.random.default_rng(0)
    drawn = (2.0 ** rng.uniform(-30, 7, count)).astype(np.float32)
    positive = np.concatenate([GRID, drawn])
    return np.concatenate([positive, -positive])


def away_from_breaks(spec: str, count: int) -> np.ndarray:
    x = np.random.default_rng(1).uniform(-4, 4, count)
    for place in fa.get(spec).breaks:
        x = np.where(abs(x - place) < 0.05, x + 0.1, x)
    return x


def true_values(spec: str, x: np.ndarray, order: int = 0) -> np.ndarray:
    return np.array([truth(spec, float(v), order) for v in x])


@pytest.mark.parametrize("name", fa.names("pointwise"))
def test_every_pointwise_activation_has_a_reference(name):
    has_one = name in REFERENCE  # pytest would print them all
    assert has_one, f"add {name} in mpmath to REFERENCE in tests/references.py"


@pytest.mark.parametrize("spec", OWN)
def test_three_orders_are_exact(spec):
    """By forward mode in float64, away from breaks and, as far as derivatives are continuous, at 0."""
    activation = fa.get(spec)
    x = away_from_breaks(spec, 7)
    with jax.enable_x64(True):
        actual = np.asarray(jit(derivatives(activation, 3))(np.append(x, 0.0)))
    for order in (1, 2, 3):
        at = np.append(x, 0.0) if activation.smoothness >= order else x
        true = true_values(spec, at, order)
        np.testing.assert_allclose(actual[order, : len(at)], true, rtol=1e-6, atol=3e-6)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("spec", OWN)
def test_gradient_and_hessian(spec):
    """By reverse, and forward over reverse mode: each output depends on its input alone."""
    activation = fa.get(spec)
    x = away_from_breaks(spec, 5)

    def gradient(x):
        actual = jax.grad(lambda x: activation(x).sum())(x)
        return actual, actual

    with jax.enable_x64(True):
        hessian, actual = jit(jax.jacfwd(gradient, has_aux=True))(x)
    np.testing.assert_allclose(actual, true_values(spec, x, 1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(hessian, np.diag(true_values(spec, x, 2)), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("spec", OWN)
def test_both_modes_to_third_order(spec):
    with jax.enable_x64(True):
        x = jnp.asarray(away_from_breaks(spec, 20))
        check_grads(fa.get(spec), (x,), order=3, modes=["fwd", "rev"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("spec", [s for s in SPECS if s not in PERIODIC])
def test_limits_at_infinity_and_nan(spec):
    activation = fa.get(spec)
    low, high = activation.range
    top = np.finfo(np.float32).max
    x = jnp.array([-jnp.inf, jnp.inf, jnp.nan, -3.4e38, 3.4e38])
    y = np.asarray(jit(activation)(x), np.float64)
    assert np.isnan(y[2])
    if spec.startswith("soft_exponential"):
        return  # overflows on one side
    assert not np.isnan(y[:2]).any()
    for at_infinity, before in zip(y[:2].clip(-top, top), y[3:].clip(-top, top), strict=True):
        if abs(before) < 50:
            assert at_infinity == pytest.approx(before, rel=1e-6, abs=1e-6)
        else:
            assert abs(at_infinity) >= abs(before)
            assert np.sign(at_infinity) == np.sign(before)
    if activation.monotonic:
        for at_infinity, end in zip(y[:2], (low, high), strict=True):
            assert abs(at_infinity) > 50 if math.isinf(end) else at_infinity == pytest.approx(end)


def with_other_numbers(name):
    """The activation with each of its numbers in turn at half and at ten times its default."""
    spec = fa.get(name).spec
    for key, parameter in spec.hyperparameters.items():
        if type(parameter.default) is float and key not in spec.static:
            for factor in (0.5, 10.0):
                with contextlib.suppress(fa.InputError):  # out of its domain
                    yield fa.bind(name, **{key: (parameter.default or 1.0) * factor})


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", [n for n in fa.activations.names() if any(with_other_numbers(n))])
def test_a_finite_input_gives_no_nan_whatever_the_numbers(name):
    if fa.get(name).spec.coupled or fa.get(name).spec.stochastic:
        pytest.skip("not a function of one number")
    top = np.finfo(np.float32).max
    x = jnp.float32([top, -top, 3e38, -3e38, 1e30, -1e30, 1e-38, 0.0, 100, -100])
    for activation in with_other_numbers(name):
        assert not np.isnan(jit(activation)(x)).any(), activation
        assert not np.isnan(jit(jax.vmap(jax.grad(activation)))(x)).any(), activation


@pytest.mark.sampled(11)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16])
@pytest.mark.parametrize("spec", [s for s in SPECS if s not in PERIODIC])
def test_no_derivative_is_nan(spec, dtype):
    """To third order, at the extremes, wherever the value itself has not overflowed."""
    activation = fa.get(spec)
    limits = jnp.finfo(dtype)
    far = np.array([*FAR, np.inf, limits.max, limits.tiny, limits.smallest_subnormal])
    x = jnp.asarray(np.concatenate([points(4), far, -far])).astype(dtype)

    @functools.partial(jax.jit, compiler_options=OPTIMISED)
    def both_modes(x):
        backward = jax.vjp(activation, x)[1](jnp.ones_like(x))[0]
        return backward, *derivatives(activation, 3)(x)

    backward, value, *slopes = map(np.asarray, both_modes(x))
    fine = np.isfinite(value) & np.isfinite(slopes[0])
    for order, slope in enumerate(slopes, 1):
        assert slope.dtype == dtype
        nan_at = x[fine & np.isnan(slope)]
        assert not nan_at.size, f"derivative {order} of {spec} is nan at {nan_at}"
    eps = float(limits.eps)
    np.testing.assert_allclose(backward[fine], slopes[0][fine], rtol=4 * eps, atol=eps)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("spec", SPECS)
def test_half_precision_is_the_rounded_float32_result(spec):
    activation = fa.get(spec)
    halves = [jnp.asarray(points(30).clip(-6e4, 6e4), t) for t in (jnp.bfloat16, jnp.float16)]

    @rounding_jit
    def both(halves):
        wide = [activation(x.astype(jnp.float32)) for x in halves]
        return [activation(x) for x in halves], wide

    for x, y, wide in zip(halves, *both(halves), strict=True):
        assert y.dtype == x.dtype
        chex.assert_trees_all_equal(y, wide.astype(x.dtype))


@pytest.mark.sampled(11)
@pytest.mark.parametrize("spec", SPECS)
def test_shape_dtype_and_vmap(spec):
    activation = fa.get(spec)
    for shape in ((), (3,), (2, 0, 3)):
        assert jax.eval_shape(activation, jnp.ones(shape)).shape == shape
    assert activation(1.5).shape == ()
    with jax.enable_x64(True):
        assert jax.eval_shape(activation, jnp.ones(3, jnp.float64)).dtype == jnp.float64
    x = jnp.linspace(-2, 2, 12).reshape(3, 4) + 0.01

    @jit
    def whole_and_mapped(x):
        by_element = jax.vmap(jax.vmap(jax.value_and_grad(activation)))(x)
        return derivatives(activation, 1)(x), jax.vmap(activation)(x), by_element

    (y, slope), by_row, by_element = whole_and_mapped(x)
    chex.assert_trees_all_close(by_row, y, rtol=2e-6, atol=1e-7)
    chex.assert_trees_all_close(by_element, (y, slope), rtol=2e-6, atol=1e-6)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("spec", SPECS)
def test_what_is_declared_is_what_the_values_show(spec):
    assert list(disagreements(fa.get(spec))) == []


@pytest.mark.sampled(7)
@pytest.mark.parametrize("spec", SPECS)
def test_stated_shape(spec):
    """Monotonicity, kinks, jumps and smoothness are what the values show, on a fine grid."""
    activation = fa.get(spec)
    step = 1 / 400
    with jax.enable_x64(True):
        x = np.arange(-7, 7, step) + 1e-5
        actual = np.asarray(jit(derivatives(activation, 4))(x))
    known = ~np.isnan(actual[0])
    x = x[known]
    (y, *orders) = actual[:, known]
    assert bool(np.all(np.diff(y) >= -1e-15)) == activation.monotonic

    def breaks(values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """Where neighbors differ by far more than their slopes explain."""
        explained = step * np.maximum(abs(slopes[1:]), abs(slopes[:-1]))
        return x[:-1][abs(np.diff(values)) > 0.02 + 2.5 * explained]

    np.testing.assert_allclose(breaks(y, orders[0]), activation.jumps, atol=0.01)
    if activation.spec.surrogate:
        return
    np.testing.assert_allclose(breaks(*orders[:2]), activation.kinks, atol=0.01)
    if activation.smoothness in (1, 2) and spec != "finer(frequency=30.0)":  # a wave is a few steps
        smooth = int(activation.smoothness)
        assert len(breaks(*orders[smooth : smooth + 2]))
    elif activation.smoothness == math.inf and spec != "siren":
        assert not len(breaks(*orders[1:3]))
        assert not len(breaks(*orders[2:4]))


@pytest.mark.parametrize("name", [*fa.names(), *fa.names("transform")])
def test_sources_and_docstrings(name):
    spec = catalogue[name]
    known = not spec.source or spec.source in references()  # pytest would print them all
    assert known, f"add {spec.source} to flaxact/activations/references.bib"
    assert fa.cite(name) == references().get(spec.source, "")
    assert spec.summary
    documented = inspect.getdoc(spec.function)
    for parameter in spec.hyperparameters:
        assert parameter in ("per_channel", "exact_derivative") or f"{parameter}:" in documented
    assert ">>>" in documented


@pytest.mark.parametrize("spec", SPECS)
def test_one_trace_for_equal_activations(spec):
    traces = []

    def apply(x, activation):
        traces.append(activation)
        return activation(x)

    jitted = jax.jit(apply, static_argnums=1)
    for _ in range(2):
        jitted.trace(np.ones(3, np.float32), fa.get(spec))
    assert len(traces) == 1


@pytest.mark.parametrize("name", ["elu", "leaky_relu", "celu", "swish_beta", "isru", "dyt"])
def test_learned_hyperparameters_get_their_gradient(name):
    """An array may be trained: its gradient is that of the formula, never silently zero."""
    function = getattr(fa, name)
    x = np.array([-1.5, -0.5, 0.7])
    for value in (0.3, 1.0):
        check_gradients(function, (x, np.float64(value)), order=2)
    with jax.enable_x64(True):
        assert jit(jax.grad(lambda h: function(x, h).sum()))(0.5) != 0


def test_slopes_below_zero_of_leaky_relu():
    """Where the output no longer tells the sign of the input."""
    x = jnp.array([-2.0, 2.0])
    for negative_slope in (-1.0, 0.0, jnp.float32(-1.0)):
        _, got = derivatives(lambda x, s=negative_slope: fa.leaky_relu(x, s), 1)(x)
        chex.assert_trees_all_equal(got, jnp.array([negative_slope, 1.0]))


def test_bad_hyperparameters_in_a_call():
    x = jnp.ones((4, 3))
    for call, said in (
        (lambda: fa.elu(x, -1.0), "elu needs alpha > 0, not -1.0"),
        (lambda: fa.elu(1.0, alpha=0), "elu needs alpha > 0"),
        (lambda: fa.elu(x, alhpa=1.0), "unknown parameter of elu 'alhpa'; did you mean 'alpha'"),
        (lambda: fa.elu(x, "1"), "elu takes a real number or array as alpha, not str '1'"),
        (lambda: fa.elu(x, 1j), "elu takes a real number or array as alpha, not complex"),
        (lambda: fa.prelu(x, jnp.ones(4)), r"negative_slope of shape \(4,\) does not broadcast"),
        (lambda: fa.get("elu")(x, beta=1.0), "unknown parameter of elu 'beta'"),
    ):
        with pytest.raises(fa.InputError, match=said):
            call()
    traced = jax.jit(fa.elu)(x, -1.0)  # a traced value is not looked at
    chex.assert_trees_all_close(traced, x)


def test_subnormals_are_taken_as_zero_or_as_themselves():
    """XLA flushes them on the CPU; no activation may make anything else of them."""
    x = np.array([1e-40, -1e-40, 0], np.float32)
    actual = jit(lambda x: {spec: fa.get(spec)(x) for spec in SPECS})(x)
    for spec, y in jax.device_get(actual).items():
        if 0.0 not in fa.get(spec).jumps:
            chex.assert_trees_all_close(y[:2], y[[2, 2]], atol=1e-30)
