"""Linear above zero, an exponential below."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_output

# The fixed point of mean 0, variance 1 (Klambauer et al. 2017, eq. 14), to double precision.
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def _expm1_below_zero(x: jax.Array) -> jax.Array:
    # The inner where keeps the branch that is not taken finite, and with it its derivative.
    return jnp.expm1(jnp.where(x > 0, 0, x))


@activation(
    r"x \text{ if } x > 0 \text{ else } \alpha (e^x - 1)",
    source="clevert2015elu",
    range=lambda alpha: (-alpha, math.inf),
    kinks=lambda alpha: () if alpha == 1 else (0.0,),
    positive=("alpha",),
)
@keeps_output(lambda y, alpha: jnp.where(y > 0, 1, y + alpha))
def elu(x: jax.Array, alpha: float = 1.0) -> jax.Array:
    r"""Exponential linear unit.

    The derivative at 0 is :math:`\alpha`. Below zero it is read from the output, :math:`y + \alpha`:
    in bfloat16 the derivative near :math:`y = -\alpha` has the few digits that ``y`` has.

    Args:
      x: any shape; floating dtype, kept.
      alpha: positive; :math:`-\alpha` is the value approached as :math:`x \to -\infty`.

    Returns:
      The same shape and dtype.

    Raises:
      InputError: alpha is a number that is not positive.

    >>> [round(float(y), 4) for y in elu(jnp.array([-1.0, 2.0]))]
    [-0.6321, 2.0]
    """
    return jnp.where(x > 0, x, alpha * _expm1_below_zero(x))


@activation(
    r"\lambda x \text{ if } x > 0 \text{ else } \lambda \alpha (e^x - 1)",
    source="klambauer2017selu",
    range=(-_SELU_SCALE * _SELU_ALPHA, math.inf),
    kinks=(0.0,),
)
@keeps_output(lambda y: jnp.where(y > 0, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA))
def selu(x: jax.Array) -> jax.Array:
    r"""Scaled exponential linear unit: ELU scaled so that mean 0 and variance 1 are a fixed point.

    :math:`\alpha = 1.67326\dots`, :math:`\lambda = 1.05070\dots`; the derivative at 0 is
    :math:`\lambda\alpha`.

    Args:
      x: any shape; floating dtype, kept.

    Returns:
      The same shape and dtype.

    >>> [round(float(y), 4) for y in selu(jnp.array([-1.0, 2.0]))]
    [-1.1113, 2.1014]
    """
    return jnp.where(x > 0, _SELU_SCALE * x, _SELU_SCALE * _SELU_ALPHA * _expm1_below_zero(x))


@activation(
    r"\log(1 + e^x)",
    source="dugas2000softplus",
    range=(0.0, math.inf),
)
@keeps_output(lambda y: -jnp.expm1(-y))
def softplus(x: jax.Array) -> jax.Array:
    r"""Softplus, a smooth rectifier; its derivative is the logistic sigmoid.

    Args:
      x: any shape; floating dtype, kept.

    Returns:
      The same shape and dtype.

    >>> [round(float(y), 4) for y in softplus(jnp.array([-1.0, 2.0]))]
    [0.3133, 2.1269]
    """
    return jnp.logaddexp(x, 0)
