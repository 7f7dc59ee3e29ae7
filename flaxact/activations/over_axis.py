"""Activations that normalize over an axis: sparsemax, entmax, squash and PolyNorm."""

from __future__ import annotations

import math
from collections.abc import Callable

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input, keeps_output_whole
from flaxact.activations._numerics import along_last, finite, largest, square_root
from flaxact.activations._spec import Learned
from flaxact.errors import InputError

INF = math.inf
_AXIS = {"monotonic": False, "coupled": True}


def _from_the_top(x: jax.Array, axis: int) -> jax.Array:
    """In falling order along the last axis, for a largest value of 0."""
    # The threshold is at least -1: what is less may count as -2, so that neither it nor its square
    # drowns the rest.
    return jnp.flip(jnp.sort(jnp.maximum(jnp.moveaxis(x, axis, -1), -2), -1), -1)


def _above(
    x: jax.Array, axis: int, thresholds: Callable[[jax.Array, jax.Array], jax.Array]
) -> jax.Array:
    """What of the values lies above the last threshold that its own value reaches, else 0.

    ``thresholds(ordered, count)`` are those that hold if so many of the values are above.
    """
    ordered = _from_the_top(x, axis)
    if not x.shape[axis]:
        return x
    count = jnp.arange(1, ordered.shape[-1] + 1, dtype=x.dtype)
    candidates = thresholds(ordered, along_last(count, x.ndim))
    size = jnp.sum(candidates <= ordered, -1, keepdims=True)
    return jnp.maximum(x - jnp.moveaxis(jnp.take_along_axis(candidates, size - 1, -1), -1, axis), 0)


def _sparsemax_tangent(y: jax.Array, dx: jax.Array, axis: int) -> jax.Array:
    support = jnp.where(y > 0, 1, 0).astype(y.dtype)
    mean = jnp.sum(support * dx, axis, keepdims=True) / jnp.sum(support, axis, keepdims=True)
    return support * (dx - mean)


@activation(
    r"\operatorname{argmin}_{p \in \Delta} \lVert p - x \rVert^2",
    source="martins2016sparsemax",
    range=(0.0, 1.0),
    **_AXIS,
)
@keeps_output_whole(_sparsemax_tangent)
def sparsemax(x: jax.Array, axis: int = -1) -> jax.Array:
    """Sparsemax: the projection onto the probability simplex; most values are exactly zero.

    Args:
      x: the input.
      axis: the axis over which the values sum to one.

    >>> [round(float(y), 4) for y in sparsemax(jnp.array([0.0, 0.5, 2.0]))]
    [0.0, 0.0, 1.0]
    """
    x = x - jnp.max(x, axis, keepdims=True, initial=-INF)
    return _above(x, axis, lambda ordered, count: (jnp.cumsum(ordered, -1) - 1) / count)


def _entmax15_tangent(y: jax.Array, dx: jax.Array, axis: int) -> jax.Array:
    root = square_root(y)
    mean = jnp.sum(root * dx, axis, keepdims=True) / jnp.sum(root, axis, keepdims=True)
    return root * (dx - mean)


@activation(
    r"\max(x_i / 2 - \tau, 0)^2, \quad \text{with } \tau \text{ such that they sum to one}",
    source="peters2019entmax",
    range=(0.0, 1.0),
    **_AXIS,
)
@keeps_output_whole(_entmax15_tangent)
def entmax15(x: jax.Array, axis: int = -1) -> jax.Array:
    """1.5-entmax: between softmax and sparsemax, with exact zeros and a continuous derivative.

    Args:
      x: the input.
      axis: the axis over which the values sum to one.

    >>> [round(float(y), 4) for y in entmax15(jnp.array([0.0, 0.5, 2.0]))]
    [0.0, 0.0504, 0.9496]
    """
    x = (x - jnp.max(x, axis, keepdims=True, initial=-INF)) / 2

    def thresholds(ordered: jax.Array, count: jax.Array) -> jax.Array:
        mean = jnp.cumsum(ordered, -1) / count
        spread = jnp.cumsum(ordered * ordered, -1) - count * mean * mean
        return mean - square_root((1 - spread) / count)

    return _above(x, axis, thresholds) ** 2


def _entmax_weights(z: jax.Array, threshold: jax.Array, power: float | jax.Array) -> jax.Array:
    above = z > threshold
    return jnp.where(above, jnp.where(above, z - threshold, 1) ** power, 0)


