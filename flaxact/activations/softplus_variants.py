"""Softplus and its variants: zero on the left, the identity on the right, and a bend between."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_output
from flaxact.activations._numerics import expm1, hypotenuse, minus_abs, sigmoids, square_root

INF = math.inf
LOG2 = math.log(2)


@activation(
    r"\log(1 + e^x)",
    source="dugas2000softplus",
    range=(0.0, INF),
    note="PyTorch's has a factor beta, and returns x itself where beta x > 20.",
)
@keeps_output(lambda y: -expm1(-y))
def softplus(x: jax.Array) -> jax.Array:
    r"""Softplus, a smooth rectifier; its derivative is the logistic sigmoid.

    >>> [round(float(y), 4) for y in softplus(jnp.array([-1.0, 2.0]))]
    [0.3133, 2.1269]
    """
    return jnp.logaddexp(x, 0)


_FAR = -20.0  # below, softplus is the exponential to all digits of float32


def _root_softplus_slope(y: jax.Array) -> jax.Array:
    near = jnp.where(y < 1e-8, 1, jnp.where(y > 1e9, 1e9, y))  # beyond, the next slope is 0 · ∞
    return jnp.where(y < 1e-8, y / 2, -expm1(-near * near) / (2 * near))


@activation(r"\sqrt{\log(1 + e^x)}", source="huggingface2026transformers", range=(0.0, INF))
@keeps_output(_root_softplus_slope)
def sqrt_softplus(x: jax.Array) -> jax.Array:
    r"""Square root of softplus, as in the router of DeepSeek V4.

    Its derivative, :math:`(1 - e^{-y^2}) / (2 y)`, is read from the output :math:`y`. Far below zero it
    is :math:`y/2`, where :math:`\sigma(x) / (2 \sqrt{\mathrm{softplus}(x)})` would be 0 / 0.

    >>> [round(float(y), 4) for y in sqrt_softplus(jnp.array([-1.0, 2.0]))]
    [0.5597, 1.4584]
    """
    # Below _FAR as a series, as softplus itself would be 0 there too early.
    near = jnp.where(x < _FAR, _FAR, x)
    far = jnp.where(x < _FAR, x, _FAR)
    tail = jnp.exp(far / 2) * (1 - jnp.exp(far) / 4)
    return jnp.where(x < _FAR, tail, jnp.sqrt(jnp.logaddexp(near, 0)))


@activation(
    r"\log(1 + e^x) - \log 2",
    source="mishkin2016systematic",
    range=(-LOG2, INF),
)
@keeps_output(lambda y: 1 - jnp.exp(-y) / 2, exact=lambda x: sigmoids(x)[0])
def shifted_softplus(x: jax.Array) -> jax.Array:
    """Softplus moved down to pass through the origin.

    >>> [round(float(y), 4) for y in shifted_softplus(jnp.array([-1.0, 0.0, 2.0]))]
    [-0.3799, 0.0, 1.4338]
    """
    # log((1 + e^-|x|) / 2) keeps its digits at 0, where log(1 + e^x) and log 2 cancel.
    return jnp.where(x > 0, x, 0) + jnp.log1p(expm1(minus_abs(x)) / 2)


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
    r"\tfrac{1}{2}\left(x + \sqrt{x^2 + b}\right)",
    source="barron2021squareplus",
    range=(0.0, INF),
    positive=("b",),
)
@keeps_output(lambda y, b: jnp.minimum(y, 1e9) ** 2 / (jnp.minimum(y, 1e9) ** 2 + b / 4))
def squareplus(x: jax.Array, b: float = 4.0) -> jax.Array:
    """Squareplus: a smooth rectifier with a root in place of an exponential.

    Args:
      x: the input.
      b: positive; a larger value makes a wider bend. With 4, slope and curvature at 0 are those of
        softplus.

    >>> [round(float(y), 4) for y in squareplus(jnp.array([-1.0, 2.0]))]
    [0.618, 2.4142]
    """
    # (x + h) / 2 with h = √(x² + b), as the larger of x and 0 and what is above it: nothing cancels.
    return jnp.where(x > 0, x, 0) + b / 2 / (hypotenuse(x, b) - minus_abs(x))


@activation(
    r"x \text{ if } x > \beta \text{ else } \tfrac{1}{4 \beta} \max(x + \beta, 0)^2",
    source="shamir2020smelu",
    range=(0.0, INF),
    smoothness=1,
    positive=("beta",),
    aliases=("smelu",),
    note="jax.nn and Keras have it with beta 1, under this name; the source calls it SmeLU.",
)
@keeps_output(lambda y, beta: jnp.where(y >= beta, 1, square_root(y / beta)))
def sparse_plus(x: jax.Array, *, beta: float = 1.0) -> jax.Array:
    r"""Sparse plus, or smooth ReLU: a quadratic bend, exactly 0 and exactly x outside it.

    Args:
      x: the input.
      beta: positive, half the width of the bend, which lies between :math:`-\beta` and :math:`\beta`.

    >>> [round(float(y), 4) for y in sparse_plus(jnp.array([-1.0, 0.0, 2.0]))]
    [0.0, 0.25, 2.0]
    """
    inside = abs(x) < beta
    shifted = jnp.where(inside, x, 0) + beta
    return jnp.where(inside, shifted * shifted / (4 * beta), jnp.where(x < 0, 0, x))
