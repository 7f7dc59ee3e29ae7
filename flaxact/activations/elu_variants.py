"""ELU and its variants: an exponential below zero."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input, keeps_output
from flaxact.activations._numerics import below_zero, expm1, settled

INF = math.inf
# The fixed point of mean 0, variance 1 (Klambauer et al. 2017, eq. 14), to double precision.
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


@activation(
    r"x \text{ if } x > 0 \text{ else } \alpha (e^x - 1)",
    source="clevert2015elu",
    range=lambda alpha: (-alpha, INF),
    kinks=lambda alpha: () if alpha == 1 else (0.0,),
    smoothness=lambda alpha: 1 if alpha == 1 else 0,
    positive=("alpha",),
)
@keeps_output(
    lambda y, alpha: jnp.where(y > 0, 1, y + alpha),
    exact=lambda x, alpha: jnp.where(x > 0, 1, alpha * jnp.exp(below_zero(x))),
)
def elu(x: jax.Array, alpha: float = 1.0) -> jax.Array:
    r"""Exponential linear unit.

    The derivative at 0 is :math:`\alpha`. Below zero it is computed from the output as :math:`y +
    \alpha`, which has few correct digits near :math:`y = -\alpha` in bfloat16.

    Args:
      x: the input.
      alpha: positive; :math:`-\alpha` is the value approached as :math:`x \to -\infty`.

    >>> [round(float(y), 4) for y in elu(jnp.array([-1.0, 2.0]))]
    [-0.6321, 2.0]
    """
    return jnp.where(x > 0, x, alpha * expm1(below_zero(x)))


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
    r"""Parametric exponential linear unit: its two scales are learned, and its slope is continuous.

    Args:
      x: the input.
      alpha: positive; the output approaches -alpha as the input goes to :math:`-\infty`.
      beta: positive, the scale of the input. The paper keeps alpha and beta at 0.1 or more in
        training.

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
    r"""Multiple parametric exponential linear unit: ELU whose limit and steepness are learned.

    Args:
      x: the input.
      alpha: positive; the output approaches -alpha as the input goes to :math:`-\infty`.
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
    "alpha. The FELU of caffenet-benchmark is another: ELU and a learned bias.",
)
@keeps_output(
    lambda y, alpha: jnp.where(y > 0, 1, y + alpha),
    exact=lambda x, alpha: jnp.where(x > 0, 1, alpha * jnp.exp(below_zero(x))),
)
def felu(x: jax.Array, alpha: float | jax.Array = 1.0) -> jax.Array:
    r"""Fast exponential linear unit.

    Args:
      x: the input.
      alpha: positive; the output approaches -alpha as the input goes to :math:`-\infty`.

    >>> [round(float(y), 4) for y in felu(jnp.array([-1.0, 2.0]))]
    [-0.6321, 2.0]
    """
    return jnp.where(x > 0, x, alpha * expm1(below_zero(x)))


@activation(
    r"\lambda x \text{ if } x > 0 \text{ else } \lambda \alpha (e^x - 1)",
    source="klambauer2017selu",
    range=(-_SELU_SCALE * _SELU_ALPHA, INF),
    kinks=(0.0,),
    note="PyTorch's gain for SELU, 3/4, is a convention; the gain that keeps the variance is 1.",
)
@keeps_output(
    lambda y: jnp.where(y > 0, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA),
    exact=lambda x: (
        _SELU_SCALE * jnp.where(x > 0, 1, _SELU_ALPHA * jnp.exp(below_zero(x))).astype(x.dtype)
    ),
)
def selu(x: jax.Array) -> jax.Array:
    r"""Scaled exponential linear unit: ELU scaled so that mean 0 and variance 1 are a fixed point.

    :math:`\alpha = 1.67326\dots`, :math:`\lambda = 1.05070\dots`; the derivative at 0 is
    :math:`\lambda\alpha`.

    >>> [round(float(y), 4) for y in selu(jnp.array([-1.0, 2.0]))]
    [-1.1113, 2.1014]
    """
    return jnp.where(x > 0, _SELU_SCALE * x, _SELU_SCALE * _SELU_ALPHA * expm1(below_zero(x)))


@activation(
    r"x \text{ if } x > 0 \text{ else } \alpha (e^{x/\alpha} - 1)",
    source="barron2017celu",
    range=lambda alpha: (-alpha, INF),
    smoothness=1,
    positive=("alpha",),
)
@keeps_output(
    lambda y, alpha: jnp.where(y > 0, 1, 1 + y / alpha),
    exact=lambda x, alpha: jnp.where(x > 0, 1, jnp.exp(below_zero(x) / alpha)),
)
def celu(x: jax.Array, alpha: float = 1.0) -> jax.Array:
    r"""Continuously differentiable exponential linear unit: the slope at 0 is 1 for every alpha.

    Args:
      x: the input.
      alpha: positive; :math:`-\alpha` is the value approached as :math:`x \to -\infty`.

    >>> [round(float(y), 4) for y in celu(jnp.array([-1.0, 2.0]), 0.5)]
    [-0.4323, 2.0]
    """
    return jnp.where(x > 0, x, alpha * expm1(settled(below_zero(x), alpha) / alpha))


@activation(
    r"\tfrac{1}{2}\left(\mathrm{elu}(x) + \mathrm{leaky\_relu}(x)\right)",
    source="mishkin2016systematic",
    range=lambda alpha, negative_slope: (-INF if negative_slope > 0 else -alpha / 2, INF),
    kinks=(0.0,),
    positive=("alpha",),
)
@keeps_input(
    lambda x, alpha, negative_slope: jnp.where(
        x > 0, 1, (alpha * jnp.exp(below_zero(x)) + negative_slope) / 2
    )
)
def elu_leaky_relu(x: jax.Array, alpha: float = 1.0, negative_slope: float = 0.05) -> jax.Array:
    """Mean of ELU and leaky ReLU, from Mishkin's comparison on ImageNet.

    Its inverse has no closed form, so the input is kept for the backward pass.

    Args:
      x: the input.
      alpha: ELU's alpha, positive.
      negative_slope: slope of leaky ReLU below zero.

    >>> [round(float(y), 4) for y in elu_leaky_relu(jnp.array([-1.0, 2.0]))]
    [-0.3411, 2.0]
    """
    below = below_zero(x)
    return jnp.where(x > 0, x, (alpha * expm1(below) + negative_slope * x) / 2)


# What the softplus turns into 0.8 and 0.3.
_INVERSE_08 = math.log(math.expm1(0.8))
_INVERSE_03 = math.log(math.expm1(0.3))


def _softplus(value: float | jax.Array) -> float | jax.Array:
    if isinstance(value, bool | int | float):
        return max(value, 0.0) + math.log1p(math.exp(-abs(value)))
    return jnp.logaddexp(value, 0)


def _xielu_slope(x: jax.Array, alpha_p: float, alpha_n: float, beta: float) -> jax.Array:
    positive = _softplus(alpha_p)
    negative = beta + _softplus(alpha_n)
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
    positive = _softplus(alpha_p)
    negative = beta + _softplus(alpha_n)
    above = jnp.where(x > 0, x, 0)
    below = below_zero(x)
    return jnp.where(
        x > 0,
        above * (positive * above + beta),
        negative * expm1(below) + (beta - negative) * below,
    )


def _xielu_minimum(alpha_n: float, beta: float) -> float:
    negative = beta + float(_softplus(alpha_n))
    low = math.log1p(-beta / negative)  # the slope is zero there
    return negative * (math.expm1(low) - low) + beta * low
