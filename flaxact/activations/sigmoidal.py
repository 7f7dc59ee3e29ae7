"""The logistic sigmoid and its variants: they saturate, at 0 and 1 or at limits of their own."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp, np
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input, keeps_output
from flaxact.activations._numerics import below_zero, expm1, minus_abs, settled, sigmoids

INF = math.inf


def _sigmoid_slope(x: jax.Array) -> jax.Array:
    gate, rest = sigmoids(x)
    return gate * rest


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


def _laplace_slope(x: jax.Array, mu: float, sigma: float) -> jax.Array:
    # With the digits of the mean that float32 does not have: the square would double what is missing.
    near = float(np.float32(mu)) if isinstance(mu, float) else mu
    distance = (x - near) - (mu - near)
    scale = 1 / (sigma * math.sqrt(2))
    z = jnp.clip(distance * scale, -30, 30)  # beyond, the exponential is 0 in float64 too
    return jnp.exp(-z * z) * (scale / math.sqrt(math.pi))


@activation(
    r"\tfrac{1}{2}\left(1 + \mathrm{erf}\frac{x - \mu}{\sigma \sqrt{2}}\right)",
    source="ma2022mega",
    range=(0.0, 1.0),
    positive=("sigma",),
)
@keeps_input(_laplace_slope)
def laplace(x: jax.Array, mu: float = 0.707107, sigma: float = 0.282095) -> jax.Array:
    r"""Laplace attention function: a Gaussian distribution function, close to squared ReLU near 1.

    Args:
      x: the input.
      mu: the mean of the Gaussian, :math:`\sqrt{1/2}` in the paper; the default is rounded as in
        the transformers library.
      sigma: the standard deviation of the Gaussian, positive, :math:`\sqrt{1/(4\pi)}` in the paper.

    >>> [round(float(y), 4) for y in laplace(jnp.array([0.5, 1.0]))]
    [0.2314, 0.8504]
    """
    z = settled((x - mu) / sigma, mu, sigma)
    return jax.scipy.special.erfc(-z / math.sqrt(2)) / 2


@activation(r"-\log(1 + e^{-x})", source="kunc2024survey", range=(-INF, 0.0))
@keeps_output(lambda y: -expm1(y))
def log_sigmoid(x: jax.Array) -> jax.Array:
    """Logarithm of the logistic sigmoid.

    >>> [round(float(y), 4) for y in log_sigmoid(jnp.array([-1.0, 2.0]))]
    [-1.3133, -0.1269]
    """
    return jnp.minimum(x, 0) - jnp.log1p(jnp.exp(minus_abs(x)))


def _aria2_slope(y: jax.Array, alpha: float, beta: float) -> jax.Array:
    # Far below zero 1 - y^(1/alpha) is 1, and its derivatives would overflow.
    above = y > 1e-9**alpha
    return alpha * beta * y * jnp.where(above, -expm1(jnp.log(jnp.where(above, y, 1)) / alpha), 1)


def _aria2_exact_slope(x: jax.Array, alpha: float, beta: float) -> jax.Array:
    z = -beta * settled(x, alpha, beta)
    return alpha * beta * jnp.exp(-alpha * jnp.logaddexp(z, 0)) * jax.nn.sigmoid(z)


@activation(
    r"(1 + e^{-\beta x})^{-\alpha}",
    source="patwardhan2018aria2",
    range=(0.0, 1.0),
    positive=("alpha", "beta"),
)
@keeps_output(
    _aria2_slope,
    exact=_aria2_exact_slope,
)
def aria2(x: jax.Array, alpha: float = 1.5, beta: float = 2.0) -> jax.Array:
    """ARiA2, a case of Richards' curve: a sigmoid whose two tails differ.

    Args:
      x: the input.
      alpha: positive; 1 is the logistic sigmoid.
      beta: positive, the steepness.

    >>> [round(float(y), 4) for y in aria2(jnp.array([-1.0, 2.0]))]
    [0.0412, 0.9731]
    """
    return jnp.exp(-alpha * jnp.logaddexp(-beta * settled(x, alpha, beta), 0))


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
    r"""Hexpo: an exponential approach to a limit on either side.

    Args:
      x: the input.
      a: positive, the limit above.
      b: positive, the scale of the input above zero.
      c: positive; the output approaches -c as the input goes to :math:`-\infty`.
      d: positive, the scale of the input below zero.

    >>> [round(float(y), 4) for y in hexpo(jnp.array([-1.0, 2.0]))]
    [-0.6321, 0.8647]
    """
    x = settled(x, b, d)
    return jnp.where(x > 0, -a * expm1(-abs(x) / b), c * expm1(below_zero(x) / d))
