"""Shapes that training changes by a number, for the layer or for each channel."""

from __future__ import annotations

import math
from typing import Any

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_output
from flaxact.activations._numerics import (
    below_zero,
    expm1,
    minus_abs,
    sech_squared,
    settled,
)
from flaxact.activations._sign import keeps_sign

INF = math.inf
# Stands for a learned slope of exactly 0, so that the input can be had back from the output.
_ALMOST_ZERO = 1e-30


def _not_zero(slope: float | jax.Array) -> jax.Array:
    return jnp.where(abs(slope) < _ALMOST_ZERO, _ALMOST_ZERO, slope)


def _prelu_tangent(y: jax.Array, above: jax.Array, slope: jax.Array, dx: jax.Array, ds: Any):
    slope = _not_zero(slope)
    # The input, y / slope, spelt so that nothing but y and the bits can be made before the cotangent
    # is there: XLA would make it early, and keep it.
    # Chosen before the product too: in reverse mode that is after it, when an infinite y has met a 0.
    below = slope * dx if ds is None else slope * dx + y * jnp.where(above, 0, ds / slope)
    return jnp.where(above, dx, below)


@activation(
    r"x \text{ if } x > 0 \text{ else } s\,x",
    source="he2015delving",
    range=lambda negative_slope: (-INF if negative_slope > 0 else 0.0, INF),
    kinks=lambda negative_slope: () if negative_slope == 1 else (0.0,),
    monotonic=lambda negative_slope: negative_slope >= 0,
    learned=("negative_slope",),
    per_channel=True,
    note="Starts at 0.25 in the paper, PyTorch and Keras contrib, 0.01 in flax.nnx, 0 in Keras; one a "
    "channel in the paper's main rows, one a layer by default in PyTorch.",
)
@keeps_sign(_prelu_tangent)
def prelu(x: jax.Array, negative_slope: float | jax.Array = 0.25) -> jax.Array:
    """Parametric rectified linear unit: leaky ReLU whose slope is learned.

    No weight decay on the slope, says the paper: it pulls towards ReLU. An array's derivative is read
    from the output over the slope, so that no input is kept; a slope of exactly 0 counts as 1e-30.

    Args:
      x: the input.
      negative_slope: a number, or an array that broadcasts to ``x``.

    >>> [round(float(y), 4) for y in prelu(jnp.array([-1.0, 2.0]), jnp.array([0.5, 0.25]))]
    [-0.5, 2.0]
    """
    return jnp.where(x > 0, x, _not_zero(negative_slope) * x)


@activation(
    r"\max(x, 0) + b",
    source="qiu2018frelu",
    range=lambda bias: (bias, INF),
    kinks=(0.0,),
    learned=("bias",),
    per_channel=False,
    aliases=("frelu",),
    note="The authors' code starts at -1, one a layer; Mishkin's rerun at -0.2, one a channel.",
)
@keeps_sign(lambda y, above, bias, dx, db: jnp.where(above, dx, 0) + (0 if db is None else db))
def flexible_relu(x: jax.Array, bias: float | jax.Array = -1.0) -> jax.Array:
    """Flexible rectified linear unit (FReLU): ReLU with a learned shift of its output.

    Args:
      x: the input.
      bias: the shift.

    >>> [float(y) for y in flexible_relu(jnp.array([-1.0, 2.0]))]
    [-1.0, 1.0]
    """
    return jnp.where(x <= 0, 0, x) + bias


@activation(
    r"\tfrac{\alpha}{\beta} x \text{ if } x > 0 \text{ else } \alpha (e^{x/\beta} - 1)",
    source="trottier2017pelu",
    range=lambda alpha, beta: (-alpha, INF),
    smoothness=1,
    positive=("alpha", "beta"),
    learned=("alpha", "beta"),
    per_channel=False,
)
@keeps_output(
    lambda y, alpha, beta: jnp.where(y > 0, alpha / beta, (y + alpha) / beta),
    exact=lambda x, alpha, beta: alpha / beta * jnp.exp(below_zero(x) / beta),
)
def pelu(x: jax.Array, alpha: float | jax.Array = 1.0, beta: float | jax.Array = 1.0) -> jax.Array:
    """Parametric exponential linear unit: its two scales are learned, and its slope is continuous.

    Args:
      x: the input.
      alpha: positive, minus the limit below.
      beta: positive, the scale of the input. The paper keeps both at 0.1 or more while training.

    >>> [round(float(y), 4) for y in pelu(jnp.array([-1.0, 2.0]), 1.0, 2.0)]
    [-0.3935, 1.0]
    """
    below = settled(below_zero(x), beta)
    above = jnp.where(x > 0, x, 0)
    return jnp.where(x > 0, alpha / beta * above, alpha * expm1(below / beta))


@activation(
    r"x \text{ if } x > 0 \text{ else } \alpha (e^{\beta x} - 1)",
    source="li2018mpelu",
    range=lambda alpha, beta: (-alpha, INF),
    kinks=lambda alpha, beta: () if alpha * beta == 1 else (0.0,),
    smoothness=lambda alpha, beta: 1 if alpha * beta == 1 else 0,
    positive=("alpha", "beta"),
    learned=("alpha", "beta"),
    per_channel=True,
    note="The paper starts alpha at 1 or 0.25 by the net, beta at 1.",
)
@keeps_output(
    lambda y, alpha, beta: jnp.where(y > 0, 1, beta * (y + alpha)),
    exact=lambda x, alpha, beta: jnp.where(x > 0, 1, alpha * beta * jnp.exp(beta * below_zero(x))),
)
def mpelu(x: jax.Array, alpha: float | jax.Array = 1.0, beta: float | jax.Array = 1.0) -> jax.Array:
    """Multiple parametric exponential linear unit: ELU whose limit and steepness are learned.

    Args:
      x: the input.
      alpha: positive, minus the limit below.
      beta: positive, the steepness below zero.

    >>> [round(float(y), 4) for y in mpelu(jnp.array([-1.0, 2.0]), 0.25)]
    [-0.158, 2.0]
    """
    return jnp.where(x > 0, x, alpha * expm1(beta * below_zero(x)))


