"""Maps and phases of wide random nets, against closed forms, other quadratures and iteration."""

import math

import mpmath as mp
import numpy as np
import pytest
from scipy import special

import flaxact as fa
from flaxact.theory import (
    born_dead_bound,
    chi_1,
    correlation_map,
    depth_scales,
    edge_of_chaos,
    fixed_point,
    gaussian_moments,
    variance_map,
)
from tests.test_theory import correlation

C = [-1, -1 + 1e-7, -0.99, -0.5, 0, 0.1, 0.9, 0.99, 1 - 1e-4, 1 - 3e-6, 1 - 3e-7, 1 - 1e-10, 1]
C = np.array(C)
CATALOGUE = fa.names("pointwise")


def angles(c):
    return [mp.acos(mp.mpf(float(each))) for each in c]


def arc_cosine(c):
    """The kernel of degree 1 (Cho & Saul 2009), normalized: E relu(u) relu(v) / E relu²."""
    return np.array([float((mp.sin(a) + (mp.pi - a) * mp.cos(a)) / mp.pi) for a in angles(c)])


def leaky(c, slope):
    """a x + (1 - a) relu(x), with E x relu(y) = c / 2."""
    cross = 2 * slope * (1 - slope) * c / 2
    return (slope**2 * c + cross + (1 - slope) ** 2 * arc_cosine(c) / 2) / ((1 + slope**2) / 2)


def gelu(c):
    """Tsuchida et al. 2021, with variances of 1; at 0 that is (1 / 2√π)²."""
    product = c / 4 + (1 / np.sqrt(4 - c * c) + c * np.arcsin(c / 2)) / (2 * math.pi)
    return product / (1 / 3 + 1 / (2 * math.pi * math.sqrt(3)))


CLOSED = {
    "identity": lambda c: c,
    "relu": arc_cosine,
    "leaky_relu": lambda c: leaky(c, 0.01),
    "absolute": lambda c: leaky(c, -1),
    "erf": lambda c: np.arcsin(2 * c / 3) / math.asin(2 / 3),  # Williams 1997
    "step": lambda c: np.array([float(1 - a / mp.pi) for a in angles(c)]),  # degree 0
    "sine": lambda c: np.sinh(c) / math.sinh(1),
    "cosine": lambda c: np.cosh(c) / math.cosh(1),
    "gelu(approximate=False)": gelu,
    "centered(relu)": lambda c: (arc_cosine(c) * math.pi - 1) / (math.pi - 1),
}


@pytest.mark.parametrize("text", CLOSED)
def test_the_correlation_map_is_the_closed_form(text):
    mapped = correlation_map(text, C)
    np.testing.assert_allclose(mapped, CLOSED[text](C), atol=1e-12, rtol=0)


@pytest.mark.parametrize("q", [1e-6, 0.3, 50.0])
def test_the_correlation_map_of_inputs_of_any_size(q):
    c = np.array([-1, -0.7, 0, 0.2, 0.999, 1])
    erf = np.arcsin(2 * q * c / (1 + 2 * q)) / math.asin(2 * q / (1 + 2 * q))
    np.testing.assert_allclose(correlation_map("erf", c, q), erf, atol=1e-12, rtol=0)
    np.testing.assert_allclose(correlation_map("relu", c, q), arc_cosine(c), atol=1e-12, rtol=0)
    sine = np.sinh(q * c) / math.sinh(q)
    np.testing.assert_allclose(correlation_map("sine", c, q), sine, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("steepness", [30, 300])
def test_a_steep_one_is_nearly_a_jump(steepness):
    """E erf(au) erf(av) is erf's with the variance a²."""
    mapped = correlation_map(f"scaled(erf, input={steepness})", C)
    share = 2 * steepness**2
    size = share / (1 + share)
    expected = [float(mp.asin(mp.mpf(size) * c) / mp.asin(size)) for c in C]
    np.testing.assert_allclose(mapped, expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("tanh", np.tanh),
        ("silu", lambda x: x * special.expit(x)),
        ("softplus", lambda x: np.logaddexp(0, x)),
        ("sigmoid", special.expit),
    ],
)
def test_the_correlation_map_by_two_dimensional_quadrature(text, function):
    c = np.array([-0.95, -0.3, 0.4, 0.8, 0.97])
    expected = [correlation(function, each) for each in c]
    np.testing.assert_allclose(correlation_map(text, c), expected, atol=2e-9, rtol=0)


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", CATALOGUE)
def test_every_correlation_map_is_a_power_series_with_shares_as_coefficients(name):
    """C(c) = Σ a_k² c^k / Σ a_k², with f's Hermite coefficients a_k (Daniely et al. 2016)."""
    c = np.linspace(0, 1, 6)
    mapped = correlation_map(name, c)
    mirrored = correlation_map(name, -c)
    assert np.all(np.abs(mirrored) <= mapped + 1e-12)
    assert mapped[-1] == pytest.approx(1, rel=1e-14)
    for order in (0, 1, 2, 3):  # all differences of such a series are 0 or more
        assert np.diff(mapped, order).min() >= -1e-11
    assert np.diff((mapped + mirrored) / 2, 1).min() >= -1e-12  # the even part alone, too
    assert np.diff((mapped - mirrored) / 2, 1).min() >= -1e-12
    moments = gaussian_moments(name)
    assert mapped[0] == pytest.approx(moments.mean**2 / moments.second_moment, abs=1e-12)


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", CATALOGUE)
def test_the_slopes_of_every_correlation_map_are_those_of_the_moments(name):
    moments = gaussian_moments(name)
    h = 1e-3
    below, above = correlation_map(name, [-h, h])
    # The map is a series with coefficients that sum to 1: so is the error, of third order.
    assert (above - below) / (2 * h) == pytest.approx(moments.slope_at_zero, abs=2 * h**2)
    if math.isfinite(moments.slope_at_one):
        near = np.array([2, 8, 32]) * 1e-5
        drops = 1 - correlation_map(name, 1 - near)
        powers = near[:, None] ** np.array([1, 1.5, 2])  # kinks bring the second
        at_one = np.linalg.solve(powers, drops)[0]
        assert at_one == pytest.approx(moments.slope_at_one, rel=5e-3)


