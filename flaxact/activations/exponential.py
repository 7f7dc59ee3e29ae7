"""Linear above zero, an exponential or a root below."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input, keeps_output
from flaxact.activations._numerics import below_zero, expm1, hypotenuse, settled, square_root

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

    The derivative at 0 is :math:`\alpha`. Below zero it is read from the output, :math:`y + \alpha`:
    in bfloat16 it has, near :math:`y = -\alpha`, the few digits that ``y`` has.

    Args:
      x: the input.
      alpha: positive; :math:`-\alpha` is the value approached as :math:`x \to -\infty`.

    >>> [round(float(y), 4) for y in elu(jnp.array([-1.0, 2.0]))]
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
      alpha: of ELU, positive.
      negative_slope: of leaky ReLU.

    >>> [round(float(y), 4) for y in elu_leaky_relu(jnp.array([-1.0, 2.0]))]
    [-0.3411, 2.0]
    """
    below = below_zero(x)
    return jnp.where(x > 0, x, (alpha * expm1(below) + negative_slope * x) / 2)


@activation(
    r"x \,/ \sqrt{1 + \alpha x^2}",
    source="carlile2017isrlu",
    range=lambda alpha: (-(alpha**-0.5), alpha**-0.5),
    positive=("alpha",),
)
@keeps_output(
    lambda y, alpha: square_root(1 - alpha * y * y) ** 3,
    exact=lambda x, alpha: hypotenuse(alpha**0.5 * jnp.clip(x, -1e13, 1e13), 1) ** -3,
)
def isru(x: jax.Array, alpha: float = 1.0) -> jax.Array:
    r"""Inverse square root unit.

    Args:
      x: the input.
      alpha: positive; the values lie within :math:`\pm 1/\sqrt\alpha`.

    >>> [round(float(y), 4) for y in isru(jnp.array([-1.0, 2.0]))]
    [-0.7071, 0.8944]
    """
    x = jnp.clip(x, -1e15, 1e15)  # beyond, the value is the limit
    return x / hypotenuse(alpha**0.5 * x, 1)


@activation(
    r"x \text{ if } x > 0 \text{ else } x \,/ \sqrt{1 + \alpha x^2}",
    source="carlile2017isrlu",
    range=lambda alpha: (-(alpha**-0.5), INF),
    smoothness=2,
    positive=("alpha",),
)
@keeps_output(
    lambda y, alpha: jnp.where(y > 0, 1, square_root(1 - alpha * below_zero(y) ** 2) ** 3),
    exact=lambda x, alpha: hypotenuse(alpha**0.5 * below_zero(jnp.clip(x, -1e13, 1e13)), 1) ** -3,
)
def isrlu(x: jax.Array, alpha: float = 1.0) -> jax.Array:
    r"""Inverse square root linear unit.

    Args:
      x: the input.
      alpha: positive; :math:`-1/\sqrt\alpha` is the value approached as :math:`x \to -\infty`.

    >>> [round(float(y), 4) for y in isrlu(jnp.array([-1.0, 2.0]))]
    [-0.7071, 2.0]
    """
    below = jnp.clip(below_zero(x), -1e15, 0)
    root = hypotenuse(alpha**0.5 * below, 1)
    return jnp.where(x > 0, x, below / root)
