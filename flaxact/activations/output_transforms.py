"""Activations whose output is clipped, capped or squared."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp, np
from flaxact.activations._define import activation as define
from flaxact.activations._grad import keeps_input
from flaxact.activations._spec import Activation, Bounds
from flaxact.activations.tanh_variants import softcapped
from flaxact.activations.transforms import SAME_SHAPE, inner_fact
from flaxact.quadrature import crossings, evaluate, merged


@define(
    r"\min(\max(f(x), \mathrm{low}), \mathrm{high})",
    source="",
    range=lambda activation, low, high: (
        min(max(activation.range[0], low), high),
        max(min(activation.range[1], high), low),
    ),
    kinks=lambda activation, low, high: merged(
        crossings(activation, low), crossings(activation, high), activation.kinks
    ),
    monotonic=inner_fact("monotonic"),
    smoothness=0,
    ordered=("low", "high"),
)
@keeps_input()
def clipped(
    x: jax.Array, activation: Activation, low: float = -1.0, high: float = 1.0
) -> jax.Array:
    """An activation whose output is cut at two limits; its slope is 0 beyond them.

    Args:
      x: the input.
      activation: the activation.
      low: the smallest output.
      high: the largest output.

    Returns:
      An ``Activation``.

    >>> [float(y) for y in clipped("identity")(jnp.array([-3.0, 0.5, 2.0]))]
    [-1.0, 0.5, 1.0]
    """
    y = activation(x)
    return jnp.where(y <= low, low, jnp.where(y >= high, high, y))


def _softcapped_range(activation: Activation, cap: float) -> Bounds:
    low, high = (cap * math.tanh(end / cap) for end in activation.range)
    return low, high


@define(
    r"c \tanh(f(x) / c)",
    source="gemma2024gemma2",
    range=_softcapped_range,
    positive=("cap",),
    note="Gemma 2 caps the logits of its attention at 50 and its last ones at 30.",
    **SAME_SHAPE,
)
@keeps_input()
def softcap(x: jax.Array, activation: Activation, cap: float = 30.0) -> jax.Array:
    """An activation whose output is bounded by a tanh: nearly unchanged far below the cap.

    ``softcap("identity", cap=50)`` caps logits.

    Args:
      x: the input.
      activation: the activation.
      cap: positive, the bound of the output's size.

    Returns:
      An ``Activation``.

    >>> [round(float(y), 3) for y in softcap("identity", cap=50)(jnp.array([-1.0, 100.0]))]
    [-1.0, 48.201]
    """
    return softcapped(activation(x), cap)


def _squared_range(activation: Activation) -> Bounds:
    low, high = activation.range
    squares = low * low, high * high
    return 0.0 if low <= 0 <= high else min(squares), max(squares)


def _squared_kinks(activation: Activation) -> tuple[float, ...]:
    """The kinks at which the value is not 0: where it is 0, so is the slope of the square."""
    kinks = np.asarray(activation.kinks)
    return tuple(map(float, kinks[abs(evaluate(activation, kinks)) > 1e-12]))


def _squared_jumps(activation: Activation) -> tuple[float, ...]:
    """The jumps, except where the sign alone changes."""
    jumps = np.asarray(activation.jumps)
    step = 1e-9 * (1 + abs(jumps))
    below, above = (evaluate(activation, place) ** 2 for place in (jumps - step, jumps + step))
    return tuple(map(float, jumps[abs(above - below) > 1e-6 * (above + below)]))


def _squared_smoothness(activation: Activation) -> float:
    if activation.jumps or _squared_kinks(activation):
        return 0
    return max(1, activation.smoothness)


@define(
    "f(x)^2",
    source="so2021primer",
    range=_squared_range,
    kinks=_squared_kinks,
    jumps=_squared_jumps,
    monotonic=lambda activation: activation.monotonic and activation.range[0] >= 0,
    smoothness=_squared_smoothness,
    note="The source squares ReLU, `squared_relu` here.",
)
@keeps_input()
def squared(x: jax.Array, activation: Activation) -> jax.Array:
    """The square of an activation, such as ``squared(leaky_relu(0.5))``.

    The square of a decreasing activation is stated as not monotonic.

    Args:
      x: the input.
      activation: the activation.

    Returns:
      An ``Activation``.

    >>> [float(y) for y in squared("leaky_relu(0.5)")(jnp.array([-2.0, 3.0]))]
    [1.0, 9.0]
    """
    y = activation(x)
    return y * y
