"""Derivatives read from the output and a few bits a value, for functions that fall, then rise.

The mathematics of ``inverse.py``, which asks whether it pays.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import erfc, expit

import flaxact as fa

ALLOWED = 1e-5  # error of the derivative
NEAR = 0.03  # of the minimum: here inputs and outputs are told by a short series
LEFT_END = 4.6  # root of log(minimum / y): outputs below 1e-10
DEGREE = 12


def _gelu_argument(x):
    return 2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)


def _tanh_gelu_slope(x):
    inner = 2 * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x * x)
    return expit(_gelu_argument(x)) * (1 + x * expit(-_gelu_argument(x)) * inner)


def _normal(x):
    return erfc(-x / np.sqrt(2)) / 2


def _mish_slope(x):
    gate = np.tanh(np.logaddexp(0, x))
    return gate + x * expit(x) / np.cosh(np.minimum(np.logaddexp(0, x), 300)) ** 2


# Value and derivative in float64, the input at which the right side's second polynomial takes over, and
# the one from which on the derivative is taken for 1.
FUNCTIONS = {
    "gelu": (lambda x: x * expit(_gelu_argument(x)), _tanh_gelu_slope, 2.0, 5.4),
    "gelu(approximate=False)": (
        lambda x: x * _normal(x),
        lambda x: _normal(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
        2.0,
        5.5,
    ),
    "silu": (lambda x: x * expit(x), lambda x: expit(x) * (1 + x * expit(-x)), 3.5, 18.0),
    "mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), _mish_slope, 2.2, 9.0),
}


@dataclass(frozen=True)
class Branches:
    """A function of one minimum: where it is, and polynomials (in t from -1 to 1) along its sides."""

    at: float
    low: float
    unit: float  # in the last place, of float32, at the minimum
    middle: float  # the roots of the height at which one polynomial hands over to the next
    end: float
    slopes: np.ndarray  # left (over y), right and near, right and far
    near_height: np.ndarray  # height / h² in h, the input less that of the minimum
    near_input: np.ndarray  # h / r in r, the root of the height, with the sign of h
    near_slope: np.ndarray  # slope / h in h


def _bisected(increasing, start, stop):
    for _ in range(100):
        half = (start + stop) / 2
        above = increasing(half) > 0
        start = np.where(above, start, half)
        stop = np.where(above, half, stop)
    return (start + stop) / 2


def _left(f, y, at: float):
    return _bisected(lambda x: y - f(x), np.full_like(y, -60), np.full_like(y, at))


def _right(f, y, at: float, last: float):
    return _bisected(lambda x: f(x) - y, np.full_like(y, at), np.full_like(y, last))


@functools.cache
def branches(name: str) -> Branches:
    """Fit in float64, from values at Chebyshev's points."""
    f, slope, takes_over, last = FUNCTIONS[name]
    at = float(_bisected(slope, np.float64(-3), np.float64(0)))
    low = float(f(at))
    middle, end = (float(np.sqrt(f(x) - low)) for x in (takes_over, last))
    points = np.cos(np.pi * (np.arange(400) + 0.5) / 400)

    def power(values, degree, weight=None):
        return chebyshev.cheb2poly(chebyshev.chebfit(points, values, degree, w=weight))

    y = low * np.exp(-(((points + 1) / 2 * LEFT_END) ** 2))
    left = power(slope(_left(f, y, at)) / y, DEGREE, y / low + 1e-3)
    rights = []
    for start, stop in ((0, middle), (middle, end)):
        y = low + (start + (points + 1) / 2 * (stop - start)) ** 2
        rights.append(power(slope(_right(f, y, at, last + 1)), DEGREE))
    h = NEAR * 1.2 * points
    height = f(at + h) - low
    root = np.sign(h) * np.sqrt(height)
    fit = np.polynomial.Polynomial.fit
    return Branches(
        at,
        low,
        float(np.spacing(np.float32(abs(low)))),
        middle,
        end=end,
        slopes=np.stack([left, *rights]),
        near_height=fit(h, height / h**2, 5).convert().coef,
        near_input=fit(root, h / root, 6).convert().coef,
        near_slope=fit(h, slope(at + h) / h, 5).convert().coef,
    )


def polynomial(coefficients, t):
    """Horner's rule; a coefficient is a number or an array."""
    value = coefficients[-1]
    for c in coefficients[-2::-1]:
        value = value * t + c
    return value


def less(x, number: float):
    """``x - number`` with the digits of ``number`` that float32 has no room for."""
    first, second = _halves(number)
    # The maximum changes nothing but keeps XLA from adding up the two constants.
    return jnp.maximum(x - first, -1e30) - second


def _halves(number: float) -> tuple[np.float32, np.float32]:
    first = np.float32(number)
    return first, np.float32(number - float(first))