def _entmax_threshold(z: jax.Array, power: float | jax.Array, axis: int) -> jax.Array:
    """The largest threshold for which the weights sum to one or more, by bisection."""

    def halved(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = (low + high) / 2
        enough = jnp.sum(_entmax_weights(z, middle, power), axis, keepdims=True) >= 1
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    low = jnp.full_like(jnp.sum(z, axis, keepdims=True), -1)  # the sum is at least 1 there
    steps = jnp.finfo(z.dtype).nmant + 4
    return jax.lax.fori_loop(0, steps, halved, (low, jnp.zeros_like(low)))[0]


def _entmax_tangent(y: jax.Array, dx: jax.Array, alpha: float, axis: int) -> jax.Array:
    support = y > 0
    weights = jnp.where(support, jnp.where(support, y, 1) ** (2 - alpha), 0)
    mean = jnp.sum(weights * dx, axis, keepdims=True) / jnp.sum(weights, axis, keepdims=True)
    return weights * (dx - mean)


@keeps_output_whole(_entmax_tangent)
def _entmax(x: jax.Array, alpha: float, axis: int) -> jax.Array:
    power = 1 / (alpha - 1)
    z = (x - jnp.max(x, axis, keepdims=True, initial=-INF)) * (alpha - 1)
    y = _entmax_weights(z, _entmax_threshold(z, power, axis), power)
    return y / jnp.sum(y, axis, keepdims=True)


@keeps_input()
def _learned_entmax(x: jax.Array, alpha: jax.Array, axis: int) -> jax.Array:
    top = jax.lax.stop_gradient(jnp.max(x, axis, keepdims=True, initial=-INF))
    power = 1 / (alpha - 1)
    z = (x - top) * (alpha - 1)
    constants = jax.lax.stop_gradient((z, power))
    threshold = jax.lax.stop_gradient(_entmax_threshold(*constants, axis))
    # Each of Newton's steps doubles the number of derivatives that are right, from the value alone.
    for _ in range(2):
        above = z > threshold
        gap = jnp.where(above, z - threshold, 1)
        excess = jnp.sum(jnp.where(above, gap**power, 0), axis, keepdims=True) - 1
        fall = jnp.sum(jnp.where(above, power * gap ** (power - 1), 0), axis, keepdims=True)
        threshold = threshold + excess / fall
    y = _entmax_weights(z, threshold, power)
    return y / jnp.sum(y, axis, keepdims=True)


@activation(
    r"\max((\alpha - 1) x_i - \tau, 0)^{1 / (\alpha - 1)}, "
    r"\quad \text{with } \tau \text{ such that they sum to one}",
    source="peters2019entmax",
    range=(0.0, 1.0),
    above_one=("alpha",),
    note="`entmax15` and `sparsemax` are alpha 1.5 and 2, computed without a search; softmax is the "
    "limit for alpha 1. Correia et al. 2019 learn an alpha between 1 and 2 for each attention head: give "
    "alpha=1 + sigmoid(a).",
    **_AXIS,
)
def entmax(x: jax.Array, alpha: float = 1.5, axis: int = -1) -> jax.Array:
    r"""α-entmax: from softmax, its limit for alpha 1, to sparsemax at 2 and beyond, with exact zeros.

    Args:
      x: the input.
      alpha: :math:`\alpha`, above 1; an array has a derivative too, and one number along the axis.
      axis: over which the values sum to one.

    >>> [round(float(y), 4) for y in entmax(jnp.array([0.0, 0.5, 2.0]), 1.25)]
    [0.0439, 0.1152, 0.8409]
    """
    if isinstance(alpha, float):
        return _entmax(x, alpha, axis)
    shape = jnp.shape(alpha)
    place = axis % x.ndim - x.ndim  # counted from the end, as arrays broadcast
    if -place <= len(shape) and shape[place] != 1:
        raise InputError(f"entmax needs one alpha along axis {axis}, not {shape[place]}")
    return _learned_entmax(x, alpha, axis)


@activation(
    r"\frac{\lVert x \rVert^2}{1 + \lVert x \rVert^2} \frac{x}{\lVert x \rVert}",
    source="sabour2017dynamic",
    range=(-1.0, 1.0),
    **_AXIS,
)
@keeps_input()
def squash(x: jax.Array, axis: int = -1) -> jax.Array:
    """Squash: the vector along the axis keeps its direction, its length becomes less than one.

    Args:
      x: the input, with one capsule vector along the axis.
      axis: the axis of the capsule vectors.

    >>> [round(float(y), 4) for y in squash(jnp.array([3.0, 4.0]))]
    [0.5769, 0.7692]
    """
    # In units of the largest, if that is above one, whose square might overflow.
    x = finite(x)
    scale = jnp.maximum(largest(x, axis), 1)
    x = x / scale
    square = jnp.sum(x * x, axis, keepdims=True)
    return x * (square_root(square) / (1 / scale / scale + square))


def _polynorm_initial(key: jax.Array | None, width: int, axis: int) -> dict[str, jax.Array]:
    return {"weights": jnp.full((3,), 1 / 3, jnp.float32), "bias": jnp.zeros((), jnp.float32)}


@activation(
    r"\sum_{i=1}^{3} w_i \frac{x^i}{\lVert x^i \rVert_{\mathrm{rms}}} + b",
    source="zhuo2025polycom",
    range=(-INF, INF),
    learned=("weights", "bias"),
    initial=_polynorm_initial,
    note="The paper adds 1e-6 to the mean squares; here nothing is, and the scale of x does not matter.",
    **_AXIS,
)
@keeps_input()
def polynorm(
    x: jax.Array,
    axis: int = -1,
    weights: Learned = None,
    bias: Learned = None,
) -> jax.Array:
    """PolyNorm: a cubic whose powers are each divided by their root mean square over the channels.

    Args:
      x: the input.
      axis: the channel axis.
      weights: weights of x, x² and x³, shape (3,), learned; initially 1/3 each.
      bias: shape (), learned; initially 0.

    >>> [round(float(y), 4) for y in polynorm(jnp.array([-1.0, 1.0]))]
    [-0.3333, 1.0]
    """
    # Powers of the input over its largest: the norm takes the scale away, and cubes stay in range.
    x = finite(x)
    scale = largest(x, axis)
    x = x / jnp.where(scale > 0, scale, 1)
    total = bias
    for i in (1, 2, 3):
        power = x**i
        mean_square = jnp.mean(power * power, axis, keepdims=True)
        total = total + weights[i - 1] * power / jnp.sqrt(jnp.where(scale > 0, mean_square, 1))
    return total
