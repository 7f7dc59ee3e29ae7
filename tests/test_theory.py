"""What follows from an activation under a Gaussian, against closed forms and other quadratures."""

import math

import mpmath as mp
import numpy as np
import pytest
from scipy import integrate, special
from scipy.stats import norm

import flaxact as fa
from flaxact.theory import fixed_point, gaussian_moments
from tests.references import REFERENCE

PHI = norm.cdf
ROOT_TAU = math.sqrt(2 * math.pi)


def elu_moments(alpha):
    """Mean, second moment, second moment of the slope: E e^(kz) below zero is e^(k²/2) Φ(-k)."""
    first = math.exp(0.5) * PHI(-1)
    second = math.exp(2) * PHI(-2)
    return (
        1 / ROOT_TAU + alpha * (first - 0.5),
        0.5 + alpha**2 * (second - 2 * first + 0.5),
        0.5 + alpha**2 * second,
    )


def leaky_moments(slope):
    return (1 - slope) / ROOT_TAU, (1 + slope**2) / 2, (1 + slope**2) / 2


# Mean, second moment, second moment of the derivative, for a standard Gaussian.
CLOSED = {
    "identity": (0, 1, 1),
    "relu": leaky_moments(0),
    "leaky_relu": leaky_moments(0.01),
    "leaky_relu(0.3)": leaky_moments(0.3),
    "absolute": leaky_moments(-1),
    "squared_relu": (0.5, 1.5, 2),
    "elu": elu_moments(1),
    "elu(alpha=0.5)": elu_moments(0.5),
    # By parts, with E Φ² = 1/3 and E φ(w) of a Gaussian w.
    "gelu(approximate=False)": (
        1 / (2 * math.sqrt(math.pi)),
        1 / 3 + 1 / (2 * math.pi * math.sqrt(3)),
        None,
    ),
    # Williams 1997: E erf² = 2/π asin(2/3).
    "erf": (0, 2 / math.pi * math.asin(2 / 3), 4 / (math.pi * math.sqrt(5))),
    "sine": (0, (1 - math.exp(-2)) / 2, (1 + math.exp(-2)) / 2),
    "cosine": (math.exp(-0.5), (1 + math.exp(-2)) / 2, (1 - math.exp(-2)) / 2),
    "squareplus": (None, 1.5, None),
    "hard_shrink": (0, 2 * (0.5 * norm.pdf(0.5) + PHI(-0.5)), 2 * PHI(-0.5)),
}


@pytest.mark.parametrize("text", CLOSED)
def test_moments_are_the_closed_forms(text):
    moments = gaussian_moments(text)
    mean, second, derivative = CLOSED[text]
    if mean is not None:
        assert moments.mean == pytest.approx(mean, abs=1e-10)
        assert moments.variance == pytest.approx(second - mean**2, abs=1e-10)
    assert moments.second_moment == pytest.approx(second, abs=1e-10)
    assert moments.gain == pytest.approx(second**-0.5, abs=1e-10)
    if derivative is not None:
        assert moments.derivative_second_moment == pytest.approx(derivative, abs=1e-10)


@pytest.mark.parametrize(("mean", "std"), [(0.5, 1), (-1.5, 0.3), (2, 7), (0, 40)])
def test_relu_of_any_gaussian(mean, std):
    moments = gaussian_moments("relu", mean, std)
    z = mean / std
    assert moments.mean == pytest.approx(mean * PHI(z) + std * norm.pdf(z), rel=1e-10)
    second = (mean**2 + std**2) * PHI(z) + mean * std * norm.pdf(z)
    assert moments.second_moment == pytest.approx(second, rel=1e-10)
    assert moments.zeros == pytest.approx(PHI(-z), abs=1e-9)
    # dE f(u)f(v)/dc for u, v of correlation c: std² times E f' squared, or E f'².
    assert moments.slope_at_zero == pytest.approx(std**2 * PHI(z) ** 2 / second, rel=1e-9)
    assert moments.slope_at_one == pytest.approx(std**2 * PHI(z) / second, rel=1e-9)


