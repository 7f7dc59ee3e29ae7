"""Smooth and unbounded, with no gate: the identity, roots, logarithms, the exponential."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input, keeps_output
from flaxact.activations._numerics import expm1, finite, hypotenuse, sech, settled

INF = math.inf


@activation("x", source="", range=(-INF, INF), aliases=("linear",), keeps_integers=True)
def identity(x: jax.Array) -> jax.Array:
    """The identity: no activation, so a stack of layers is one linear layer.

    >>> [round(float(y), 4) for y in identity(jnp.array([-1.0, 2.0]))]
    [-1.0, 2.0]
    """
    return jnp.asarray(x)


@activation("e^x", source="chollet2015keras", range=(0.0, INF), aliases=("exp",))
@keeps_output(lambda y: y)
def exponential(x: jax.Array) -> jax.Array:
    """The exponential function, such as for a rate; it is infinite above 88.7 in float32.

    >>> [round(float(y), 4) for y in exponential(jnp.array([-1.0, 2.0]))]
    [0.3679, 7.3891]
    """
    return jnp.exp(x)


def _bent_slope(y: jax.Array) -> jax.Array:
    # From y the root of the formula is (2/3) (r - w) with these two; beyond 10^9 the slope is constant.
    w = jnp.clip(y, -1e9, 1e9) + 0.5
    r = jnp.sqrt(4 * w * w + 3)
    return 3 * r / (4 * (r - w))


@activation(
    r"\tfrac{1}{2}\left(\sqrt{x^2 + 1} - 1\right) + x", source="kunc2024survey", range=(-INF, INF)
)
@keeps_output(_bent_slope)
def bent_identity(x: jax.Array) -> jax.Array:
    """Bent identity: slope 1/2 far below zero, 3/2 far above.

    >>> [round(float(y), 4) for y in bent_identity(jnp.array([-1.0, 2.0]))]
    [-0.7929, 2.618]
    """
    near = jnp.clip(x, -1e9, 1e9)  # beyond, the factor is constant
    return x * (1 + near / (hypotenuse(near, 1) + 1) / 2)


@activation(
    r"\mathrm{sign}(x) \log(1 + |x|)",
    source="hafner2023dreamerv3",
    range=(-INF, INF),
    smoothness=1,
    aliases=("logarithmic",),
)
@keeps_output(lambda y: jnp.exp(-abs(y)), exact=lambda x: 1 / (1 + abs(x)))
def symlog(x: jax.Array) -> jax.Array:
    """Symmetric logarithm: sign(x) log(1 + |x|).

    >>> [round(float(y), 4) for y in symlog(jnp.array([-1.0, 2.0]))]
    [-0.6931, 1.0986]
    """
    return jnp.sign(x) * jnp.log1p(abs(x))


@activation(
    r"\log\left(x + \sqrt{x^2 + 1}\right)",
    source="mishkin2016systematic",
    range=(-INF, INF),
    aliases=("arcsinh",),
)
@keeps_output(sech, exact=lambda x: 1 / hypotenuse(x, 1))
def asinh(x: jax.Array) -> jax.Array:
    """Inverse hyperbolic sine: the identity near zero, a logarithm far from it.

    >>> [round(float(y), 4) for y in asinh(jnp.array([-1.0, 2.0]))]
    [-0.8814, 1.4436]
    """
    return jnp.arcsinh(x)


def _soft_exponential_slope(y: jax.Array, alpha: float) -> jax.Array:
    if alpha == 0:
        return jnp.ones_like(y)
    return jnp.exp(alpha * y) if alpha < 0 else 1 + alpha * (y - alpha)


def _soft_exponential_branches(
    x: jax.Array, alpha: jax.Array | float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Alpha, and the values for one above and below zero, each with finite derivatives everywhere."""
    alpha = jnp.asarray(alpha, jnp.result_type(x, jnp.float32))
    above = alpha > 0
    below = alpha < 0
    a = jnp.where(above, alpha, 1)
    b = jnp.where(below, alpha, -1)
    z = a * jnp.where(above, settled(x, alpha), 0)
    over = z > math.log(float(jnp.finfo(z.dtype).max))
    exponential = jnp.where(over, INF, expm1(jnp.where(over, 0, z)) / a + a)
    logarithm = -jnp.log1p(-b * (jnp.where(below, x, 1) + b)) / b
    return alpha, exponential, logarithm


