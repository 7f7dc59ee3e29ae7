"""Combinations of two activations, and an activation that alternates between channels."""

from __future__ import annotations

from flaxact._lazy import jax, jnp, np
from flaxact.activations._define import activation as define
from flaxact.activations._grad import keeps_input
from flaxact.activations._numerics import along_last
from flaxact.activations._spec import Activation, Bounds
from flaxact.quadrature import crossings, evaluate, merged


@define(
    r"f(x) \text{ in even channels, } -f(-x) \text{ in odd ones}",
    source="eidnes2017bipolar",
    range=lambda activation: (
        min(activation.range[0], -activation.range[1]),
        max(activation.range[1], -activation.range[0]),
    ),
    monotonic=lambda activation: activation.monotonic,
    coupled=True,
)
@keeps_input()
def bipolar(x: jax.Array, activation: Activation) -> jax.Array:
    """Every second channel has -f(-x) in place of f(x), so that the channel means cancel.

    Args:
      x: the input; channels along the last axis.
      activation: the activation.

    Returns:
      An ``Activation``.

    >>> from flaxact import relu
    >>> bipolar(relu)(jax.numpy.array([-1.0, -1.0, 2.0, 2.0]))
    Array([ 0., -1.,  2., -0.], dtype=float32)
    """
    even = jnp.arange(x.shape[-1]) % 2 == 0
    sign = along_last(jnp.where(even, 1, -1).astype(x.dtype), x.ndim)
    return sign * activation(sign * x)


@define(
    r"w\,f(x) + (1 - w)\,g(x)",
    source="",
    range=lambda first, second, weight: tuple(  # type: ignore[arg-type]
        (weight * a if weight else 0.0) + ((1 - weight) * b if weight != 1 else 0.0)
        for a, b in zip(first.range, second.range, strict=True)
    ),
    kinks=lambda first, second, weight: merged(first.kinks, second.kinks),
    jumps=lambda first, second, weight: merged(first.jumps, second.jumps),
    monotonic=lambda first, second, weight: (
        first.monotonic and second.monotonic and 0 <= weight <= 1
    ),
    smoothness=lambda first, second, weight: min(first.smoothness, second.smoothness),
    unit=("weight",),
)
@keeps_input()
def mixture(x: jax.Array, first: Activation, second: Activation, weight: float = 0.5) -> jax.Array:
    """The weighted mean of two activations.

    The stated range and monotonicity are valid, but the stated range may be wider than needed.

    Args:
      x: the input.
      first: the first activation.
      second: the second activation.
      weight: weight of the first activation, from 0 to 1.

    Returns:
      An ``Activation``.

    >>> [round(float(y), 4) for y in mixture("elu", "leaky_relu(0.05)")(jnp.array([-1.0, 2.0]))]
    [-0.3411, 2.0]
    """
    return weight * first(x) + (1 - weight) * second(x)


def _composed_range(outer: Activation, inner: Activation) -> Bounds:
    if not outer.monotonic:
        return outer.range
    with np.errstate(all="ignore"):
        low, high = evaluate(outer, np.asarray(inner.range))
    return float(low), float(high)


@define(
    r"f(g(x))",
    source="",
    range=_composed_range,
    kinks=lambda outer, inner: merged(inner.kinks, *(crossings(inner, k) for k in outer.kinks)),
    jumps=lambda outer, inner: merged(inner.jumps, *(crossings(inner, k) for k in outer.jumps)),
    monotonic=lambda outer, inner: outer.monotonic and inner.monotonic,
    smoothness=lambda outer, inner: min(outer.smoothness, inner.smoothness),
)
@keeps_input()
def compose(x: jax.Array, outer: Activation, inner: Activation) -> jax.Array:
    """The composition of two activations: outer(inner(x)).

    Args:
      x: the input.
      outer: the activation that is applied second.
      inner: the activation that is applied first.

    Returns:
      An ``Activation``.

    >>> [round(float(y), 4) for y in compose("relu", "tanh")(jnp.array([-1.0, 2.0]))]
    [0.0, 0.964]
    """
    return outer(inner(x))