def scipy_moments(name, activation):
    """E f, E f², E f'² of mpmath's formula, by SciPy."""
    formula = REFERENCE[name]
    step = mp.mpf(10) ** -15

    def integrand(x):
        at = mp.mpf(x)
        y = formula(at)
        slope = (formula(at + step) - formula(at - step)) / (2 * step)
        return norm.pdf(x) * np.array([y, y**2, slope**2], float)

    with mp.workdps(40):
        edges = (*range(-12, 13), *activation.breaks)
        integral, error = integrate.quad_vec(integrand, -13, 13, epsabs=1e-12, points=edges)
    assert error < 2e-9 * (1 + np.abs(integral).max())
    return integral


@pytest.mark.sampled(11)
@pytest.mark.parametrize("name", fa.names("pointwise"))
def test_moments_are_those_that_scipy_finds(name):
    activation = fa.get(name)
    moments = gaussian_moments(activation)
    mean, second, derivative = scipy_moments(name, activation)
    assert moments.mean == pytest.approx(mean, abs=2e-10)
    assert moments.second_moment == pytest.approx(second, rel=2e-10)
    assert moments.variance == pytest.approx(second - mean**2, abs=2e-10)
    if not activation.jumps:  # of the value, also where another slope is lent
        assert moments.slope_at_one * moments.second_moment == pytest.approx(derivative, rel=1e-9)
    if not activation.spec.surrogate:
        assert moments.derivative_second_moment == pytest.approx(derivative, rel=1e-9)


def test_a_lent_slope_is_for_gradients_and_not_for_the_c_map():
    relu = gaussian_moments("relu")
    sugar = gaussian_moments("sugar")
    assert sugar.derivative_second_moment == pytest.approx(
        gaussian_moments("bsilu").derivative_second_moment, rel=1e-9
    )
    for text in ("sugar", "scaled(sugar, output=2)", "with_surrogate_derivative(relu, tanh)"):
        moments = gaussian_moments(text)
        assert moments.slope_at_one == pytest.approx(relu.slope_at_one, rel=1e-9)
        assert moments.slope_at_zero == pytest.approx(relu.slope_at_zero, rel=1e-9)
    assert math.isinf(gaussian_moments("step").slope_at_one)


@pytest.mark.parametrize("steepness", [30, 1000])
def test_functions_that_change_fast(steepness):
    # ∫ sech² = 2 and ∫ z² sech² = π²/6; the Gaussian is flat on that scale.
    lost = (2 / steepness - math.pi**2 / 12 / steepness**3) / ROOT_TAU
    moments = gaussian_moments(f"scaled(tanh, input={steepness})")
    assert moments.second_moment == pytest.approx(1 - lost, abs=5 / steepness**5 + 1e-10)
    waves = gaussian_moments(f"sine(frequency={steepness})")
    assert waves.second_moment == pytest.approx(0.5, abs=1e-10)
    assert waves.derivative_second_moment == pytest.approx(steepness**2 / 2, rel=1e-9)


def relu_correlation(c):
    """The arc-cosine kernel of degree 1 (Cho & Saul 2009), normalized."""
    return (np.sqrt(1 - c * c) + c * (np.pi - np.arccos(c))) / np.pi


def test_the_c_map_of_relu_is_the_arc_cosine_kernel():
    moments = gaussian_moments("relu")
    h = 1e-6
    at_zero = (relu_correlation(h) - relu_correlation(-h)) / (2 * h)
    at_one = (relu_correlation(1.0) - relu_correlation(1 - h)) / h
    assert relu_correlation(1.0) == pytest.approx(1)
    assert moments.slope_at_zero == pytest.approx(at_zero, abs=1e-9)
    assert moments.slope_at_one == pytest.approx(at_one, abs=2e-3)  # it nears 1 as √h


def correlation(function, c):
    """The C-map by Gauss–Hermite in two dimensions."""
    z, w = np.polynomial.hermite_e.hermegauss(120)
    w = w / w.sum()
    at_second = function(c * z[:, None] + math.sqrt(1 - c * c) * z[None, :])
    return w @ (function(z)[:, None] * at_second) @ w / (w @ function(z) ** 2)


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("tanh", np.tanh),
        ("silu", lambda x: x * special.expit(x)),
        ("gelu(approximate=False)", lambda x: x * special.ndtr(x)),
        ("softplus", lambda x: np.logaddexp(0, x)),
        ("erf", special.erf),
        ("cosine", np.cos),
    ],
)
def test_slopes_of_the_c_map_by_two_dimensional_quadrature(text, function):
    moments = gaussian_moments(text)
    h = 1e-3
    at_zero = (correlation(function, h) - correlation(function, -h)) / (2 * h)
    one = [correlation(function, 1 - k * h) for k in range(4)]
    at_one = (11 * one[0] - 18 * one[1] + 9 * one[2] - 2 * one[3]) / (6 * h)
    assert moments.slope_at_zero == pytest.approx(at_zero, abs=1e-5)
    assert moments.slope_at_one == pytest.approx(at_one, rel=1e-5)


