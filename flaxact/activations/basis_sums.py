"""Learned sums of basis functions, as in Kolmogorov-Arnold networks: polynomials, waves, bumps."""

from __future__ import annotations

import math
from collections.abc import Callable

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations._numerics import finite, sech_squared
from flaxact.activations._spec import Learned
from flaxact.activations.swish_variants import silu
from flaxact.errors import InputError

INF = math.inf
_START = (
    "In the networks of this name each edge has a sum of its own, with random coefficients; here each "
    "channel has one, and it starts as "
)


def _polynomial_initial(key: jax.Array | None, width: int, degree: int) -> dict[str, jax.Array]:
    return {"coefficients": jnp.zeros((degree + 1, width)).at[1].set(1)}


def _series(
    x: jax.Array, coefficients: Learned, next_one: Callable[..., jax.Array], degree: int
) -> jax.Array:
    """The sum of polynomials of tanh; ``next_one(n, t, polynomial, before)`` is the n-th of them."""
    t = jnp.tanh(x)
    before = jnp.ones_like(t)
    polynomial = t
    total = coefficients[0] + coefficients[1] * t
    for n in range(2, degree + 1):
        before, polynomial = polynomial, next_one(n, t, polynomial, before)
        total = total + coefficients[n] * polynomial
    return total


def _next_chebyshev(n: int, t: jax.Array, polynomial: jax.Array, before: jax.Array) -> jax.Array:
    return 2 * t * polynomial - before


def _next_legendre(n: int, t: jax.Array, polynomial: jax.Array, before: jax.Array) -> jax.Array:
    return ((2 * n - 1) * t * polynomial - (n - 1) * before) / n


def _chebyshev_slope(x: jax.Array, degree: int, coefficients: Learned) -> jax.Array:
    t = jnp.tanh(x)
    # The derivative of the n-th polynomial is n times the one of the second kind below it.
    before = jnp.zeros_like(t)
    second_kind = jnp.ones_like(t)
    total = coefficients[1] * second_kind
    for n in range(2, degree + 1):
        before, second_kind = second_kind, _next_chebyshev(n, t, second_kind, before)
        total = total + n * coefficients[n] * second_kind
    return total * sech_squared(x)


@activation(
    r"\sum_{n=0}^{N} c_n T_n(\tanh x)",
    source="ss2024chebyshev",
    range=(-1.0, 1.0),
    positive=("degree",),
    learned=("coefficients",),
    initial=_polynomial_initial,
    note=_START + "tanh.",
)
@keeps_input(_chebyshev_slope)
def chebyshev(x: jax.Array, degree: int = 4, coefficients: Learned = None) -> jax.Array:
    """Chebyshev polynomials of tanh, with learned coefficients for each channel, as in Chebyshev KAN.

    Args:
      x: the input.
      degree: the highest degree.
      coefficients: of the polynomials, by degree, shape (degree + 1, channels), learned.

    >>> [round(float(y), 4) for y in chebyshev(jnp.array([-1.0, 2.0]))]
    [-0.7616, 0.964]
    """
    return _series(x, coefficients, _next_chebyshev, degree)


def _legendre_slope(x: jax.Array, degree: int, coefficients: Learned) -> jax.Array:
    t = jnp.tanh(x)
    before = jnp.ones_like(t)
    polynomial = t
    slope_before = jnp.zeros_like(t)
    slope = jnp.ones_like(t)
    total = coefficients[1] * slope
    for n in range(2, degree + 1):
        slope_before, slope = slope, slope_before + (2 * n - 1) * polynomial
        before, polynomial = polynomial, _next_legendre(n, t, polynomial, before)
        total = total + coefficients[n] * slope
    return total * sech_squared(x)