def _soft_exponential_slope_of_input(x: jax.Array, alpha: jax.Array) -> jax.Array:
    alpha, exponential, logarithm = _soft_exponential_branches(x, alpha)
    below = jnp.exp(jnp.where(alpha < 0, alpha * logarithm, 0))
    return jnp.where(alpha > 0, 1 + alpha * (exponential - alpha), below)


@activation(
    r"(e^{\alpha x} - 1) / \alpha + \alpha \text{ if } \alpha > 0, \; x \text{ if } \alpha = 0, \;"
    r" -\log(1 - \alpha (x + \alpha)) / \alpha \text{ if } \alpha < 0",
    source="godfrey2015continuum",
    range=lambda alpha: (alpha - 1 / alpha if alpha > 0 else -INF, INF),
    learned=("alpha",),
    per_channel=True,
    note="Not defined below (1 - alpha²)/alpha where alpha is negative: nan there.",
)
@keeps_output(_soft_exponential_slope, arrays=_soft_exponential_slope_of_input)
def soft_exponential(x: jax.Array, alpha: float = 0.0) -> jax.Array:
    """Soft exponential: one parameter changes it from a logarithm through the identity to an exponential.

    Args:
      x: the input.
      alpha: negative for a logarithm, 0 for the identity, positive for an exponential; learned.

    >>> [round(float(y), 4) for y in soft_exponential(jnp.array([-1.0, 2.0]), 1.0)]
    [0.3679, 7.3891]
    """
    kind, exponential, logarithm = _soft_exponential_branches(x, alpha)
    # At 0 the derivative by alpha is that of the series, 1 + x²/2.
    near = jnp.clip(x, -1e9, 1e9)
    between = x + alpha * (1 + near * near / 2)
    return jnp.where(kind > 0, exponential, jnp.where(kind < 0, logarithm, between))


# (x - tanh x) / x³ as a polynomial in x²: the Taylor series, and a Chebyshev fit over [-1, 1] to 5e-9.
_TAYLOR = (-6404582 / 10854718875, 929569 / 638512875, -21844 / 6081075, 1382 / 155925,
           -62 / 2835, 17 / 315, -2 / 15, 1 / 3)  # fmt: skip
_FITTED = (-0.000142793187996, 0.000923500846348, -0.00320680338685, 0.00869784759281,
           -0.0218295488431, 0.0539634147544, -0.133333106555, 0.333333331567)  # fmt: skip


@activation(r"x - \tanh x", source="kunc2024survey", range=(-INF, INF))
@keeps_input(lambda x: jnp.tanh(x) ** 2)
def tanh_shrink(x: jax.Array) -> jax.Array:
    """Tanh shrinkage, x - tanh(x): flat at the origin.

    Its inverse has no closed form, so the input is kept for the backward pass.

    >>> [round(float(y), 4) for y in tanh_shrink(jnp.array([-1.0, 2.0]))]
    [-0.2384, 1.036]
    """
    reach, series = (1.0, _FITTED) if x.dtype == jnp.float32 else (0.1, _TAYLOR)
    size = abs(finite(x))
    near = size < reach  # below it, the series keeps what cancels
    square = jnp.where(near, x, 0) ** 2
    total = 0.0
    for coefficient in series:
        total = total * square + coefficient
    e = jnp.exp(-2 * size)
    far = ((size - 1) + e * (size + 1)) / (1 + e)
    return jnp.where(near, x * square * total, jnp.where(x > 0, far, -far))
