"""Piecewise linear: a threshold, no exponential."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_output


@activation(
    r"x \text{ if } x > 0 \text{ else } 0",
    source="nair2010relu",
    range=(0.0, math.inf),
    kinks=(0.0,),
)
@keeps_output(lambda y: jnp.where(y > 0, 1, 0).astype(y.dtype))
def relu(x: jax.Array) -> jax.Array:
    r"""Rectified linear unit.

    The derivative at 0 is 0, the choice that gives the sparsest gradient (Glorot et al. 2011, §3.1);
    `jax.nn` and PyTorch take the same.

    Args:
      x: any shape; floating dtype, kept.

    Returns:
      The same shape and dtype; nan where ``x`` is.

    >>> [round(float(y), 4) for y in relu(jnp.array([-1.0, 2.0]))]
    [0.0, 2.0]
    """
    # Not max(x, 0): XLA turns "its output is above 0" back into "its input is above 0" and keeps
    # the input as well. Written with <= so that nan stays nan.
    return jnp.where(x <= 0, 0, x)


@activation(
    r"x \text{ if } x > 0 \text{ else } s\,x",
    source="maas2013leaky",
    range=lambda negative_slope: (-math.inf if negative_slope > 0 else 0.0, math.inf),
    kinks=lambda negative_slope: () if negative_slope == 1 else (0.0,),
    monotonic=lambda negative_slope: negative_slope >= 0,
)
@keeps_output(
    lambda y, negative_slope: jnp.where(y > 0, 1, negative_slope).astype(y.dtype),
    when=lambda negative_slope: negative_slope >= 0,
)
def leaky_relu(x: jax.Array, negative_slope: float = 0.01) -> jax.Array:
    r"""Leaky rectified linear unit.

    The derivative at 0 is the negative slope, as in PyTorch (and as for relu, where it is 0);
    ``jax.nn`` takes 1.

    Args:
      x: any shape; floating dtype, kept.
      negative_slope: :math:`s`, the slope below zero.

    Returns:
      The same shape and dtype.

    >>> [round(float(y), 4) for y in leaky_relu(jnp.array([-1.0, 2.0]), negative_slope=0.25)]
    [-0.25, 2.0]
    """
    return jnp.where(x > 0, x, negative_slope * x)
