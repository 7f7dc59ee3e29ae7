"""Numerically accurate building blocks whose derivatives of any order stay finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from flaxact._lazy import jax, jnp, np

Function = Callable[..., "jax.Array"]


class Parts(NamedTuple):
    """A number as the sum of two float32, so that it keeps its digits as an argument of a program."""

    near: jax.Array | np.float32
    rest: jax.Array | np.float32

    @classmethod
    def of(cls, number: float) -> Parts:
        near = np.float32(number)
        return cls(near, np.float32(number - float(near)))


def widened(x: jax.Array) -> jax.Array:
    """``x`` in at least float32, cast explicitly, as strict promotion and float8 require."""
    return x.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x


def along_last(values: jax.Array, ndim: int) -> jax.Array:
    """Values along the last of ``ndim`` axes, which broadcast without rank promotion."""
    return values.reshape((1,) * (ndim - values.ndim) + values.shape)


def finite(x: jax.Array) -> jax.Array:
    """``x`` with infinities replaced by the largest finite numbers; ∞ · 0 and ∞ / ∞ would be nan."""
    if jnp.iscomplexobj(x):
        return jax.lax.complex(finite(jnp.real(x)), finite(jnp.imag(x)))
    return _within(x, float(jnp.finfo(x.dtype).max))


def settled(x: jax.Array, *hyperparameters: object) -> jax.Array:
    """``x`` clipped to ±10⁹ if a hyperparameter is an array, for a term that has reached its limit there.

    The derivative with respect to the hyperparameter is 0 there and would otherwise be ∞ · 0. If
    all hyperparameters are numbers, nothing is differentiated with respect to them, and ``x`` is
    not clipped.
    """
    return _within(x, 1e9) if _any_array(hyperparameters) else x


def _within(x: jax.Array, top: float) -> jax.Array:
    """``x`` clipped to ±top. jnp.clip halves the derivative at the ends and has no rule in jet."""
    return jnp.where(x > top, top, jnp.where(x < -top, -top, x))


def settled_sigmoid(z: jax.Array, *hyperparameters: object) -> jax.Array:
    """The logistic sigmoid of ``z``, likewise, for a product with what grows without bound."""
    if not _any_array(hyperparameters):
        return jax.nn.sigmoid(z)
    near = ~(abs(z) >= 800)  # beyond, it is 0 or 1 in float64 too
    return jnp.where(near, jax.nn.sigmoid(jnp.where(near, z, 0)), jnp.where(z < 0, 0.0, 1.0))


def _any_array(values: tuple[object, ...]) -> bool:
    return any(isinstance(value, jax.Array) for value in values)


def lifted(x: jax.Array) -> jax.Array:
    """``x`` with -∞ replaced by the lowest finite number, for a product with a factor that is 0 there."""
    return jnp.maximum(x, float(jnp.finfo(x.dtype).min))


def below_zero(x: jax.Array) -> jax.Array:
    """``x`` if negative, else 0; keeps a branch finite that is not selected."""
    return jnp.where(x > 0, 0, x)


def minus_abs(x: jax.Array) -> jax.Array:
    """-|x|, with derivative 1 at 0, so that even functions of it are smooth there."""
    return jnp.where(x > 0, -x, x)


def expm1(x: jax.Array) -> jax.Array:
    """:math:`e^x - 1` within 2 units in the last place; XLA's own is off by 5 in some versions."""
    if x.dtype != jnp.float32:
        return jnp.expm1(x)
    near = abs(x) < 0.35
    small = jnp.where(near, x, 0)
    series = 0.0
    for n in range(8, 1, -1):
        series = series * small + 1 / math.factorial(n)
    return jnp.where(near, small + small * small * series, jnp.exp(jnp.where(near, 1, x)) - 1)


def square_root(x: jax.Array) -> jax.Array:
    """The square root of x if positive, else 0 with derivatives 0."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)


def hypotenuse(x: jax.Array, square: float | jax.Array) -> jax.Array:
    """√(x² + square) without overflow, computed as |x| beyond 10⁹."""
    near = jnp.clip(x, -1e9, 1e9)
    return jnp.sqrt(near * near + square) + (abs(x) - abs(near))


def sigmoids(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The logistic sigmoids of x and -x, each accurate, from one exponential."""
    e = jnp.exp(minus_abs(x))
    larger = 1 / (1 + e)
    smaller = e * larger
    return jnp.where(x > 0, larger, smaller), jnp.where(x > 0, smaller, larger)


def error_function(x: jax.Array) -> jax.Array:
    """Erf within 4 units in the last place; XLA's own is off by 6 from 2.5 on, and exceeds 1."""
    far = abs(x) > 2
    return jnp.where(far, jnp.sign(x) * (1 - jax.lax.erfc(abs(x))), jax.lax.erf(x))


def sech(x: jax.Array) -> jax.Array:
    """1 / cosh without overflow."""
    e = jnp.exp(minus_abs(x))
    return 2 * e / (1 + e * e)


def sech_squared(x: jax.Array) -> jax.Array:
    """1 - tanh² without cancellation."""
    e = jnp.exp(2 * minus_abs(x))
    return 4 * e / ((1 + e) * (1 + e))


def last_place(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The number up to which a condition holds, by bisection between one where it does and one beyond."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def largest(x: jax.Array, axis: int) -> jax.Array:
    """The largest size along the axis, a constant to differentiation; its inverse is normal too."""
    most = float(1 / jnp.finfo(x.dtype).tiny)
    return jax.lax.stop_gradient(jnp.minimum(jnp.max(abs(x), axis, keepdims=True, initial=0), most))
