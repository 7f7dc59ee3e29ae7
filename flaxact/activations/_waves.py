"""Sines and cosines of a product, with the digits that its rounding loses."""

from __future__ import annotations

import math
from typing import Union

from flaxact._lazy import jax, jnp, np
from flaxact.activations._grad import in_jet
from flaxact.activations._numerics import Parts, finite

Frequency = Union[float, "jax.Array", Parts]


def near(frequency: Frequency) -> jax.Array | np.float32 | float:
    return frequency.near if isinstance(frequency, Parts) else frequency


def _split(frequency: Frequency) -> tuple[jax.Array | float, jax.Array | float]:
    """A frequency as one of 11 digits, so that its product with one of 12 is exact, and the rest."""
    if isinstance(frequency, float):
        grain = math.ldexp(1.0, math.frexp(frequency)[1] - 11)
        high = round(frequency / grain) * grain
        return high, frequency - high
    number = jnp.asarray(near(frequency), jnp.float32)
    high, rest = halves(number)
    return high, rest + frequency.rest if isinstance(frequency, Parts) else rest


def waves(frequency: Frequency, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sin and cos of frequency · x, with what the product's rounding has lost (Dekker 1971)."""
    product = near(frequency) * x
    is_exact = isinstance(frequency, float) and frequency == 1
    if not is_exact:  # the sine of a product that overflows is that of the largest number
        product = jnp.where(jnp.isfinite(x), finite(product), product)
    if is_exact or x.dtype != jnp.float32 or in_jet(x):  # which cannot reduce a precision
        return jnp.sin(product), jnp.cos(product)
    f_high, f_rest = _split(frequency)
    x_high, x_rest = halves(x)
    lost = ((f_high * x_high - product) + f_high * x_rest + f_rest * x_high) + f_rest * x_rest
    return turned(jnp.sin(product), jnp.cos(product), lost)


def halves(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A float32 array as one of 12 digits and the rest, whose products are exact."""
    high = jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=11)
    return high, x - high


def turned(sin: jax.Array, cos: jax.Array, lost: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sin and cos of an angle that is larger by the small one that its rounding has lost."""
    # Beyond a quarter, neighboring inputs are whole radians apart, and the rounded angle's sine will do.
    angle = jax.lax.stop_gradient(jnp.where(abs(lost) <= 0.25, lost, 0))
    square = angle * angle
    angle_sin = angle * (1 - square / 6 * (1 - square / 20))
    rest_cos = square / 2 * (1 - square / 12 * (1 - square / 30))  # 1 - cos
    return sin + (angle_sin * cos - rest_cos * sin), cos - (angle_sin * sin + rest_cos * cos)
