"""Bounded on both sides, or on one: they saturate."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_output
from flaxact.activations._numerics import (
    below_zero,
    error_function,
    expm1,
    finite,
    minus_abs,
    sech,
    sech_squared,
    settled,
    sigmoids,
)

INF = math.inf


def _sigmoid_slope(x: jax.Array) -> jax.Array:
    gate, rest = sigmoids(x)
    return gate * rest


@activation(r"\tanh x", source="lecun1998efficient", range=(-1.0, 1.0))
@keeps_output(lambda y: (1 - y) * (1 + y), exact=sech_squared)
def tanh(x: jax.Array) -> jax.Array:
    r"""Hyperbolic tangent.

    The derivative is read from the output, :math:`(1-y)(1+y)`, as in ``jax.numpy``: exact to the
    spacing of floats near 1, and 0 where the output has rounded to 1.

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
@keeps_output(lambda y: y * (1 - y), exact=_sigmoid_slope)
def sigmoid(x: jax.Array) -> jax.Array:
    r"""Logistic sigmoid.

    The derivative is read from the output, :math:`y(1-y)`, as in ``jax.nn``.

    >>> [round(float(y), 4) for y in sigmoid(jnp.array([-1.0, 2.0]))]
    [0.2689, 0.8808]
    """
    return jax.nn.sigmoid(x)


@activation(
    r"a \tanh(b x)",
    source="lecun1998efficient",
    range=lambda scale, frequency: (-scale, scale),
    positive=("scale", "frequency"),
    note="a = 1.7159 in LeCun et al. 1998, §4.4. Mishkin et al. 2016 print 1.73 in their table and run "
    "1.759 in their configuration.",
)
@keeps_output(
    lambda y, scale, frequency: frequency / scale * (scale - y) * (scale + y),
    exact=lambda x, scale, frequency: scale * frequency * sech_squared(frequency * x),
)
def lecun_tanh(x: jax.Array, scale: float = 1.7159, frequency: float = 2 / 3) -> jax.Array:
    r"""LeCun's scaled tanh: about 1 at 1, -1 at -1, and of effective gain about 1.

    Args:
      x: the input.
      scale: :math:`a`, the value approached.
      frequency: :math:`b`.

    >>> [round(float(y), 3) for y in lecun_tanh(jnp.array([-1.0, 2.0]))]
    [-1.0, 1.493]
    """
    # The product as one side of a choice: alone, XLA keeps the tanh beside it for the backward pass.
    z = frequency * settled(x, frequency)
    return jnp.where(abs(z) > 20, jnp.sign(z) * scale, scale * jnp.tanh(z))


@activation(
    r"\tanh x \text{ if } x > 0 \text{ else } p \tanh x",
    source="xu2016revise",
    range=lambda penalty: (-penalty, 1.0),
    kinks=lambda penalty: () if penalty == 1 else (0.0,),
    positive=("penalty",),
    note="The paper multiplies by 0.25 below zero; some libraries divide by their parameter.",
)
@keeps_output(
    lambda y, penalty: jnp.where(
        y > 0, (1 - y) * (1 + y), penalty * (1 - y / penalty) * (1 + y / penalty)
    ),
    exact=lambda x, penalty: sech_squared(x) * jnp.where(x > 0, 1, penalty).astype(x.dtype),
)
def penalized_tanh(x: jax.Array, penalty: float = 0.25) -> jax.Array:
    """Tanh with a smaller slope below zero, so that it is steep on one side as leaky ReLU is.

    Args:
      x: the input.
      penalty: positive, the factor below zero.

    >>> [round(float(y), 4) for y in penalized_tanh(jnp.array([-1.0, 2.0]))]
    [-0.1904, 0.964]
    """
    return jnp.where(x > 0, 1, penalty).astype(x.dtype) * jnp.tanh(x)


@activation(r"\max(\tanh x, 0)", source="jarrett2009best", range=(0.0, 1.0), kinks=(0.0,))
@keeps_output(
    lambda y: jnp.where(y > 0, (1 - y) * (1 + y), 0),
    exact=lambda x: jnp.where(x > 0, sech_squared(x), 0),
)
def rectified_tanh(x: jax.Array) -> jax.Array:
    """Rectified tanh: zero below zero, saturating above.

    >>> [round(float(y), 4) for y in rectified_tanh(jnp.array([-1.0, 2.0]))]
    [0.0, 0.964]
    """
    return jnp.where(x <= 0, 0, jnp.tanh(x))


@activation(
    r"\frac{x}{1 + |x|}",
    source="bergstra2009quadratic",
    range=(-1.0, 1.0),
    smoothness=1,
    aliases=("soft_sign",),
    note="jax.nn calls it soft_sign, and gives nan at infinity.",
)
@keeps_output(
    lambda y: (1 - abs(y)) * (1 - abs(y)),
    exact=lambda x: 1 / (1 + abs(jnp.clip(x, -1e19, 1e19))) ** 2,
)
def softsign(x: jax.Array) -> jax.Array:
    r"""Softsign: saturates as slowly as :math:`1/x`.

    >>> [round(float(y), 4) for y in softsign(jnp.array([-1.0, 2.0]))]
    [-0.5, 0.6667]
    """
    x = finite(x)
    return x / (1 + abs(x))


@activation(r"\arctan x", source="kunc2024survey", range=(-math.pi / 2, math.pi / 2))
@keeps_output(lambda y: jnp.cos(y) ** 2, exact=lambda x: 1 / (1 + jnp.clip(x, -1e19, 1e19) ** 2))
def arctan(x: jax.Array) -> jax.Array:
    """Arc tangent.

    >>> [round(float(y), 4) for y in arctan(jnp.array([-1.0, 2.0]))]
    [-0.7854, 1.1071]
    """
    return jnp.arctan(x)