@activation(
    r"x \text{ if } x > 0 \text{ else } \alpha (2^{x / \log 2} - 1)",
    source="qiumei2019felu",
    range=lambda alpha: (-alpha, INF),
    kinks=lambda alpha: () if alpha == 1 else (0.0,),
    smoothness=lambda alpha: 1 if alpha == 1 else 0,
    positive=("alpha",),
    learned=("alpha",),
    per_channel=True,
    note="2^(x / log 2) is e^x, meant to be quicker by bit operations; here it is ELU with a learned "
    "alpha.",
)
@keeps_output(
    lambda y, alpha: jnp.where(y > 0, 1, y + alpha),
    exact=lambda x, alpha: jnp.where(x > 0, 1, alpha * jnp.exp(below_zero(x))),
)
def felu(x: jax.Array, alpha: float | jax.Array = 1.0) -> jax.Array:
    """Fast exponential linear unit.

    Args:
      x: the input.
      alpha: positive, minus the limit below.

    >>> [round(float(y), 4) for y in felu(jnp.array([-1.0, 2.0]))]
    [-0.6321, 2.0]
    """
    return jnp.where(x > 0, x, alpha * expm1(below_zero(x)))


@activation(
    r"\alpha \log(1 + e^{\beta x})",
    source="mcfarland2013inferring",
    range=(0.0, INF),
    positive=("alpha", "beta"),
    learned=("alpha", "beta"),
    per_channel=True,
    note="Keras 1 started at alpha 0.2, beta 5; those are the defaults here.",
)
@keeps_output(lambda y, alpha, beta: -alpha * beta * expm1(-y / alpha))
def parametric_softplus(
    x: jax.Array, alpha: float | jax.Array = 0.2, beta: float | jax.Array = 5.0
) -> jax.Array:
    """Softplus whose scale and steepness are learned.

    Args:
      x: the input.
      alpha: positive, the scale of the output.
      beta: positive, the scale of the input.

    >>> [round(float(y), 4) for y in parametric_softplus(jnp.array([-1.0, 2.0]))]
    [0.0013, 2.0]
    """
    z = beta * x
    line = jnp.where(z > 0, alpha * beta * x, 0)  # z itself may have overflowed
    return line + alpha * jnp.log1p(jnp.exp(minus_abs(z)))


@activation(
    r"x \text{ if } x > 0 \text{ else } \tanh(\alpha x)",
    source="lin2018trelu",
    range=lambda alpha: (-1.0, INF),
    kinks=lambda alpha: () if alpha == 1 else (0.0,),
    smoothness=lambda alpha: 2 if alpha == 1 else 0,
    positive=("alpha",),
    learned=("alpha",),
    per_channel=True,
    note="Other functions are called TReLU too: ReLU with a threshold, and a clip between two numbers.",
)
@keeps_output(
    lambda y, alpha: jnp.where(y > 0, 1, alpha * (1 - below_zero(y) ** 2)),
    exact=lambda x, alpha: jnp.where(x > 0, 1, alpha * sech_squared(alpha * below_zero(x))),
)
def trelu(x: jax.Array, alpha: float | jax.Array = 1.0) -> jax.Array:
    """Tanh-based rectified linear unit: linear above zero, a tanh of learned steepness below.

    Args:
      x: the input.
      alpha: the steepness below zero.

    >>> [round(float(y), 4) for y in trelu(jnp.array([-1.0, 2.0]))]
    [-0.7616, 2.0]
    """
    return jnp.where(x > 0, x, jnp.tanh(alpha * settled(below_zero(x), alpha)))


@activation(
    r"\gamma \tanh(\alpha x) + \beta",
    source="zhu2025dyt",
    range=lambda alpha, gamma, beta: (beta - abs(gamma), beta + abs(gamma)),
    monotonic=lambda alpha, gamma, beta: alpha * gamma >= 0,
    positive=("alpha",),
    learned=("alpha", "gamma", "beta"),
    initial=lambda key, width, alpha, gamma, beta: {
        "alpha": jnp.float32(alpha),
        "gamma": jnp.full((width,), gamma, jnp.float32),
        "beta": jnp.full((width,), beta, jnp.float32),
    },
    aliases=("dynamic_tanh",),
)
@keeps_output(
    lambda y, alpha, gamma, beta: alpha / gamma * (gamma - y + beta) * (gamma + y - beta),
    when=lambda alpha, gamma, beta: gamma != 0,
    exact=lambda x, alpha, gamma, beta: gamma * alpha * sech_squared(alpha * x),
)
def dyt(
    x: jax.Array,
    alpha: float | jax.Array = 0.5,
    gamma: float | jax.Array = 1.0,
    beta: float | jax.Array = 0.0,
) -> jax.Array:
    r"""Dynamic tanh (DyT), which takes the place of a normalisation layer.

    The steepness is one for the layer, scale and shift are one for each channel.

    Args:
      x: the input.
      alpha: the steepness, positive.
      gamma: the scale.
      beta: the shift.

    >>> [round(float(y), 4) for y in dyt(jnp.array([-1.0, 2.0]))]
    [-0.4621, 0.7616]
    """
    return gamma * jnp.tanh(alpha * settled(x, alpha)) + beta
