"""Pairs of rectifiers, concatenated along the channels or subtracted."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._check import halves
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations.elu_variants import elu
from flaxact.activations.glu_variants import gate_facts
from flaxact.activations.rectified import relu

INF = math.inf


@activation(
    r"\max(a, 0) - \max(b, 0), \quad (a, b) = x",
    **gate_facts("godin2018dual"),
    note="Other functions called DReLU: `displaced_relu`, and `drelu_glu` of TurboSparse.",
)
@keeps_input()
def dual_relu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Dual rectified linear unit: relu of the first half minus relu of the second.

    Args:
      x: the input, whose width along the axis is even.
      axis: the axis that is split into halves.

    >>> dual_relu(jnp.array([2.0, 3.0]))
    Array([-1.], dtype=float32)
    """
    first, second = halves("dual_relu", x, axis)
    return relu(first) - relu(second)


@activation(
    r"(\max(x, 0), \max(-x, 0))",
    source="shang2016crelu",
    range=(0.0, INF),
    monotonic=False,
    coupled=True,
    width=lambda width, axis: 2 * width,
)
@keeps_input()
def crelu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Concatenated ReLU: relu(x) and relu(-x), side by side.

    Args:
      x: the input.
      axis: the axis whose width doubles.

    >>> crelu(jnp.array([2.0, -3.0]))
    Array([2., 0., 0., 3.], dtype=float32)
    """
    return jnp.concatenate([relu(x), relu(-x)], axis)


@activation(
    r"(\mathrm{elu}(x), \mathrm{elu}(-x))",
    source="shang2016crelu",
    range=lambda axis, alpha: (-alpha, INF),
    monotonic=False,
    coupled=True,
    width=lambda width, axis, alpha: 2 * width,
    positive=("alpha",),
)
@keeps_input()
def concatenated_elu(x: jax.Array, axis: int = -1, alpha: float = 1.0) -> jax.Array:
    """Concatenated ELU: elu(x) and elu(-x), side by side.

    Args:
      x: the input.
      axis: the axis whose width doubles.
      alpha: ELU's alpha, positive.

    >>> [round(float(y), 4) for y in concatenated_elu(jnp.array([2.0]))]
    [2.0, -0.8647]
    """
    return jnp.concatenate([elu(x, alpha), elu(-x, alpha)], axis)