@activation(
    r"2 \arctan\left(\tanh\tfrac{x}{2}\right)",
    source="kunc2024survey",
    range=(-math.pi / 2, math.pi / 2),
)
@keeps_output(lambda y: jnp.cos(y), exact=sech)  # noqa: PLW0108 (as in absolute)
def gudermannian(x: jax.Array) -> jax.Array:
    """Gudermannian function, whose derivative is the hyperbolic secant.

    >>> [round(float(y), 4) for y in gudermannian(jnp.array([-1.0, 2.0]))]
    [-0.8658, 1.3018]
    """
    # A choice, since of a product alone XLA keeps the factor for the backward pass.
    return jnp.where(abs(x) > 90, jnp.sign(x) * (math.pi / 2), 2 * jnp.arctan(jnp.tanh(x / 2)))


def _erf_slope(y: jax.Array) -> jax.Array:
    inside = abs(y) < 1
    x = jax.lax.erf_inv(jnp.where(inside, y, 0))
    return jnp.where(inside, 2 / math.sqrt(math.pi) * jnp.exp(-x * x), 0)


@activation(r"\mathrm{erf}(x)", source="kunc2024survey", range=(-1.0, 1.0))
@keeps_output(
    _erf_slope,
    exact=lambda x: 2 / math.sqrt(math.pi) * jnp.exp(-(jnp.clip(x, -30, 30) ** 2)),
)
def erf(x: jax.Array) -> jax.Array:
    """Error function.

    >>> [round(float(y), 4) for y in erf(jnp.array([-1.0, 2.0]))]
    [-0.8427, 0.9953]
    """
    return error_function(jnp.asarray(x))


@activation(r"-\log(1 + e^{-x})", source="kunc2024survey", range=(-INF, 0.0))
@keeps_output(lambda y: -expm1(y))
def log_sigmoid(x: jax.Array) -> jax.Array:
    """Logarithm of the logistic sigmoid.

    >>> [round(float(y), 4) for y in log_sigmoid(jnp.array([-1.0, 2.0]))]
    [-1.3133, -0.1269]
    """
    return jnp.minimum(x, 0) - jnp.log1p(jnp.exp(minus_abs(x)))


def _cloglog_slope(y: jax.Array) -> jax.Array:
    left = jnp.where(y < 1, 1 - y, 1)
    return jnp.where(y < 1, -left * jnp.log1p(-jnp.where(y < 1, y, 0)), 0)


@activation(r"1 - e^{-e^x}", source="gomes2008comparison", range=(0.0, 1.0), aliases=("cloglog",))
@keeps_output(
    _cloglog_slope, exact=lambda x: jnp.exp(jnp.minimum(x, 8) - jnp.exp(jnp.minimum(x, 8)))
)
def complementary_log_log(x: jax.Array) -> jax.Array:
    """Complementary log-log: a sigmoid that is not symmetric.

    >>> [round(float(y), 4) for y in complementary_log_log(jnp.array([-1.0, 2.0]))]
    [0.3078, 0.9994]
    """
    # A choice, since of a difference alone XLA keeps the terms for the backward pass.
    return jnp.where(x > 5, 1, -expm1(-jnp.exp(x)))


@activation(
    r"\tfrac{1}{2} + \frac{x}{2(1 + |x|)}",
    source="elliott1993better",
    range=(0.0, 1.0),
    smoothness=1,
)
@keeps_output(
    lambda y: 2 * jnp.minimum(y, 1 - y) ** 2,
    exact=lambda x: 0.5 / (1 + abs(jnp.clip(x, -1e19, 1e19))) ** 2,
)
def elliot(x: jax.Array) -> jax.Array:
    """Elliott's sigmoid, without an exponential: softsign brought to the range from 0 to 1.

    >>> [round(float(y), 4) for y in elliot(jnp.array([-1.0, 2.0]))]
    [0.25, 0.8333]
    """
    tail = 0.5 / (1 + abs(x))
    return jnp.where(x > 0, 1 - tail, tail)


@activation(
    r"a(1 - e^{-x/b}) \text{ if } x > 0 \text{ else } c(e^{x/d} - 1)",
    source="kong2017hexpo",
    range=lambda a, b, c, d: (-c, a),
    kinks=lambda a, b, c, d: () if a / b == c / d else (0.0,),
    smoothness=lambda a, b, c, d: 1 if a / b == c / d else 0,
    positive=("a", "b", "c", "d"),
)
@keeps_output(
    lambda y, a, b, c, d: jnp.where(y > 0, (a - y) / b, (c + y) / d),
    exact=lambda x, a, b, c, d: jnp.where(
        x > 0, a / b * jnp.exp(-abs(x) / b), c / d * jnp.exp(below_zero(x) / d)
    ),
)
def hexpo(
    x: jax.Array, a: float = 1.0, b: float = 1.0, c: float = 1.0, d: float = 1.0
) -> jax.Array:
    """Hexpo: an exponential approach to a limit on either side.

    Args:
      x: the input.
      a: positive, the limit above.
      b: positive, the scale of the input above zero.
      c: positive, minus the limit below.
      d: positive, the scale of the input below zero.

    >>> [round(float(y), 4) for y in hexpo(jnp.array([-1.0, 2.0]))]
    [-0.6321, 0.8647]
    """
    x = settled(x, b, d)
    return jnp.where(x > 0, -a * expm1(-abs(x) / b), c * expm1(below_zero(x) / d))
