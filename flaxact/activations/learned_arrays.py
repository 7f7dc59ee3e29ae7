"""Shapes with many learned numbers: hinges, bins, splines, and small nets that set the slope."""

from __future__ import annotations

import math
from typing import Any

from flaxact._lazy import jax, jnp, np
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations._numerics import along_last, finite, settled
from flaxact.activations._spec import Learned
from flaxact.activations.self_gated import silu
from flaxact.errors import InputError

INF = math.inf


def _apl_initial(key: Any, width: int, hinges: int) -> dict[str, jax.Array]:
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
    """Adaptive piecewise linear unit: ReLU and a few learned hinges, for each channel.

    Args:
      x: the input.
      hinges: how many; the paper has 1 to 5.
      slopes: shape (hinges, channels), learned.
      places: shape (hinges, channels), learned.

    >>> [float(y) for y in apl(jnp.array([-1.0, 2.0]))]
    [0.0, 2.0]
    """
    total = jnp.where(x <= 0, 0, x)
    x = finite(x)
    for slope, place in zip(slopes, places, strict=True):
        total = total + slope * jnp.where(x < place, place - x, 0)
    return total


def _mtlu_initial(key: Any, width: int, bins: int, reach: float) -> dict[str, jax.Array]:
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
    """Multi-bin trainable linear unit: a line of its own for each bin of the input and each channel.

    Args:
      x: the input.
      bins: how many, even so that 0 is an edge.
      reach: the bins cover the inputs from minus this to this.
      slopes: shape (bins, channels), learned.
      biases: shape (bins, channels), learned.

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
    key: Any, width: int, intervals: int, order: int, reach: float
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
    """B-spline on a grid, and silu, with learned weights for each channel, as in KAN.

    Args:
      x: the input.
      intervals: of the grid.
      order: of the spline: 3 for a cubic.
      reach: the grid covers the inputs from minus this to this; beyond it only silu is left.
      base_weight: shape (channels,), learned: of silu.
      coefficients: shape (intervals + order, channels), learned.

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


def _needs_key(name: str, key: Any) -> None:
    if key is None:
        raise InputError(
            f"{name} draws its weights: call get({name!r}).parameters(width, key) once, and pass them "
            "in each call (Act does both)"
        )


def _squeeze_initial(
    name: str, key: jax.Array, width: int, inner: int, out: int
) -> dict[str, jax.Array]:
    _needs_key(name, key)
    first, second = jax.random.split(key)
    lecun = jax.nn.initializers.lecun_normal()
    draw = lecun if width else jax.nn.initializers.zeros  # LeCun's divides by the width
    return {
        "squeeze": draw(first, (width, inner)),
        "squeeze_bias": jnp.zeros((inner,)),
        "excite": draw(second, (inner, out)),
        "excite_bias": jnp.zeros((out,)),
    }


def _context(x: jax.Array) -> jax.Array:
    """The mean over everything between the batch and the channels: (batch, channels)."""
    between = tuple(range(1, x.ndim - 1))
    return x.mean(between, keepdims=True) if between else x


def _dense(x: jax.Array, weights: jax.Array, bias: jax.Array) -> jax.Array:
    return x @ weights + along_last(bias, x.ndim)


_SQUEEZE = ("squeeze", "squeeze_bias", "excite", "excite_bias")


@activation(
    r"(p_1 - p_2) x\,\sigma(\beta (p_1 - p_2) x) + p_2 x, \quad \beta = \sigma(W_1 W_2 \bar{x})",
    source="ma2021acon",
    range=(-INF, INF),
    monotonic=False,
    coupled=True,
    positive=("reduction",),
    learned=("p1", "p2", *_SQUEEZE),
    initial=lambda key, width, reduction: {
        "p1": jnp.ones((width,)),
        "p2": jnp.zeros((width,)),
        **_squeeze_initial("meta_acon", key, width, max(reduction, width // reduction), width),
    },
    note="p1 and p2 start at 1 and 0, where the authors' code draws them. As there, the inner width "
    "is at least the reduction.",
)
@keeps_input()
def meta_acon(
    x: jax.Array,
    reduction: int = 16,
    *,
    p1: Learned = None,
    p2: Learned = None,
    squeeze: Learned = None,
    squeeze_bias: Learned = None,
    excite: Learned = None,
    excite_bias: Learned = None,
) -> jax.Array:
    """Meta-ACON: ACON-C whose sharpness a small net sets from the means of the channels.

    Args:
      x: the input, (batch, ..., channels).
      reduction: channels over inner width of the small net.
      p1: shape (channels,), learned.
      p2: shape (channels,), learned.
      squeeze: shape (channels, inner), learned.
      squeeze_bias: shape (inner,), learned.
      excite: shape (inner, channels), learned.
      excite_bias: shape (channels,), learned.

    >>> from flaxact import get
    >>> learned = get("meta_acon").parameters(width=4, key=jax.random.key(0))
    >>> meta_acon(jnp.ones((2, 3, 3, 4)), **learned).shape
    (2, 3, 3, 4)
    """
    inner = _dense(_context(x), squeeze, squeeze_bias)
    beta = jax.nn.sigmoid(_dense(inner, excite, excite_bias))
    line = along_last(p1 - p2, x.ndim) * x
    return line * jax.nn.sigmoid(beta * line) + along_last(p2, x.ndim) * x


@activation(
    r"\max_k (a_k x + b_k), \quad (a, b) \text{ from } \bar{x}",
    source="chen2020dyrelu",
    range=(-INF, INF),
    monotonic=False,
    coupled=True,
    positive=("reduction",),
    learned=_SQUEEZE,
    initial=lambda key, width, reduction: _squeeze_initial(
        "dyrelu", key, width, max(1, width // reduction), 4 * width
    ),
    note="DY-ReLU-B, two pieces: slopes 1 and 0 and no offsets, moved by at most 1 and 0.5.",
)
@keeps_input()
def dyrelu(
    x: jax.Array,
    reduction: int = 8,
    squeeze: Learned = None,
    squeeze_bias: Learned = None,
    excite: Learned = None,
    excite_bias: Learned = None,
) -> jax.Array:
    """Dynamic ReLU: a small net sets the slopes of each channel from the means of all.

    Args:
      x: the input, (batch, ..., channels).
      reduction: channels over inner width of the small net.
      squeeze: shape (channels, inner), learned.
      squeeze_bias: shape (inner,), learned.
      excite: shape (inner, 4 channels), learned.
      excite_bias: shape (4 channels,), learned.

    >>> from flaxact import get
    >>> learned = get("dyrelu").parameters(width=4, key=jax.random.key(0))
    >>> dyrelu(jnp.ones((2, 3, 3, 4)), **learned).shape
    (2, 3, 3, 4)
    """
    inner = jnp.maximum(_dense(_context(x), squeeze, squeeze_bias), 0)
    moved = 2 * jax.nn.sigmoid(_dense(inner, excite, excite_bias)) - 1
    slope1, slope2, offset1, offset2 = jnp.split(moved, 4, -1)
    return jnp.maximum((1 + slope1) * x + offset1 / 2, slope2 * x + offset2 / 2)