def _bend(b: Branches, bend: float) -> tuple[float, float, float]:
    """Where the V ends, its steepness, its depth below the minimum."""
    reach = bend * b.unit / 2 / ALLOWED
    curvature = 2 * b.near_height[0]
    return reach, curvature * reach, curvature * reach**2 / 2


def near_value(x, b: Branches, bend: float):
    """The function by a series about its minimum, bent there."""
    h = less(x, b.at)
    reach, steepness, depth = _bend(b, bend)
    bent = steepness * abs(h) - depth
    series = h * h * polynomial(b.near_height, h)
    first, second = _halves(b.low)
    return first + jnp.maximum(jnp.where(abs(h) < reach, bent, series) + second, -1)  # as ``less``


def value(x, activation, b: Branches, bend: float):
    """The function; by the series where it is exact to half a unit in the last place."""
    return jnp.where(abs(x - b.at) < NEAR, near_value(x, b, bend), activation(x))


def between(y, right, b: Branches, bend: float):
    """The nearest and the farthest from the minimum of the inputs that give y, close to it."""
    _, steepness, depth = _bend(b, bend)
    sign = jnp.where(right, 1.0, -1.0)
    height = less(y, b.low) + depth

    def distance(height):
        height = jnp.maximum(height, 0)
        root = jnp.sqrt(jnp.maximum(height - depth, 0))
        curved = root * polynomial(b.near_input, sign * root)
        return jnp.where(height < 2 * depth, height / steepness, curved) if bend else curved

    return sign, distance(height - b.unit * 0.51), distance(height + b.unit * 0.51)


def encode(x, b: Branches, bits: int, bend: float):
    """The side, and where between the nearest and the farthest input x is."""
    right = x > b.at
    if bits == 1:
        return right
    y = jnp.maximum(near_value(x, b, bend), -1)  # as in ``less``: y is to be rounded
    sign, near, far = between(y, right, b, bend)
    steps = 2 ** (bits - 1)
    place = jnp.clip((sign * less(x, b.at) - near) / (far - near) * steps, 0, steps - 1)
    return jnp.where(right, steps, 0).astype(jnp.uint32) + place.astype(jnp.uint32)


def derivative(y, code, b: Branches, bits: int, bend: float):
    """The derivative at the input that gave y and its code."""
    # Spelt unlike the output's own name: XLA would else find what encoding and decoding have in common
    # and keep it, two arrays.
    y = jnp.maximum(y, -2)
    steps = 2 ** (bits - 1)
    right = code >= steps
    height = jnp.maximum(less(y, b.low), 0)
    root = jnp.sqrt(height)
    tail = jnp.sqrt(-jnp.log1p(-jnp.minimum(height * (-1 / b.low), 1)))
    far = root > b.middle
    start = jnp.where(far, (b.end + b.middle) / (b.end - b.middle), 1)
    t = jnp.where(far, 2 / (b.end - b.middle), 2 / b.middle) * root - start
    t = jnp.clip(jnp.where(right, t, tail * (2 / LEFT_END) - 1), -1, 1)
    chosen = [jnp.where(right, jnp.where(far, k, j), i) for i, j, k in b.slopes.T]
    away = polynomial(chosen, t) * jnp.where(right, 1, y)
    sign, nearest, farthest = between(y, right, b, bend)
    share = (code.astype(y.dtype) - jnp.where(right, steps, 0) + 0.5) / steps
    h = sign * (nearest + (farthest - nearest) * share)
    return jnp.where(height < b.near_height[0] * NEAR**2, h * polynomial(b.near_slope, h), away)


def pack(code, bits: int):
    """As many codes as fit to a word; ``jnp.packbits`` would be kept as four bytes for one."""
    shifts = jnp.arange(0, 32, bits, dtype=jnp.uint32)
    grouped = code.astype(jnp.uint32).reshape(*code.shape[:-1], -1, 32 // bits)
    return (grouped << shifts).sum(-1, dtype=jnp.uint32)


def unpack(words, bits: int):
    """The codes again."""
    shifts = jnp.arange(0, 32, bits, dtype=jnp.uint32)
    codes = (words[..., None] >> shifts) & np.uint32(2**bits - 1)
    return codes.reshape(*words.shape[:-1], -1)


def from_output(name: str, bits: int, bend: float):
    """The activation, whose derivative reads its output and the words codes."""
    b = branches(name)
    activation = fa.get(name)

    @jax.custom_jvp
    def call(x):
        return value(x, activation, b, bend)

    @call.defjvp
    def _(primals, tangents):
        (x,) = primals
        y = call(*primals)
        words = pack(encode(x, b, bits, bend), bits)

        def tangent(y, words, dx):
            return derivative(y, unpack(words, bits), b, bits, bend=bend) * dx

        return y, jax.checkpoint(tangent, prevent_cse=False)(y, words, tangents[0])

    return call
