"""A learned quotient of polynomials, which starts as any activation."""

from __future__ import annotations

import functools
import math
from typing import Any

from flaxact._lazy import jax, jnp, np
from flaxact.activations._define import activation as define
from flaxact.activations._grad import keeps_input
from flaxact.activations._spec import Activation, Learned
from flaxact.quadrature import evaluate

INF = math.inf
REACH = 3.0


@functools.lru_cache(256)
def _fitted(activation: Activation) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Least squares over [-3, 3], with a denominator that is even, so that it needs no absolute value."""
    x = np.linspace(-REACH, REACH, 1201)
    y = evaluate(activation, x)
    powers = x[:, None] ** np.arange(6)
    weight, even = np.ones_like(x), np.zeros(2)
    for _ in range(8):  # each round divides by the denominator of the one before
        table = np.concatenate([powers, -y[:, None] * x[:, None] ** [2, 4]], 1) * weight[:, None]
        found = np.linalg.lstsq(table, y * weight, rcond=None)[0]
        even = np.maximum(found[6:], 0)
        weight = 1 / (1 + even[0] * x**2 + even[1] * x**4)
    numerator = np.linalg.lstsq(powers * weight[:, None], y, rcond=None)[0]
    return tuple(map(float, numerator)), (0.0, float(even[0]), 0.0, float(even[1]))


def _initial(key: Any, width: int, activation: Activation) -> dict[str, jax.Array]:
    numerator, denominator = _fitted(activation)
    return {"numerator": jnp.asarray(numerator), "denominator": jnp.asarray(denominator)}


@define(
    r"\frac{\sum_{j=0}^{5} a_j x^j}{1 + |\sum_{j=1}^{4} b_j x^j|}",
    source="molina2020pau",
    range=(-INF, INF),
    monotonic=False,
    learned=("numerator", "denominator"),
    initial=_initial,
    fixed=True,
    aliases=("pau", "pade"),
    note="The safe form, whose denominator is never zero; one for the layer. It starts at a least "
    "squares fit of the activation over [-3, 3].",
)
@keeps_input()
def rational(
    x: jax.Array,
    activation: Activation,
    numerator: Learned = None,
    denominator: Learned = None,
) -> jax.Array:
    """Padé activation unit: a learned rational function of degree 5 over 4.

    Args:
      x: the input.
      activation: what it starts as.
      numerator: shape (6,), learned.
      denominator: shape (4,), learned.

    Returns:
      An ``Activation``.

    >>> from flaxact import tanh
    >>> [round(float(y), 2) for y in rational(tanh)(jnp.array([-1.0, 2.0]))]
    [-0.76, 0.96]
    """
    # Divided through by x⁴ where that is above one, so that no power overflows.
    large = abs(x) > 1
    t = jnp.where(large, 1 / jnp.where(large, x, 1), x)
    above = [*numerator]
    below = [0.0, *denominator]
    p_small, q_small = _polynomial(t, above), _polynomial(t, below)
    p_large, q_large = _polynomial(t, above[::-1]), _polynomial(t, below[::-1])
    one = jnp.where(large, t**4, 1)
    quotient = jnp.where(large, p_large, p_small) / (one + abs(jnp.where(large, q_large, q_small)))
    return quotient * jnp.where(large, x, 1)


def _polynomial(x: jax.Array, coefficients: list[Any]) -> jax.Array:
    total = coefficients[-1] + 0 * x
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total
