"""The input times a gate that opens with it, as in silu."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations._numerics import finite, lifted, settled_sigmoid, sigmoids

INF = math.inf
_TANH_SCALE = math.sqrt(2 / math.pi)
_TANH_CUBIC = 0.044715  # Hendrycks & Gimpel 2016, §2
_QUICK = 1.702  # Hendrycks & Gimpel 2016, §2


def _gelu_slope(x: jax.Array, approximate: bool) -> jax.Array:
    x = jnp.clip(x, -40, 40)  # Beyond, the slope is 0 or 1 in float64 too, and inf · 0 is avoided.
    if not approximate:
        density = jnp.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        return jax.scipy.special.erfc(-x / math.sqrt(2)) / 2 + x * density
    gate, rest = sigmoids(_gelu_argument(x))
    return gate * (1 + x * rest * (2 * _TANH_SCALE * (1 + 3 * _TANH_CUBIC * (x * x))))


def _gelu_argument(x: jax.Array) -> jax.Array:
    return x * (2 * _TANH_SCALE + 2 * _TANH_SCALE * _TANH_CUBIC * (x * x))


@activation(
    r"x\,\Phi(x), \text{ approximately } \tfrac{x}{2}"
    r"\bigl(1 + \tanh(\sqrt{2/\pi}\,(x + 0.044715\,x^3))\bigr)",
    source="hendrycks2016gelu",
    range=lambda approximate: (-0.17004075 if approximate else -0.16997121, INF),
    monotonic=False,
    note="The tanh form is the default in jax.nn, the exact one in PyTorch, TensorFlow and Keras.",
)
@keeps_input(_gelu_slope)
def gelu(x: jax.Array, approximate: bool = True) -> jax.Array:
    r"""Gaussian error linear unit: the input times the Gaussian's distribution function at it.

    Args:
      x: the input.
      approximate: the tanh form (the default of ``jax.nn``), else the exact one (PyTorch's default).

    >>> [round(float(y), 4) for y in gelu(jnp.array([-1.0, 2.0]))]
    [-0.1588, 1.9546]
    >>> [round(float(y), 4) for y in gelu(jnp.array([-1.0, 2.0]), approximate=False)]
    [-0.1587, 1.9545]
    """
    clipped = jnp.clip(x, -40, 40)
    if approximate:
        # (1 + tanh u)/2 is the sigmoid of 2u, which keeps its digits where 1 + tanh u cancels.
        gate = jax.nn.sigmoid(_gelu_argument(clipped))
    else:
        gate = jax.scipy.special.erfc(-clipped / math.sqrt(2)) / 2
    return (lifted(x) * gate).astype(x.dtype)  # not weak even for a Python number, as in jax.nn


def _swish_slope(x: jax.Array, beta: float) -> jax.Array:
    z = beta * x
    gate, rest = sigmoids(z)
    # Beyond, the rest is 0 in float64 too; and what is to come may be multiplied with.
    return gate * (1 + jnp.clip(z, -1e4, 1e4) * rest)


def _silu_slope(x: jax.Array) -> jax.Array:
    return _swish_slope(x, 1.0)


@activation(
    r"\frac{x}{1 + e^{-x}}",
    source="elfwing2018silu",
    range=(-0.27846455, INF),
    monotonic=False,
    aliases=("swish",),
)
@keeps_input(_silu_slope)
def silu(x: jax.Array) -> jax.Array:
    r"""Sigmoid-weighted linear unit, also known as Swish (with its β = 1).

    Named by Hendrycks & Gimpel 2016 and Elfwing et al. 2018; found again by search, and measured
    widely, by Ramachandran et al. 2017 as Swish.

    >>> [round(float(y), 4) for y in silu(jnp.array([-1.0, 2.0]))]
    [-0.2689, 1.7616]
    """
    return lifted(x) * jax.nn.sigmoid(x)


@activation(
    r"x\,\sigma(\beta x)",
    source="ramachandran2017swish",
    range=lambda beta: (-0.27846455 / beta if beta > 0 else -INF, INF),
    monotonic=False,
    learned=("beta",),
    per_channel=False,
    note="`swish` alone is silu, as in jax.nn.",
)
@keeps_input(_swish_slope)
def swish_beta(x: jax.Array, beta: float = 1.0) -> jax.Array:
    """Swish with its steepness, which is learned or a number.

    Args:
      x: the input.
      beta: the steepness: 0 gives x / 2, large ones approach relu.

    >>> [round(float(y), 4) for y in swish_beta(jnp.array([-1.0, 2.0]), 2.0)]
    [-0.1192, 1.964]
    """
    return finite(x) * settled_sigmoid(beta * x, beta)


@activation(
    r"x\,\sigma(1.702\,x)",
    source="hendrycks2016gelu",
    range=(-0.16360983, INF),
    monotonic=False,
    aliases=("gelu_sigmoid",),
)
@keeps_input(lambda x: _swish_slope(x, _QUICK))
def quick_gelu(x: jax.Array) -> jax.Array:
    """The sigmoid form of GELU.

    >>> [round(float(y), 4) for y in quick_gelu(jnp.array([-1.0, 2.0]))]
    [-0.1542, 1.9357]
    """
    return lifted(x) * jax.nn.sigmoid(_QUICK * x)


@activation(
    r"\beta x\,\sigma(x)",
    source="alcaide2018eswish",
    range=lambda beta: (-0.27846455 * beta, INF),
    monotonic=False,
    positive=("beta",),
    note="The paper tries factors from 1 to 2 and reports 1.25 to 1.5; libraries default to 1 to 1.75.",
)
@keeps_input(lambda x, beta: beta * _swish_slope(x, 1.0))
def e_swish(x: jax.Array, beta: float = 1.25) -> jax.Array:
    """E-swish: silu times a factor.

    Args:
      x: the input.
      beta: the factor, positive.

    >>> [round(float(y), 4) for y in e_swish(jnp.array([-1.0, 2.0]))]
    [-0.3362, 2.202]
    """
    return beta * (finite(x) * jax.nn.sigmoid(x))


@activation(
    r"x \min(\max(x + 3, 0), 6) / 6",
    source="howard2019mobilenetv3",
    range=(-0.375, INF),
    kinks=(-3.0, 3.0),
    monotonic=False,
    aliases=("hard_silu",),
)
@keeps_input(lambda x: jnp.where(x <= -3, 0, jnp.where(x >= 3, 1, (2 * x + 3) / 6)).astype(x.dtype))
def hard_swish(x: jax.Array) -> jax.Array:
    """Piecewise quadratic silu.

    >>> [round(float(y), 4) for y in hard_swish(jnp.array([-1.0, 2.0]))]
    [-0.3333, 1.6667]
    """
    return jnp.where(x <= -3, 0, jnp.where(x >= 3, x, x * ((x + 3) / 6)))
