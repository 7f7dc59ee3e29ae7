"""Linear above zero; below it a root, a tanh or a bump."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input, keeps_output
from flaxact.activations._numerics import below_zero, hypotenuse, sech_squared, settled, square_root

INF = math.inf


def _normal_below(mean: float) -> float:
    """The share below 0 of a Gaussian with this mean and variance 1."""
    return math.erfc(mean / math.sqrt(2)) / 2


def _normal_density(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


# Zhang & Li 2018: output mean 0 and variance 1 for a standard Gaussian input; about 2.904 and 1.079.
_SERLU_ALPHA = _normal_density(0) / math.exp(0.5) / (_normal_density(1) - _normal_below(1))
_SERLU_SCALE = (
    0.5 + _SERLU_ALPHA**2 * math.exp(2) * (5 * _normal_below(2) - 2 * _normal_density(2))
) ** -0.5


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


@activation(
    r"x \text{ if } x > 0 \text{ else } \tanh(\alpha x)",
    source="lin2018trelu",
    range=lambda alpha: (-1.0, INF),
    kinks=lambda alpha: () if alpha == 1 else (0.0,),
    smoothness=lambda alpha: 2 if alpha == 1 else 0,
    positive=("alpha",),
    learned=("alpha",),
    per_channel=True,
    note="Other functions are called TReLU too: `tailored_relu`, ReLU with a threshold, and a clip "
    "between two numbers.",
)
@keeps_output(
    lambda y, alpha: jnp.where(y > 0, 1, alpha * (1 - below_zero(y) ** 2)),
    exact=lambda x, alpha: jnp.where(x > 0, 1, alpha * sech_squared(alpha * below_zero(x))),
)
def trelu(x: jax.Array, alpha: float | jax.Array = 1.0) -> jax.Array:
    """Tanh-based rectified linear unit: linear above zero, a tanh of learned steepness below.

    Args:
      x: the input.
      alpha: the steepness below zero.

    >>> [round(float(y), 4) for y in trelu(jnp.array([-1.0, 2.0]))]
    [-0.7616, 2.0]
    """
    return jnp.where(x > 0, x, jnp.tanh(alpha * settled(below_zero(x), alpha)))


def _nelu_slope(x: jax.Array, alpha: float) -> jax.Array:
    below = jnp.clip(x, -1e19, 0)
    bump = 1 / (1 + below * below)
    return jnp.where(x > 0, 1, 2 * alpha * below * bump * bump)


@activation(
    r"x \text{ if } x > 0 \text{ else } -\alpha / (1 + x^2)",
    source="horuz2025sugar",
    range=lambda alpha: (-alpha, INF),
    kinks=(0.0,),
    jumps=(0.0,),
    monotonic=False,
    positive=("alpha",),
    note="Made to lend its derivative to ReLU (SUGAR): with_surrogate_derivative(relu, nelu).",
)
@keeps_input(_nelu_slope)
def nelu(x: jax.Array, alpha: float = 0.2) -> jax.Array:
    r"""NeLU: ReLU with a negative bump below zero; the value jumps to :math:`-\alpha` at zero.

    Args:
      x: the input.
      alpha: positive, the depth of the bump.

    >>> [round(float(y), 4) for y in nelu(jnp.array([-1.0, 2.0]))]
    [-0.1, 2.0]
    """
    below = jnp.clip(x, -1e19, 0)
    return jnp.where(x > 0, x, -alpha / (1 + below * below))


def _serlu_slope(x: jax.Array) -> jax.Array:
    below = jnp.maximum(below_zero(x), -1e3)  # below, it is 0 in float64 too
    return _SERLU_SCALE * jnp.where(x >= 0, 1, _SERLU_ALPHA * (1 + below) * jnp.exp(below))


@activation(
    r"\lambda x \text{ if } x \geq 0 \text{ else } \lambda \alpha\,x\,e^x",
    source="zhang2018serlu",
    range=(-_SERLU_SCALE * _SERLU_ALPHA / math.e, INF),
    kinks=(0.0,),
    monotonic=False,
    note="The scales 1.0786 and 2.9043 are computed: they give mean 0 and variance 1.",
)
@keeps_input(_serlu_slope)
def serlu(x: jax.Array) -> jax.Array:
    """Scaled exponentially regularized linear unit: SELU with a bump below zero that decays to 0.

    >>> [round(float(y), 4) for y in serlu(jnp.array([-1.0, 2.0]))]
    [-1.1524, 2.1572]
    """
    below = jnp.maximum(below_zero(x), -1e3)
    return _SERLU_SCALE * jnp.where(x >= 0, x, _SERLU_ALPHA * below * jnp.exp(below))
