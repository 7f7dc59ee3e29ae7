"""Learned shapes that start from a polynomial, a root or two straight pieces more."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input, keeps_output
from flaxact.activations._numerics import below_zero, expm1, finite, settled_sigmoid, sigmoids

INF = math.inf
# What the softplus turns into 0.8 and 0.3.
_INVERSE_08, _INVERSE_03 = math.log(math.expm1(0.8)), math.log(math.expm1(0.3))


def _softplus(value: float | jax.Array) -> float | jax.Array:
    if isinstance(value, bool | int | float):
        return max(value, 0.0) + math.log1p(math.exp(-abs(value)))
    return jnp.logaddexp(value, 0)


def _xielu_slope(x: jax.Array, alpha_p: float, alpha_n: float, beta: float) -> jax.Array:
    positive, negative = _softplus(alpha_p), beta + _softplus(alpha_n)
    return beta + jnp.where(x > 0, 2 * positive * x, negative * expm1(below_zero(x)))


@activation(
    r"\alpha_p' x^2 + \beta x \text{ if } x > 0 \text{ else } \alpha_n' (e^x - 1 - x) + \beta x",
    source="huang2024xielu",
    range=lambda alpha_p, alpha_n, beta: (_xielu_minimum(alpha_n, beta), INF),
    smoothness=1,
    monotonic=False,
    learned=("alpha_p", "alpha_n"),
    per_channel=False,
)
@keeps_input(_xielu_slope)
def xielu(
    x: jax.Array,
    alpha_p: float | jax.Array = _INVERSE_08,
    alpha_n: float | jax.Array = _INVERSE_03,
    beta: float = 0.5,
) -> jax.Array:
    r"""Expanded integral of the exponential linear unit (xIELU): its slope is linear above zero.

    Args:
      x: the input.
      alpha_p: learned; :math:`\alpha_p' = \log(1 + e^{\alpha_p})`, which starts at 0.8.
      alpha_n: learned; :math:`\alpha_n' = \beta + \log(1 + e^{\alpha_n})`, which starts at 0.8.
      beta: the slope at 0.

    >>> [round(float(y), 4) for y in xielu(jnp.array([-1.0, 2.0]))]
    [-0.2057, 4.2]
    """
    positive, negative = _softplus(alpha_p), beta + _softplus(alpha_n)
    above, below = jnp.where(x > 0, x, 0), below_zero(x)
    return jnp.where(
        x > 0,
        above * (positive * above + beta),
        negative * expm1(below) + (beta - negative) * below,
    )


def _xielu_minimum(alpha_n: float, beta: float) -> float:
    negative = beta + float(_softplus(alpha_n))
    low = math.log1p(-beta / negative)  # the slope is zero there
    return negative * (math.expm1(low) - low) + beta * low


@activation(
    r"s \max(x, 0)^2 + b",
    source="yu2022metaformer",
    range=lambda scale, bias: (bias, INF) if scale > 0 else (-INF, bias),
    smoothness=1,
    monotonic=lambda scale, bias: scale >= 0,
    learned=("scale", "bias"),
    per_channel=False,
    note="scale and bias start where output mean and variance are 0 and 1 for a standard Gaussian input.",
)
@keeps_input(lambda x, scale, bias: jnp.where(x > 0, 2 * scale * x, 0))
def star_relu(
    x: jax.Array, scale: float | jax.Array = 0.8944, bias: float | jax.Array = -0.4472
) -> jax.Array:
    """StarReLU: squared ReLU with a learned scale and shift.

    It never decreases, but its slope near 0 cannot be had from the output, of which the shift has
    taken the digits: the input is kept for the backward pass.

    Args:
      x: the input.
      scale: of the square.
      bias: the shift.

    >>> [round(float(y), 4) for y in star_relu(jnp.array([-1.0, 2.0]))]
    [-0.4472, 3.1304]
    """
    above = jnp.where(x <= 0, 0, x)
    return scale * above * above + bias


@activation(
    r"t_r + a_r (x - t_r) \text{ if } x > t_r, \; x, \; t_l + a_l (x - t_l) \text{ if } x < t_l",
    source="jin2016srelu",
    range=lambda left, left_slope, right, right_slope: (
        -INF if left_slope > 0 else left,
        INF if right_slope > 0 else right,
    ),
    kinks=lambda left, left_slope, right, right_slope: (
        *((left,) if left_slope != 1 else ()),
        *((right,) if right_slope != 1 else ()),
    ),
    monotonic=lambda left, left_slope, right, right_slope: min(left_slope, right_slope) >= 0,
    learned=("left", "left_slope", "right", "right_slope"),
    per_channel=True,
    note="Starts as the paper's: leaky ReLU with slope 0.2 below 0; its right threshold, set from the "
    "data there, starts at 1 with slope 1. Not the shifted ReLU that the ELU paper calls SReLU.",
)
@keeps_output(
    lambda y, left, left_slope, right, right_slope: jnp.where(
        y > right, right_slope, jnp.where(y > left, 1, left_slope)
    ).astype(y.dtype),
    when=lambda left, left_slope, right, right_slope: min(left_slope, right_slope) > 0,
)
def srelu(
    x: jax.Array,
    left: float | jax.Array = 0.0,
    left_slope: float | jax.Array = 0.2,
    right: float | jax.Array = 1.0,
    right_slope: float | jax.Array = 1.0,
) -> jax.Array:
    """S-shaped rectified linear unit: three straight pieces, with learned bends and slopes.

    Args:
      x: the input.
      left: the bend below.
      left_slope: the slope below it.
      right: the bend above.
      right_slope: the slope above it.

    >>> [round(float(y), 4) for y in srelu(jnp.array([-1.0, 2.0]), right_slope=0.5)]
    [-0.2, 1.5]
    """
    above = jnp.where(x > right, right + right_slope * (x - right), x)
    return jnp.where(x > left, above, left + left_slope * (x - left))


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