def test_the_variance_map():
    q = np.array([[0.0, 0.5], [1.0, 7.0]])
    second = 2 / math.pi * np.arcsin(2 * q / (1 + 2 * q))
    mapped = variance_map("erf", q, weight_std=1.5, bias_std=0.2)
    np.testing.assert_allclose(mapped, 2.25 * second + 0.04, rtol=1e-12)
    assert float(variance_map("cosine", 0)) == 1
    assert float(variance_map("step", 1.0)) == pytest.approx(0.5)


def test_chi_1():
    assert chi_1("leaky_relu(0.5)", 1.3, q=7) == pytest.approx(1.3**2 * 1.25 / 2, rel=1e-12)
    assert chi_1("erf", 1.3, q=2) == pytest.approx(1.69 * 4 / math.pi / 3, rel=1e-10)
    assert chi_1("scaled(tanh, output=0)") == 0
    assert math.isinf(chi_1("step"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("relu", math.sqrt(2)),  # He et al. 2015
        ("leaky_relu(0.5)", math.sqrt(2 / 1.25)),
        ("identity", 1),
        ("tanh", 1),  # Poole et al. 2016, figure 1; Schoenholz et al. 2017
        ("hard_tanh", 1),
        ("erf", math.sqrt(math.pi) / 2),
        ("silu", 2),
    ],
)
def test_the_edge_of_chaos_without_biases(text, expected):
    assert edge_of_chaos(text) == pytest.approx(expected, rel=1e-8)


def erf_map(q, weight_std, bias_std):
    return weight_std**2 * 2 / math.pi * math.asin(2 * q / (1 + 2 * q)) + bias_std**2


Z = np.linspace(-12, 12, 4001)  # the trapezoidal rule, which for such integrands is exact
DENSITY = np.exp(-Z * Z / 2) / np.exp(-Z * Z / 2).sum()


def tanh_map(q, weight_std, bias_std):
    return weight_std**2 * (DENSITY @ np.tanh(math.sqrt(q) * Z) ** 2) + bias_std**2


def erf_slope(q):
    return 4 / math.pi / math.sqrt(1 + 4 * q)


def tanh_slope(q):
    return DENSITY @ np.cosh(math.sqrt(q) * Z) ** -4.0


@pytest.mark.parametrize("bias_std", [0.05, 0.3, 1.0])
@pytest.mark.parametrize(
    ("text", "step", "slope"), [("erf", erf_map, erf_slope), ("tanh", tanh_map, tanh_slope)]
)
def test_on_the_edge_of_chaos_near_inputs_stay_as_near(text, step, slope, bias_std):
    weight_std = edge_of_chaos(text, bias_std)
    q = 1.0
    for _ in range(500):
        q = step(q, weight_std, bias_std)
    assert weight_std**2 * slope(q) == pytest.approx(1, abs=1e-8)
    assert math.isinf(depth_scales(text, weight_std, bias_std).correlation_depth)


