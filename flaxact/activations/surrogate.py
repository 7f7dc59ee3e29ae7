"""Activations whose derivative is deliberately that of another function."""

from __future__ import annotations

import functools
import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation as define
from flaxact.activations._grad import in_kernel, keeps_input, recomputed
from flaxact.activations._spec import Activation
from flaxact.activations.swish_variants import bsilu_slope


@functools.lru_cache(256)
def _surrogate(activation: Activation, derivative: Activation, kernel: bool):
    def tangent(x: jax.Array, dx: jax.Array) -> jax.Array:
        return jax.jvp(derivative, (x,), (dx,))[1]

    @jax.custom_jvp
    def function(x: jax.Array) -> jax.Array:
        return activation(x)

    @function.defjvp
    def _(primals, tangents):
        again = recomputed(tangent, kernel)
        return function(*primals), again(*primals, *tangents)

    return function


@define(
    r"f(x), \text{ with the derivative of } g",
    source="neftci2019surrogate",
    range=lambda activation, derivative: activation.range,
    kinks=lambda activation, derivative: activation.kinks,
    jumps=lambda activation, derivative: activation.jumps,
    monotonic=lambda activation, derivative: activation.monotonic,
    surrogate=True,
    fixed=True,
)
def with_surrogate_derivative(
    x: jax.Array, activation: Activation, derivative: Activation
) -> jax.Array:
    """The values of one activation with the derivative of another.

    Differentiation deliberately returns the derivative of the second one.

    Args:
      x: the input.
      activation: the activation that provides the values.
      derivative: the activation that provides the derivative.

    Returns:
      An ``Activation``.

    >>> lent = with_surrogate_derivative("relu", "bsilu")
    >>> float(lent(-1.0)), round(float(jax.grad(lent)(-1.0)), 4)
    (0.0, 0.4007)
    """
    return _surrogate(activation, derivative, in_kernel())(x)


@define(
    r"\max(x, 0), \text{ with the derivative of B-SiLU}",
    source="horuz2025sugar",
    range=(0.0, math.inf),
    kinks=(0.0,),
    surrogate=True,
)
@keeps_input(bsilu_slope)
def sugar(x: jax.Array, alpha: float = 1.67) -> jax.Array:
    r"""ReLU in the forward pass, the derivative of B-SiLU in the backward one (SUGAR).

    Differentiation returns B-SiLU's derivative on purpose, so inactive units still learn.

    Args:
      x: the input.
      alpha: B-SiLU's alpha.

    >>> float(sugar(-1.0)), round(float(jax.grad(sugar)(-1.0)), 4)
    (0.0, 0.4007)
    """
    return jnp.where(x <= 0, 0, x)