@activation(
    r"\sum_{n=0}^{N} c_n P_n(\tanh x)",
    source="rigas2025jaxkan",
    range=(-1.0, 1.0),
    positive=("degree",),
    learned=("coefficients",),
    initial=_polynomial_initial,
    note=_START + "tanh.",
)
@keeps_input(_legendre_slope)
def legendre(x: jax.Array, degree: int = 4, coefficients: Learned = None) -> jax.Array:
    """Legendre polynomials of tanh, with learned coefficients for each channel.

    Args:
      x: the input.
      degree: the highest degree.
      coefficients: of the polynomials, by degree, shape (degree + 1, channels), learned.

    >>> [round(float(y), 4) for y in legendre(jnp.array([-1.0, 2.0]))]
    [-0.7616, 0.964]
    """
    return _series(x, coefficients, _next_legendre, degree)


def _fourier_initial(key: jax.Array | None, width: int, waves: int) -> dict[str, jax.Array]:
    zeros = jnp.zeros((waves, width))
    return {"cosines": zeros, "sines": zeros.at[0].set(1)}


@activation(
    r"\sum_{k=1}^{K} a_k \cos k x + b_k \sin k x",
    source="gistnoesis2024fourierkan",
    range=(-1.0, 1.0),
    monotonic=False,
    positive=("waves",),
    learned=("cosines", "sines"),
    initial=_fourier_initial,
    note=_START + "sine.",
)
@keeps_input()
def fourier(
    x: jax.Array, waves: int = 5, cosines: Learned = None, sines: Learned = None
) -> jax.Array:
    """Fourier series with learned coefficients for each channel, as in FourierKAN; nan at infinity.

    Args:
      x: the input.
      waves: number of frequencies, which are 1, 2, ..., waves radians per unit of x.
      cosines: coefficients of the cosines, shape (waves, channels), learned.
      sines: coefficients of the sines, shape (waves, channels), learned.

    >>> [round(float(y), 4) for y in fourier(jnp.array([-1.0, 2.0]))]
    [-0.8415, 0.9093]
    """
    # By turning one angle again and again: a multiple of a large input would overflow.
    sin = jnp.sin(x)
    cos = jnp.cos(x)
    sin_k = sin
    cos_k = cos
    total = cosines[0] * cos + sines[0] * sin
    for k in range(1, waves):
        sin_k, cos_k = sin_k * cos + cos_k * sin, cos_k * cos - sin_k * sin
        total = total + cosines[k] * cos_k + sines[k] * sin_k
    return total


def _bumps_initial(
    key: jax.Array | None, width: int, centers: int, reach: float
) -> dict[str, jax.Array]:
    return {"base_weight": jnp.ones((width,)), "coefficients": jnp.zeros((centers, width))}


@activation(
    r"w\,\mathrm{silu}(x) + \sum_i c_i e^{-(x - g_i)^2 / h^2}",
    source="li2024fastkan",
    range=(-0.27846455, INF),
    monotonic=False,
    positive=("centers", "reach"),
    learned=("base_weight", "coefficients"),
    initial=_bumps_initial,
    note=_START + "silu. FastKAN normalizes the input first: put a layer norm before it.",
)
@keeps_input()
def gaussian_rbf(
    x: jax.Array,
    centers: int = 8,
    reach: float = 2.0,
    base_weight: Learned = None,
    coefficients: Learned = None,
) -> jax.Array:
    """Weighted sum of Gaussian bumps on a grid and silu, with learned weights per channel (FastKAN).

    Args:
      x: the input.
      centers: number of bumps; two or more.
      reach: the centers are evenly spaced from -reach to reach; a bump's width is their spacing.
      base_weight: weight of silu, shape (channels,), learned.
      coefficients: weights of the bumps, shape (centers, channels), learned.

    >>> [round(float(y), 4) for y in gaussian_rbf(jnp.array([-1.0, 2.0]))]
    [-0.2689, 1.7616]
    """
    if centers < 2:
        raise InputError(f"gaussian_rbf needs centers >= 2, not {centers}")
    total = base_weight * silu(x)
    # In units of a bump's width, counted from the first center.
    place = (finite(x) + reach) / (2 * reach / (centers - 1))
    for i in range(centers):
        distance = place - i
        # Where the bump is 0 in float64 too, and the square might overflow.
        far = abs(distance) > 40
        bump = jnp.exp(-(jnp.where(far, 0, distance) ** 2))
        total = total + coefficients[i] * jnp.where(far, 0, bump)
    return total
