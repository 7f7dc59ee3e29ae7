"""Activations whose slopes a small learned net computes from the channel means."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations._numerics import along_last
from flaxact.activations._spec import Learned
from flaxact.errors import InputError

INF = math.inf


def _needs_key(name: str, key: object) -> None:
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
        **_squeeze_initial("meta_acon", key, width, max(reduction, width // reduction), out=width),
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
    """Meta-ACON: ACON-C whose sharpness a small net computes from the channel means.

    Args:
      x: the input, (batch, ..., channels).
      reduction: the number of channels divided by the small net's number of hidden units (inner).
      p1: slope of the first line of ACON-C, shape (channels,), learned.
      p2: slope of the second line of ACON-C, shape (channels,), learned.
      squeeze: first kernel of the small net, shape (channels, inner), learned.
      squeeze_bias: first bias of the small net, shape (inner,), learned.
      excite: second kernel of the small net, shape (inner, channels), learned.
      excite_bias: second bias of the small net, shape (channels,), learned.

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
        "dyrelu", key, width, max(1, width // reduction), out=4 * width
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
    """Dynamic ReLU: a small net computes each channel's slopes from all channel means.

    Args:
      x: the input, (batch, ..., channels).
      reduction: the number of channels divided by the small net's number of hidden units (inner).
      squeeze: first kernel of the small net, shape (channels, inner), learned.
      squeeze_bias: first bias of the small net, shape (inner,), learned.
      excite: second kernel of the small net, shape (inner, 4 * channels), learned.
      excite_bias: second bias of the small net, shape (4 * channels,), learned.

    >>> from flaxact import get
    >>> learned = get("dyrelu").parameters(width=4, key=jax.random.key(0))
    >>> dyrelu(jnp.ones((2, 3, 3, 4)), **learned).shape
    (2, 3, 3, 4)
    """
    inner = jnp.maximum(_dense(_context(x), squeeze, squeeze_bias), 0)
    moved = 2 * jax.nn.sigmoid(_dense(inner, excite, excite_bias)) - 1
    slope1, slope2, offset1, offset2 = jnp.split(moved, 4, -1)
    return jnp.maximum((1 + slope1) * x + offset1 / 2, slope2 * x + offset2 / 2)
