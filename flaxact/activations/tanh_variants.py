"""Tanh and its variants: bounded on both sides, and zero at zero."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_output
from flaxact.activations._numerics import (
    error_function,
    finite,
    hypotenuse,
    sech,
    sech_squared,
    settled,
    square_root,
)


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


def softcapped(x: jax.Array, cap: float) -> jax.Array:
    """``cap * tanh(x / cap)``, with a derivative that is accurate near the cap too."""
    return cap * tanh(x / cap, exact_derivative=True)  # type: ignore[call-arg]


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
    r"""Dynamic tanh (DyT), used in place of a normalization layer.

    A layer has one steepness; each channel has its own scale and shift.

    Args:
      x: the input.
      alpha: the steepness, positive.
      gamma: the scale.
      beta: the shift.

    >>> [round(float(y), 4) for y in dyt(jnp.array([-1.0, 2.0]))]
    [-0.4621, 0.7616]
    """
    return gamma * jnp.tanh(alpha * settled(x, alpha)) + beta


@activation(
    r"\gamma\,\mathrm{erf}(\alpha x + s) + \beta",
    source="chen2025derf",
    range=lambda alpha, shift, gamma, beta: (beta - abs(gamma), beta + abs(gamma)),
    monotonic=lambda alpha, shift, gamma, beta: alpha * gamma >= 0,
    positive=("alpha",),
    learned=("alpha", "shift", "gamma", "beta"),
    initial=lambda key, width, alpha, shift, gamma, beta: {
        "alpha": jnp.float32(alpha),
        "shift": jnp.float32(shift),
        "gamma": jnp.full((width,), gamma, jnp.float32),
        "beta": jnp.full((width,), beta, jnp.float32),
    },
    aliases=("dynamic_erf",),
)
@keeps_output(
    lambda y, alpha, shift, gamma, beta: gamma * alpha * _erf_slope((y - beta) / gamma),
    when=lambda alpha, shift, gamma, beta: gamma != 0,
    exact=lambda x, alpha, shift, gamma, beta: gamma * alpha * _erf_exact(alpha * x + shift),
)
def derf(
    x: jax.Array,
    alpha: float | jax.Array = 0.5,
    shift: float | jax.Array = 0.0,
    gamma: float | jax.Array = 1.0,
    beta: float | jax.Array = 0.0,
) -> jax.Array:
    r"""Dynamic erf (Derf), used in place of a normalization layer.

    A layer has one steepness and one input shift; each channel has its own output scale and shift.

    Args:
      x: the input.
      alpha: the steepness, positive.
      shift: :math:`s`, added to the scaled input.
      gamma: the scale.
      beta: added to the output.

    >>> [round(float(y), 4) for y in derf(jnp.array([-1.0, 2.0]))]
    [-0.5205, 0.8427]
    """
    return gamma * error_function(alpha * settled(x, alpha) + shift) + beta


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
    """Tanh with a smaller slope below zero, similar to leaky ReLU.

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


def _erf_exact(x: jax.Array) -> jax.Array:
    return 2 / math.sqrt(math.pi) * jnp.exp(-(jnp.clip(x, -30, 30) ** 2))


@activation(r"\mathrm{erf}(x)", source="kunc2024survey", range=(-1.0, 1.0))
@keeps_output(
    _erf_slope,
    exact=_erf_exact,
)
def erf(x: jax.Array) -> jax.Array:
    """Error function.

    >>> [round(float(y), 4) for y in erf(jnp.array([-1.0, 2.0]))]
    [-0.8427, 0.9953]
    """
    return error_function(jnp.asarray(x))
