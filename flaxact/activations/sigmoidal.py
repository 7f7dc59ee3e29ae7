"""Bounded on both sides: they saturate."""

from __future__ import annotations

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_output


@activation(r"\tanh x", source="lecun1998efficient", range=(-1.0, 1.0))
@keeps_output(lambda y: (1 - y) * (1 + y))
def tanh(x: jax.Array) -> jax.Array:
    r"""Hyperbolic tangent.

    The derivative is read from the output, :math:`(1-y)(1+y)`, as in ``jax.numpy``: exact to the
    spacing of floats near 1, and 0 where the output has rounded to 1.

    Args:
      x: any shape; floating dtype, kept.

    Returns:
      The same shape and dtype.

    >>> [round(float(y), 4) for y in tanh(jnp.array([-1.0, 2.0]))]
    [-0.7616, 0.964]
    """
    return jnp.tanh(x)


@activation(
    r"\frac{1}{1 + e^{-x}}",
    source="rumelhart1986backprop",
    range=(0.0, 1.0),
    aliases=("logistic",),
)
@keeps_output(lambda y: y * (1 - y))
def sigmoid(x: jax.Array) -> jax.Array:
    r"""Logistic sigmoid.

    The derivative is read from the output, :math:`y(1-y)`, as in ``jax.nn``.

    Args:
      x: any shape; floating dtype, kept.

    Returns:
      The same shape and dtype.

    >>> [round(float(y), 4) for y in sigmoid(jnp.array([-1.0, 2.0]))]
    [0.2689, 0.8808]
    """
    return jax.nn.sigmoid(x)
