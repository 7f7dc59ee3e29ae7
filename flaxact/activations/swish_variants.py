"""Swish and its variants: the input times a sigmoid gate."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations._numerics import (
    below_zero,
    expm1,
    finite,
    lifted,
    settled_sigmoid,
    sigmoids,
)

INF = math.inf
_QUICK = 1.702  # Hendrycks & Gimpel 2016, §2


def _swish_slope(x: jax.Array, beta: float) -> jax.Array:
    z = beta * x
    gate, rest = sigmoids(z)
    # Beyond, the rest is 0 in float64 too; and what is to come may be multiplied with.
    return gate * (1 + jnp.clip(z, -1e4, 1e4) * rest)


def _silu_slope(x: jax.Array) -> jax.Array:
    return _swish_slope(x, 1.0)


@activation(
    r"\frac{x}{1 + e^{-x}}",
    source="elfwing2018silu",
    range=(-0.27846455, INF),
    monotonic=False,
    aliases=("swish",),
)
@keeps_input(_silu_slope)
def silu(x: jax.Array) -> jax.Array:
    r"""Sigmoid-weighted linear unit: x times the sigmoid of x; Swish with β = 1.

    Proposed by Hendrycks & Gimpel 2016 and Elfwing et al. 2018. Ramachandran et al. 2017 found the
    same function by a search, and named it Swish.

    >>> [round(float(y), 4) for y in silu(jnp.array([-1.0, 2.0]))]
    [-0.2689, 1.7616]
    """
    return lifted(x) * jax.nn.sigmoid(x)


@activation(
    r"x\,\sigma(\beta x)",
    source="ramachandran2017swish",
    range=lambda beta: (-0.27846455 / beta if beta > 0 else -INF, INF),
    monotonic=False,
    learned=("beta",),
    per_channel=False,
    note="`swish` alone is silu, as in jax.nn.",
)
@keeps_input(_swish_slope)
def swish_beta(x: jax.Array, beta: float = 1.0) -> jax.Array:
    """Swish with an adjustable steepness, a number or learned.

    Args:
      x: the input.
      beta: the steepness: 0 gives x / 2, large ones approach relu.

    >>> [round(float(y), 4) for y in swish_beta(jnp.array([-1.0, 2.0]), 2.0)]
    [-0.1192, 1.964]
    """
    return finite(x) * settled_sigmoid(beta * x, beta)


@activation(
    r"x\,\sigma(1.702\,x)",
    source="hendrycks2016gelu",
    range=(-0.16360983, INF),
    monotonic=False,
    aliases=("gelu_sigmoid",),
    near=("gelu", "gelu(approximate=False)"),
)
@keeps_input(lambda x: _swish_slope(x, _QUICK))
def quick_gelu(x: jax.Array) -> jax.Array:
    """The sigmoid approximation of GELU: x times sigmoid(1.702 x).

    >>> [round(float(y), 4) for y in quick_gelu(jnp.array([-1.0, 2.0]))]
    [-0.1542, 1.9357]
    """
    return lifted(x) * jax.nn.sigmoid(_QUICK * x)


@activation(
    r"\beta x\,\sigma(x)",
    source="alcaide2018eswish",
    range=lambda beta: (-0.27846455 * beta, INF),
    monotonic=False,
    positive=("beta",),
    note="The paper tries factors from 1 to 2 and reports 1.25 to 1.5; libraries default to 1 to 1.75.",
)
@keeps_input(lambda x, beta: beta * _swish_slope(x, 1.0))
def e_swish(x: jax.Array, beta: float = 1.25) -> jax.Array:
    """E-swish: silu times a factor.

    Args:
      x: the input.
      beta: the factor, positive.

    >>> [round(float(y), 4) for y in e_swish(jnp.array([-1.0, 2.0]))]
    [-0.3362, 2.202]
    """
    return beta * (finite(x) * jax.nn.sigmoid(x))


@activation(
    r"x \min(\max(x + 3, 0), 6) / 6",
    source="howard2019mobilenetv3",
    range=(-0.375, INF),
    kinks=(-3.0, 3.0),
    monotonic=False,
    aliases=("hard_silu",),
)
@keeps_input(lambda x: jnp.where(x <= -3, 0, jnp.where(x >= 3, 1, (2 * x + 3) / 6)).astype(x.dtype))
def hard_swish(x: jax.Array) -> jax.Array:
    """Hard swish: a piecewise quadratic approximation of silu.

    >>> [round(float(y), 4) for y in hard_swish(jnp.array([-1.0, 2.0]))]
    [-0.3333, 1.6667]
    """
    return jnp.where(x <= -3, 0, jnp.where(x >= 3, x, x * ((x + 3) / 6)))


@activation(
    r"\tfrac{1}{2} x \min(2, \max(0, x + 2))",
    source="wightman2019timm",
    range=(-0.5, INF),
    kinks=(-2.0,),
    monotonic=False,
    note="From timm, which names Misra's H-Mish as its origin; no paper defines it.",
)
@keeps_input(lambda x: jnp.where(x <= -2, 0, jnp.where(x >= 0, 1, x + 1)).astype(x.dtype))
def hard_mish(x: jax.Array) -> jax.Array:
    """Hard Mish: a piecewise quadratic approximation of mish.

    >>> [round(float(y), 4) for y in hard_mish(jnp.array([-1.0, 2.0]))]
    [-0.5, 2.0]
    """
    return jnp.where(x <= -2, 0, jnp.where(x >= 0, x, x * (x / 2 + 1)))


def _acon_slope(x: jax.Array, p1: float, p2: float, beta: float) -> jax.Array:
    z = beta * (p1 - p2) * jnp.clip(x, -1e4, 1e4)
    gate, rest = sigmoids(z)
    return (p1 - p2) * gate * (1 + z * rest) + p2


@activation(
    r"(p_1 - p_2) x\,\sigma(\beta (p_1 - p_2) x) + p_2 x",
    source="ma2021acon",
    range=lambda p1, p2, beta: (
        (-0.27846455 / beta, INF) if p2 == 0 and p1 > 0 and beta > 0 else (-INF, INF)
    ),
    monotonic=False,
    learned=("p1", "p2", "beta"),
    per_channel=True,
    note="Starts at p1 = 1, p2 = 0, which is swish; the authors' code draws both from N(0, 1).",
)
@keeps_input(_acon_slope)
def acon_c(
    x: jax.Array,
    p1: float | jax.Array = 1.0,
    p2: float | jax.Array = 0.0,
    beta: float | jax.Array = 1.0,
) -> jax.Array:
    """ACON-C: a smooth maximum of two lines through the origin, whose slopes are learned.

    Args:
      x: the input.
      p1: the slope of one line.
      p2: the slope of the other.
      beta: how sharp the maximum is; 0 gives the mean of the two.

    >>> [round(float(y), 4) for y in acon_c(jnp.array([-1.0, 2.0]), p2=0.25)]
    [-0.4906, 1.7264]
    """
    x = finite(x)
    line = finite((p1 - p2) * x)
    return line * settled_sigmoid(beta * line, p1, p2, beta) + p2 * x


def bsilu_slope(x: jax.Array, alpha: float) -> jax.Array:
    """The derivative of ``bsilu``, used by ``sugar``."""
    gate, rest = sigmoids(x)
    return gate * (1 + (jnp.clip(x, -1e4, 1e4) + alpha) * rest)  # beyond, the rest is 0


@activation(
    r"(x + \alpha)\,\sigma(x) - \alpha / 2",
    source="horuz2025sugar",
    # The minimum lies where x + alpha + 1 + e^x = 0, which Lambert's W solves.
    range=lambda alpha: (_bsilu_minimum(alpha), INF),
    monotonic=False,
    positive=("alpha",),
)
@keeps_input(bsilu_slope)
def bsilu(x: jax.Array, alpha: float = 1.67) -> jax.Array:
    """Bounded SiLU: silu moved left by alpha, and down to pass through the origin.

    Args:
      x: the input.
      alpha: positive.

    >>> [round(float(y), 4) for y in bsilu(jnp.array([-1.0, 2.0]))]
    [-0.6548, 2.3975]
    """
    # (x + a) s(x) - a/2 = x s(x) + (a/2) tanh(x/2), which does not cancel at 0.
    return finite(x) * jax.nn.sigmoid(x) + alpha / 2 * jnp.tanh(x / 2)


def _bsilu_minimum(alpha: float) -> float:
    x = -alpha - 1
    for _ in range(60):
        x = x - (x + alpha + 1 + math.exp(x)) / (1 + math.exp(x))
    return (x + alpha) / (1 + math.exp(-x)) - alpha / 2


def _elish_slope(x: jax.Array) -> jax.Array:
    below = below_zero(x)
    gate, rest = sigmoids(below)
    return jnp.where(x > 0, _silu_slope(x), gate * (jnp.exp(below) + expm1(below) * rest))


@activation(
    r"\frac{x}{1 + e^{-x}} \text{ if } x > 0 \text{ else } \frac{e^x - 1}{1 + e^{-x}}",
    source="basirat2018quest",
    range=(-((math.sqrt(2) - 1) ** 2), INF),
    smoothness=1,
    monotonic=False,
)
@keeps_input(_elish_slope)
def elish(x: jax.Array) -> jax.Array:
    """Exponential linear squashing: silu above zero, ELU times the sigmoid below.

    >>> [round(float(y), 4) for y in elish(jnp.array([-1.0, 2.0]))]
    [-0.17, 1.7616]
    """
    return jnp.where(x > 0, x, expm1(below_zero(x))) * jax.nn.sigmoid(x)