@pytest.mark.parametrize(
    ("text", "bias_std"), [("relu", 0.1), ("step", 0), ("identity", 1), ("gelu", 0.2)]
)
def test_some_have_no_edge(text, bias_std):
    assert edge_of_chaos(text, bias_std) is None


def erf_scales(weight_std, bias_std):
    """The distances from both fixed points after so many layers, and after one more."""
    limit = 1.0
    for _ in range(1000):
        limit = erf_map(limit, weight_std, bias_std)

    def mix(c):
        product = 2 / math.pi * math.asin(2 * limit * c / (1 + 2 * limit))
        return (weight_std**2 * product + bias_std**2) / limit

    far = 0.5
    for _ in range(1000):
        far = mix(far)
    h = 1e-6
    across = (
        erf_map(limit + h, weight_std, bias_std) - erf_map(limit - h, weight_std, bias_std)
    ) / (2 * h)
    along = (mix(far) - mix(far - h)) / h
    return limit, far, -1 / math.log(across), -1 / math.log(along)


@pytest.mark.parametrize(("weight_std", "bias_std"), [(0.7, 0.2), (1.0, 0.5), (2.0, 0.1), (4, 0.3)])
def test_depth_scales_in_order_and_chaos(weight_std, bias_std):
    q, c, variance_depth, correlation_depth = erf_scales(weight_std, bias_std)
    scales = depth_scales("erf", weight_std, bias_std)
    assert scales.second_moment == pytest.approx(q, rel=1e-8)
    assert scales.correlation == pytest.approx(c, abs=1e-8)
    assert scales.variance_depth == pytest.approx(variance_depth, rel=1e-5)
    assert scales.correlation_depth == pytest.approx(correlation_depth, rel=1e-5)
    assert (scales.correlation == 1) == (weight_std < 2)


def test_depth_scales_of_relu_and_of_jumps():
    he = depth_scales("relu", math.sqrt(2))
    assert (he.correlation, he.variance_depth, he.correlation_depth) == (1, math.inf, math.inf)
    xavier = depth_scales("relu", 1.0, 0.3)
    assert xavier.second_moment == pytest.approx(0.18)
    assert xavier.correlation_depth == pytest.approx(1 / math.log(2), rel=1e-8)
    assert xavier.variance_depth == pytest.approx(1 / math.log(2), rel=1e-8)
    # c = (1 - acos(c)/π) w² / 2q + b²/q, with q = w²/2 + b²; its slope is w² / 2πq√(1 - c²).
    scales = depth_scales("step", 1, 0.5)
    q = 0.75
    c = scales.correlation
    assert c == pytest.approx(((1 - math.acos(c) / math.pi) / 2 + 0.25) / q, abs=1e-10)
    slope = 1 / (2 * math.pi * q * math.sqrt(1 - c * c))
    assert scales.correlation_depth == pytest.approx(-1 / math.log(slope), rel=1e-8)


def test_depth_scales_for_tanh_of_little_weight():
    scales = depth_scales("tanh", 0.9)
    assert scales.second_moment == fixed_point("tanh", 0.9) == 0
    assert scales.correlation_depth == pytest.approx(-1 / math.log(0.81), rel=1e-7)


@pytest.mark.parametrize(("width", "percent"), [(2, 92.5), (3, 69.9), (5, 24.9), (10, 0.9)])
def test_the_bound_of_lu_et_al(width, percent):
    assert born_dead_bound(width, 10) == pytest.approx(1 - (1 - 2.0**-width) ** 9, rel=1e-9)
    assert round(100 * born_dead_bound(width, 10), 1) == percent


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: correlation_map("softmax", 0), "softmax is not pointwise"),
        (lambda: correlation_map("relu", 1.1), "from -1 to 1"),
        (lambda: correlation_map("relu", 0, q=0), "q above 0"),
        (lambda: correlation_map("relu", math.nan), "from -1 to 1"),
        (lambda: variance_map("glu", 1), "glu is not pointwise"),
        (lambda: variance_map("relu", -1), "at least 0"),
        (lambda: chi_1("relu", 1, -1), "q above 0"),
        (lambda: edge_of_chaos("relu", -1), "at least 0"),
        (lambda: edge_of_chaos("maxout"), "maxout is not pointwise"),
        (lambda: depth_scales("relu", 1.5), "grows without bound"),
        (lambda: depth_scales("tanh", -1), "at least 0"),
        (lambda: born_dead_bound(0, 3), "at least 1"),
    ],
)
def test_what_it_cannot_take(call, said):
    with pytest.raises(fa.InputError, match=said):
        call()


def test_an_output_that_is_always_zero():
    assert np.isnan(correlation_map("scaled(tanh, output=0)", [0.5])).all()
