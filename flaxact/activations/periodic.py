"""Sines and cosines, alone or combined with the identity."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations._numerics import finite
from flaxact.activations._waves import Frequency, near, waves

INF = math.inf


@activation(
    r"\sin(\omega x)",
    source="parascandolo2016taming",
    range=(-1.0, 1.0),
    monotonic=False,
    exact=("frequency",),
    aliases=("sin",),
)
@keeps_input(lambda x, frequency: near(frequency) * waves(frequency, x)[1])
def sine(x: jax.Array, frequency: float = 1.0) -> jax.Array:
    r"""Sine.

    Args:
      x: the input; nan at infinity, where a sine has no limit.
      frequency: :math:`\omega`, in radians.

    >>> [round(float(y), 4) for y in sine(jnp.array([-1.0, 2.0]))]
    [-0.8415, 0.9093]
    """
    return waves(frequency, x)[0]


@activation(
    r"\sin(\omega x), \quad \omega = 30",
    source="sitzmann2020siren",
    range=(-1.0, 1.0),
    monotonic=False,
    exact=("frequency",),
    note="The paper draws weights within ±√(6/n)/ω for it, those of the first layer within ±1/n.",
)
@keeps_input(lambda x, frequency: near(frequency) * waves(frequency, x)[1])
def siren(x: jax.Array, frequency: float = 30.0) -> jax.Array:
    r"""Sine with the frequency that SIREN uses for images and scenes.

    Args:
      x: the input; nan at infinity.
      frequency: :math:`\omega`, in radians.

    >>> round(float(siren(jnp.array(0.1))), 4)
    0.1411
    """
    return waves(frequency, x)[0]


@activation(
    r"\cos x", source="kunc2024survey", range=(-1.0, 1.0), monotonic=False, aliases=("cos",)
)
@keeps_input(lambda x: -jnp.sin(x))
def cosine(x: jax.Array) -> jax.Array:
    """Cosine; nan at infinity.

    >>> [round(float(y), 4) for y in cosine(jnp.array([-1.0, 2.0]))]
    [0.5403, -0.4161]
    """
    return jnp.cos(x)


@activation(
    r"x \cos x",
    source="noel2021gcu",
    range=(-INF, INF),
    monotonic=False,
    aliases=("growing_cosine_unit",),
)
@keeps_input(lambda x: jnp.cos(x) - x * jnp.sin(x))
def gcu(x: jax.Array) -> jax.Array:
    """Growing cosine unit; nan at infinity.

    >>> [round(float(y), 4) for y in gcu(jnp.array([-1.0, 2.0]))]
    [-0.5403, -0.8323]
    """
    return x * jnp.cos(x)


def _snake_slope(x: jax.Array, frequency: Frequency) -> jax.Array:
    sin, cos = waves(frequency, finite(x))
    return (sin + cos) ** 2


@activation(
    r"x + \frac{1}{a} \sin^2(a x)",
    source="ziyin2020snake",
    range=(-INF, INF),
    monotonic=True,
    learned=("frequency",),
    per_channel=True,
    exact=("frequency",),
    positive=("frequency",),
    note="The slope, 1 + sin(2ax) = (sin ax + cos ax)², never goes below 0: it never decreases.",
)
@keeps_input(_snake_slope)
def snake(x: jax.Array, frequency: float = 1.0) -> jax.Array:
    """Snake: the identity plus a periodic term, for periodic data.

    It never decreases, but its inverse has no closed form: the input is kept for the backward pass.

    Args:
      x: the input.
      frequency: :math:`a`, positive; learned, or a number.

    >>> [round(float(y), 4) for y in snake(jnp.array([-1.0, 2.0]))]
    [-0.2919, 2.8268]
    """
    wave = waves(frequency, finite(x))[0]
    return x + wave * wave / near(frequency)


def _snake_beta_slope(x: jax.Array, frequency: Frequency, divisor: Frequency) -> jax.Array:
    sin, cos = waves(frequency, finite(x))
    return 1 + 2 * near(frequency) / near(divisor) * sin * cos


@activation(
    r"x + \frac{1}{b} \sin^2(a x)",
    source="lee2023bigvgan",
    range=(-INF, INF),
    monotonic=lambda frequency, divisor: frequency <= divisor,
    learned=("frequency", "divisor"),
    per_channel=True,
    exact=("frequency",),
    positive=("frequency", "divisor"),
    note="BigVGAN and its followers learn the logarithms of both and add 1e-9 to the divisor: give "
    "frequency=exp(a), divisor=exp(b).",
)
@keeps_input(_snake_beta_slope)
def snake_beta(x: jax.Array, frequency: float = 1.0, divisor: float = 1.0) -> jax.Array:
    """Snake with a separate amplitude of the periodic term, as in vocoders for speech and music.

    Args:
      x: the input.
      frequency: :math:`a`, positive; learned, or a number.
      divisor: :math:`b`, positive; learned, or a number.

    >>> [round(float(y), 4) for y in snake_beta(jnp.array([-1.0, 2.0]), divisor=2.0)]
    [-0.646, 2.4134]
    """
    wave = waves(frequency, finite(x))[0]
    return x + wave * wave / near(divisor)


def _nearest_wave(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The sine and cosine of πx, with all digits: the distance to the nearest whole number is exact."""
    whole = jax.lax.stop_gradient(jnp.round(x))
    angle = math.pi * (x - whole)
    sign = 1 - 2 * jnp.abs(jax.lax.stop_gradient(whole - 2 * jnp.round(whole / 2)))
    return sign * jnp.sin(angle), sign * jnp.cos(angle)


_SINC_TERMS = [(-1) ** k / math.factorial(2 * k + 1) for k in range(12)]  # of the powers of (πx)²


def _sinc_series(square: jax.Array, coefficients: list[float]) -> jax.Array:
    total: jax.Array | float = 0.0
    for coefficient in reversed(coefficients):
        total = total * square + coefficient
    return jnp.asarray(total)


def _sinc_slope(x: jax.Array) -> jax.Array:
    near = abs(x) < 0.5
    inside = jnp.where(near, x, 0)
    outside = jnp.where(near, 1, x)
    slopes = [2 * k * c for k, c in enumerate(_SINC_TERMS)][1:]
    # The terms of cos(πx) - sinc(x), which cancel near 0.
    series = math.pi**2 * inside * _sinc_series((math.pi * inside) ** 2, slopes)
    sin, cos = _nearest_wave(outside)
    return jnp.where(near, series, (cos - sin / (math.pi * outside)) / outside)


@activation(
    r"\frac{\sin \pi x}{\pi x}", source="kunc2024survey", range=(-0.21723363, 1.0), monotonic=False
)
@keeps_input(_sinc_slope)
def sinc(x: jax.Array) -> jax.Array:
    """Normalized sinc as in NumPy: zero at every integer except 0.

    >>> [round(float(y), 4) for y in sinc(jnp.array([-1.5, 0.0, 0.5]))]
    [-0.2122, 1.0, 0.6366]
    """
    x = finite(x)
    near = abs(x) < 0.5
    inside = jnp.where(near, x, 0)
    outside = jnp.where(near, 1, x)
    series = _sinc_series((math.pi * inside) ** 2, _SINC_TERMS)
    return jnp.where(near, series, _nearest_wave(outside)[0] / math.pi / outside)
