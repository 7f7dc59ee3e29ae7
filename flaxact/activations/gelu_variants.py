"""The input times a gate: the Gaussian distribution function, the Gompertz function, or tanh."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations._numerics import last_place, lifted, sech_squared, sigmoids
from flaxact.activations._spec import Bounds

INF = math.inf
_TANH_SCALE = math.sqrt(2 / math.pi)
_TANH_CUBIC = 0.044715  # Hendrycks & Gimpel 2016, §2


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
    near=("gelu", "gelu(approximate=False)", "quick_gelu"),
    note="The tanh form is the default here and in jax.nn, the exact one in PyTorch, TensorFlow, Keras, "
    "timm and transformers: get('gelu', library='torch').",
)
@keeps_input(_gelu_slope)
def gelu(x: jax.Array, approximate: bool = True) -> jax.Array:
    r"""Gaussian error linear unit: x times the standard Gaussian distribution function of x.

    Args:
      x: the input.
      approximate: whether to use the tanh approximation, the default of ``jax.nn``; otherwise the
        exact form, the default of PyTorch.

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


def _golu_slope(x: jax.Array) -> jax.Array:
    x = jnp.clip(x, -8, 800)  # below, the gate is 0 in float64 too
    e = jnp.exp(-x)
    return jnp.exp(-e) * (1 + x * e)


@activation(r"x\,e^{-e^{-x}}", source="das2025golu", range=(-0.09726013, INF), monotonic=False)
@keeps_input(_golu_slope)
def golu(x: jax.Array) -> jax.Array:
    """Gompertz linear unit: the gate is a sigmoid that is not symmetric.

    >>> [round(float(y), 4) for y in golu(jnp.array([-1.0, 2.0]))]
    [-0.066, 1.7468]
    """
    return lifted(x) * jnp.exp(-jnp.exp(-x))


@activation(
    r"x \tanh x",
    source="roy2019lisht",
    range=(0.0, INF),
    monotonic=False,
    aliases=("lisht",),
)
@keeps_input(lambda x: jnp.tanh(x) + jnp.clip(x, -400, 400) * sech_squared(x))
def linearly_scaled_tanh(x: jax.Array) -> jax.Array:
    """Linearly scaled tanh (LiSHT): a smooth absolute value.

    >>> [round(float(y), 4) for y in linearly_scaled_tanh(jnp.array([-1.0, 2.0]))]
    [0.7616, 1.9281]
    """
    return x * jnp.tanh(x)


def _arctan_gate(x: jax.Array) -> jax.Array:
    """One half and the arctangent over π, by an angle in which they do not cancel."""
    return jnp.arctan2(jnp.ones_like(x), -x) / math.pi


def _xatlu_slope(x: jax.Array, alpha: float | jax.Array) -> jax.Array:
    reach = 1e5 if x.dtype == jnp.float32 else 1e9  # beyond, the powers of it might overflow
    x = jnp.clip(x, -reach, reach)
    slope = _arctan_gate(x) + x / (math.pi * (1 + x * x))
    return (1 + 2 * alpha) * slope - alpha


def _xatlu_range(alpha: float) -> Bounds:
    """The extreme value lies where the slope, which grows or falls from -alpha to 1 + alpha, is 0."""
    if -1 <= alpha <= 0:
        return (-1 / math.pi if alpha == 0 else -math.inf), math.inf
    wanted = alpha / (1 + 2 * alpha)  # of the slope for alpha 0, where the slope is 0

    def is_left(x: float) -> bool:
        return 0.5 + math.atan(x) / math.pi + x / (1 + x * x) / math.pi < wanted

    place = last_place(is_left, -1e6, 1e6)
    gate = 0.5 + math.atan(place) / math.pi
    extreme = place * (gate * (1 + 2 * alpha) - alpha)
    return (extreme, math.inf) if alpha > 0 else (-math.inf, extreme)


@activation(
    r"x \left(g (1 + 2 \alpha) - \alpha\right), \quad g = \tfrac{1}{2} + \tfrac{1}{\pi} \arctan x",
    source="huang2024expanded",
    range=_xatlu_range,
    monotonic=lambda alpha: -1 <= alpha <= 0,
    learned=("alpha",),
    per_channel=False,
    note="The paper's xGELU and xSiLU expand the gates of GELU and SiLU likewise.",
)
@keeps_input(_xatlu_slope)
def xatlu(x: jax.Array, alpha: float = 0.0) -> jax.Array:
    """Expanded arctangent linear unit: the input times a gate that may leave the range from 0 to 1.

    Args:
      x: the input.
      alpha: how far the gate reaches beyond 0 and 1; one for the layer, learned from 0, or a number.

    >>> [round(float(y), 4) for y in xatlu(jnp.array([-1.0, 2.0]))]
    [-0.25, 1.7048]
    """
    low = x < -1
    below = jnp.maximum(x, -1e9)  # its product with the gate has reached the limit there
    beyond = jnp.where((x == -INF) & (alpha == 0), 0, alpha * x)
    gated = (1 + 2 * alpha) * (below * _arctan_gate(below)) - beyond
    above = jnp.where(low, 0, x)
    return jnp.where(low, gated, above * ((1 + 2 * alpha) * _arctan_gate(above) - alpha))
