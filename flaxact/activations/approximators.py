"""Learned approximators of any shape: hinges, bins, splines, rational functions."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from flaxact._lazy import jax, jnp, np
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations._numerics import finite, settled
from flaxact.activations._spec import Activation, Learned
from flaxact.activations.swish_variants import silu
from flaxact.quadrature import evaluate

INF = math.inf
REACH = 3.0


def _apl_initial(key: jax.Array | None, width: int, hinges: int) -> dict[str, jax.Array]:
    places = jnp.linspace(-1, 1, hinges + 2)[1:-1]
    return {"slopes": jnp.zeros((hinges, width)), "places": jnp.tile(places[:, None], (1, width))}


@activation(
    r"\max(x, 0) + \sum_{s} a_s \max(-x + b_s, 0)",
    source="agostinelli2015apl",
    range=(0.0, INF),
    kinks=(0.0,),
    learned=("slopes", "places"),
    initial=_apl_initial,
    note="The paper does not say how slopes and places start: here at relu, with the hinges spread "
    "evenly over (-1, 1).",
)
@keeps_input()
def apl(
    x: jax.Array,
    hinges: int = 2,
    slopes: Learned = None,
    places: Learned = None,
) -> jax.Array:
    """Adaptive piecewise linear unit: ReLU plus a few learned hinge functions per channel.

    Args:
      x: the input.
      hinges: number of hinges; 1 to 5 in the paper.
      slopes: slope of each hinge function, shape (hinges, channels), learned.
      places: position of each hinge function, shape (hinges, channels), learned.

    >>> [float(y) for y in apl(jnp.array([-1.0, 2.0]))]
    [0.0, 2.0]
    """
    total = jnp.where(x <= 0, 0, x)
    x = finite(x)
    for slope, place in zip(slopes, places, strict=True):
        total = total + slope * jnp.where(x < place, place - x, 0)
    return total


def _mtlu_initial(
    key: jax.Array | None, width: int, bins: int, reach: float
) -> dict[str, jax.Array]:
    left = np.linspace(-reach, reach, bins + 1)[:-1]
    slopes = jnp.asarray(np.tile((left >= -1e-9)[:, None], (1, width)), jnp.float32)
    return {"slopes": slopes, "biases": jnp.zeros((bins, width))}


@activation(
    r"a_k x + b_k \text{ for } x \text{ in bin } k",
    source="gu2019mtlu",
    range=(0.0, INF),
    kinks=(0.0,),
    positive=("bins", "reach"),
    static=("reach",),
    learned=("slopes", "biases"),
    initial=_mtlu_initial,
    note="The paper has 40 bins from -1 to 1; the outermost reach to infinity. It starts as relu.",
)
@keeps_input()
def mtlu(
    x: jax.Array,
    bins: int = 40,
    reach: float = 1.0,
    slopes: Learned = None,
    biases: Learned = None,
) -> jax.Array:
    """Multi-bin trainable linear unit: a separate learned line for each input bin and channel.

    Args:
      x: the input.
      bins: number of bins; even, so that 0 is an edge.
      reach: the bins cover inputs from -reach to reach.
      slopes: slope of the line in each bin, shape (bins, channels), learned.
      biases: intercept of the line in each bin, shape (bins, channels), learned.

    >>> [abs(float(y)) for y in mtlu(jnp.array([-1.0, 2.0]))]
    [0.0, 2.0]
    """
    # One choice after another, not a look-up: gathering is slow on accelerators. An edge belongs to the
    # bin on its left, so that the slope at 0 is relu's.
    edges = np.linspace(-reach, reach, bins + 1)[1:-1]
    x = finite(x)
    total = slopes[0] * x + biases[0]
    for edge, slope, bias in zip(edges, slopes[1:], biases[1:], strict=True):
        total = jnp.where(x > float(edge), slope * x + bias, total)
    return total


def _spline_initial(
    key: jax.Array | None, width: int, intervals: int, order: int, reach: float
) -> dict[str, jax.Array]:
    return {
        "base_weight": jnp.ones((width,)),
        "coefficients": jnp.zeros((intervals + order, width)),
    }


@activation(
    r"w\,\mathrm{silu}(x) + \sum_i c_i B_i(x)",
    source="liu2024kan",
    range=(-0.27846455, INF),
    monotonic=False,
    positive=("intervals", "order", "reach"),
    learned=("base_weight", "coefficients"),
    initial=_spline_initial,
    note="KAN draws its coefficients with a small noise; here they start at 0, and it starts as silu. "
    "One spline a channel, where KAN has one an edge.",
)
@keeps_input()
def spline(
    x: jax.Array,
    intervals: int = 5,
    order: int = 3,
    reach: float = 1.0,
    base_weight: Learned = None,
    coefficients: Learned = None,
) -> jax.Array:
    """Weighted sum of a B-spline on a grid and silu, with learned weights per channel, as in KAN.

    Args:
      x: the input.
      intervals: number of intervals of the grid.
      order: order of the spline; 3 is cubic.
      reach: the grid covers inputs from -reach to reach; only silu remains outside this range.
      base_weight: weight of silu, shape (channels,), learned.
      coefficients: of the B-splines, shape (intervals + order, channels), learned.

    >>> [round(float(y), 4) for y in spline(jnp.array([-1.0, 2.0]))]
    [-0.2689, 1.7616]
    """
    x = finite(x)
    total = base_weight * silu(x)
    step = 2 * reach / intervals
    # In units of the grid, counted from the first knot; clipped, so that no power overflows.
    place = jnp.clip((settled(x, reach) + reach) / step + order, -1, intervals + 2 * order + 1)
    for i in range(intervals + order):
        total = total + coefficients[i] * _b_spline(place - i, order)
    return total


def _b_spline(t: jax.Array, order: int) -> jax.Array:
    """The cardinal B-spline, which is above zero for 0 < t < order + 1."""
    values = [jnp.where((t >= k) & (t < k + 1), 1, 0).astype(t.dtype) for k in range(order + 1)]
    for n in range(1, order + 1):
        values = [
            ((t - k) * values[k] + (k + n + 1 - t) * values[k + 1]) / n
            for k in range(order + 1 - n)
        ]
    return values[0]


@functools.lru_cache(256)
def _fitted(activation: Activation) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Least squares over [-3, 3], with a denominator that is even, so that it needs no absolute value."""
    x = np.linspace(-REACH, REACH, 1201)
    y = evaluate(activation, x)
    powers = x[:, None] ** np.arange(6)
    weight = np.ones_like(x)
    even = np.zeros(2)
    for _ in range(8):  # each round divides by the denominator of the one before
        table = np.concatenate([powers, -y[:, None] * x[:, None] ** [2, 4]], 1) * weight[:, None]
        coefficients = np.linalg.lstsq(table, y * weight, rcond=None)[0]
        even = np.maximum(coefficients[6:], 0)
        weight = 1 / (1 + even[0] * x**2 + even[1] * x**4)
    numerator = np.linalg.lstsq(powers * weight[:, None], y, rcond=None)[0]
    return tuple(map(float, numerator)), (0.0, float(even[0]), 0.0, float(even[1]))


def _initial(key: jax.Array | None, width: int, activation: Activation) -> dict[str, jax.Array]:
    numerator, denominator = _fitted(activation)
    return {"numerator": jnp.asarray(numerator), "denominator": jnp.asarray(denominator)}


@activation(
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
      activation: the activation that the initial coefficients approximate.
      numerator: polynomial coefficients in ascending order, shape (6,), learned.
      denominator: polynomial coefficients except for the constant 1, shape (4,), learned.

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
    p_small = _polynomial(t, above)
    q_small = _polynomial(t, below)
    p_large = _polynomial(t, above[::-1])
    q_large = _polynomial(t, below[::-1])
    leading = jnp.where(large, t**4, 1)
    quotient = jnp.where(large, p_large, p_small) / (
        leading + abs(jnp.where(large, q_large, q_small))
    )
    return quotient * jnp.where(large, x, 1)


def _polynomial(x: jax.Array, coefficients: Sequence[jax.Array | float]) -> jax.Array:
    total = coefficients[-1] + 0 * x
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total