def test_selu_has_its_fixed_point():
    """Klambauer et al. 2017: mean 0, variance 1."""
    moments = gaussian_moments("selu")
    assert moments.mean == pytest.approx(0, abs=1e-6)
    assert moments.variance == pytest.approx(1, abs=1e-6)
    for start in (0.5, 1.0, 2.0):
        assert fixed_point("selu", start=start) == pytest.approx(1, abs=1e-6)


def iterated(second_moment, weight_std, bias_std, start=1.0):
    q = start
    for _ in range(2000):
        q = weight_std**2 * second_moment(q) + bias_std**2
    return q


def hermite_second(function):
    z, w = np.polynomial.hermite_e.hermegauss(200)
    return lambda q: w @ function(math.sqrt(q) * z) ** 2 / w.sum()


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("text", "weight_std", "bias_std", "second_moment"),
    [
        ("erf", 1, 0, lambda q: 2 / math.pi * math.asin(2 * q / (1 + 2 * q))),
        ("erf", 2, 0.5, lambda q: 2 / math.pi * math.asin(2 * q / (1 + 2 * q))),
        ("relu", 1, 0.3, lambda q: q / 2),
        ("leaky_relu(0.5)", 1.2, 0.1, lambda q: q * 1.25 / 2),
        ("sine", 3, 0, lambda q: (1 - math.exp(-2 * q)) / 2),
        ("tanh", 1.5, 0.1, hermite_second(np.tanh)),
        ("sigmoid", 1, 0, hermite_second(special.expit)),
        ("softplus", 1, 0, hermite_second(lambda x: np.logaddexp(0, x))),
    ],
)
def test_depth_leads_to_the_fixed_point(text, weight_std, bias_std, second_moment):
    expected = iterated(second_moment, weight_std, bias_std)
    assert fixed_point(text, weight_std, bias_std) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("text", "weight_std", "start", "expected"),
    [
        ("relu", 1.0, 1.0, 0.0),
        ("relu", 1.5, 1.0, math.inf),
        ("relu", math.sqrt(2), 3.0, 3.0),  # He's weights keep every second moment
        ("identity", 1.0, 0.7, 0.7),
        ("hard_tanh", 1.0, 1.0, 0.0),  # ever slower: the loss soon is below rounding
        ("displaced_relu", 1.0, 1.0, 0.0),
        ("squared_relu", 1.0, 1.0, math.inf),
        ("squared_relu", 1.0, 0.1, 0.0),  # 3q²/2 < q below 2/3
        ("tanh", 1.0, 1.0, 0.0),
        ("step", 1.0, 1.0, 0.5),
    ],
)
def test_where_there_is_none_or_every_one(text, weight_std, start, expected):
    assert fixed_point(text, weight_std, start=start) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: gaussian_moments("softmax"), "softmax is not pointwise"),
        (lambda: gaussian_moments("glu"), "glu is not pointwise"),
        (lambda: gaussian_moments("rleu"), "did you mean 'relu'"),
        (lambda: gaussian_moments("relu", std=0), "std above 0"),
        (lambda: gaussian_moments("relu", mean=math.nan), "finite mean"),
        (lambda: fixed_point("maxout"), "maxout is not pointwise"),
        (lambda: fixed_point("relu", -1), "at least 0"),
        (lambda: fixed_point("relu", bias_std=math.nan), "at least 0"),
        (lambda: fixed_point("relu", start=0), "start above 0"),
    ],
)
def test_what_it_cannot_take(call, said):
    with pytest.raises(fa.InputError, match=said):
        call()


def test_an_output_that_is_always_zero():
    moments = gaussian_moments("scaled(tanh, output=0)")
    assert moments.second_moment == 0
    assert moments.zeros == 1
    assert math.isinf(moments.gain)
    assert math.isnan(moments.slope_at_one)
