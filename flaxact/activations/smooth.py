"""Smooth and unbounded: gates on their own input, and the identity."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input

_TANH_SCALE = math.sqrt(2 / math.pi)
_TANH_CUBIC = 0.044715  # Hendrycks & Gimpel 2016, §2


def _finite(x: jax.Array) -> jax.Array:
    # -inf · 0 would be nan where the limit is 0.
    return jnp.maximum(x, float(jnp.finfo(x.dtype).min))


def _gelu_slope(x: jax.Array, approximate: bool) -> jax.Array:
    x = jnp.clip(x, -40, 40)  # Beyond, the slope is 0 or 1 in float64 too, and inf · 0 is avoided.
    if not approximate:
        density = jnp.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        return jax.scipy.special.erfc(-x / math.sqrt(2)) / 2 + x * density
    gate = jax.nn.sigmoid(2 * _TANH_SCALE * (x + _TANH_CUBIC * x**3))
    inner = 2 * _TANH_SCALE * (1 + 3 * _TANH_CUBIC * x**2)
    return gate + x * gate * (1 - gate) * inner


@activation(
    r"x\,\Phi(x), \text{ approximately } \tfrac{x}{2}"
    r"\bigl(1 + \tanh(\sqrt{2/\pi}\,(x + 0.044715\,x^3))\bigr)",
    source="hendrycks2016gelu",
    range=lambda approximate: (-0.17004075 if approximate else -0.16997121, math.inf),
    monotonic=False,
)
@keeps_input(_gelu_slope)
def gelu(x: jax.Array, approximate: bool = True) -> jax.Array:
    r"""Gaussian error linear unit: the input times the Gaussian's distribution function at it.

    Args:
      x: any shape; floating dtype, kept.
      approximate: the tanh form (the default of ``jax.nn``), else the exact one (PyTorch's default).

    Returns:
      The same shape and dtype.

    >>> [round(float(y), 4) for y in gelu(jnp.array([-1.0, 2.0]))]
    [-0.1588, 1.9546]
    >>> [round(float(y), 4) for y in gelu(jnp.array([-1.0, 2.0]), approximate=False)]
    [-0.1587, 1.9545]
    """
    x = _finite(x).astype(x.dtype)  # not weak even for a Python number, as in jax.nn
    if approximate:
        # (1 + tanh u)/2 is the sigmoid of 2u, which keeps its digits where 1 + tanh u cancels.
        return x * jax.nn.sigmoid(2 * _TANH_SCALE * (x + _TANH_CUBIC * x**3))
    return x * (jax.scipy.special.erfc(-x / math.sqrt(2)) / 2)


def _silu_slope(x: jax.Array) -> jax.Array:
    x = jnp.clip(x, -800, 800)  # Beyond, the slope is 0 or 1 in float64 too.
    gate = jax.nn.sigmoid(x)
    return gate * (1 + x * (1 - gate))


@activation(
    r"\frac{x}{1 + e^{-x}}",
    source="hendrycks2016gelu",
    range=(-0.27846455, math.inf),
    monotonic=False,
    aliases=("swish",),
)
@keeps_input(_silu_slope)
def silu(x: jax.Array) -> jax.Array:
    r"""Sigmoid-weighted linear unit, also known as Swish (with its β = 1).

    Named by Hendrycks & Gimpel 2016 and Elfwing et al. 2017; found again by search, and measured
    widely, by Ramachandran et al. 2017 as Swish.

    Args:
      x: any shape; floating dtype, kept.

    Returns:
      The same shape and dtype.

    >>> [round(float(y), 4) for y in silu(jnp.array([-1.0, 2.0]))]
    [-0.2689, 1.7616]
    """
    return _finite(x) * jax.nn.sigmoid(x)


@activation("x", source="", range=(-math.inf, math.inf), aliases=("linear",))
def identity(x: jax.Array) -> jax.Array:
    """The identity: no activation, so a stack of layers is one linear layer.

    Args:
      x: any shape; floating dtype, kept.

    Returns:
      ``x``.

    >>> [round(float(y), 4) for y in identity(jnp.array([-1.0, 2.0]))]
    [-1.0, 2.0]
    """
    return jnp.asarray(x)
