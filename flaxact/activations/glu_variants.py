"""GLU and its variants: one half of the channels gates the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flaxact._lazy import jax
from flaxact.activations._check import halves
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations.exponential import selu
from flaxact.activations.gelu_variants import gelu
from flaxact.activations.rectified import relu
from flaxact.activations.swish_variants import silu

INF = math.inf


def _half(width: int, **_: object) -> int:
    return width // 2


def gate_facts(source: str) -> dict[str, Any]:
    """The facts of an activation that makes one channel of two, for ``@activation``."""
    return {
        "source": source,
        "range": (-INF, INF),
        "monotonic": False,
        "coupled": True,
        "width": _half,
    }


def _gated(name: str, x: jax.Array, axis: int, gate: Callable[[jax.Array], jax.Array]) -> jax.Array:
    value, gated = halves(name, x, axis)
    return value * gate(gated)


@activation(
    r"a\,\sigma(b), \quad (a, b) = x",
    **gate_facts("dauphin2017glu"),
    note="The second half is the gate, as in jax.nn and PyTorch; Shazeer 2020 writes the first.",
)
@keeps_input()
def glu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Gated linear unit: half of the channels gate the other half.

    Args:
      x: the input, whose width along the axis is even.
      axis: where it is cut in two.

    >>> import jax.numpy as jnp
    >>> glu(jnp.array([2.0, 0.0]))
    Array([1.], dtype=float32)
    """
    return _gated("glu", x, axis, jax.nn.sigmoid)


@activation(r"a\,b, \quad (a, b) = x", **gate_facts("shazeer2020glu"))
@keeps_input()
def bilinear(x: jax.Array, axis: int = -1) -> jax.Array:
    """Product of the two halves of the channels: a gate without an activation.

    Args:
      x: the input, whose width along the axis is even.
      axis: where it is cut in two.

    >>> import jax.numpy as jnp
    >>> bilinear(jnp.array([2.0, 3.0]))
    Array([6.], dtype=float32)
    """
    return _gated("bilinear", x, axis, lambda gate: gate)


@activation(r"a\,\mathrm{relu}(b), \quad (a, b) = x", **gate_facts("shazeer2020glu"))
@keeps_input()
def reglu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Gated by ReLU.

    Args:
      x: the input, whose width along the axis is even.
      axis: where it is cut in two.

    >>> import jax.numpy as jnp
    >>> reglu(jnp.array([2.0, 3.0]))
    Array([6.], dtype=float32)
    """
    return _gated("reglu", x, axis, relu)


@activation(
    r"a\,\mathrm{gelu}(b), \quad (a, b) = x",
    **gate_facts("shazeer2020glu"),
    note="GELU in its tanh form unless approximate is False; the paper does not say which.",
)
@keeps_input()
def geglu(x: jax.Array, axis: int = -1, approximate: bool = True) -> jax.Array:
    """Gated by GELU.

    Args:
      x: the input, whose width along the axis is even.
      axis: where it is cut in two.
      approximate: GELU's tanh form.

    >>> import jax.numpy as jnp
    >>> [round(float(y), 4) for y in geglu(jnp.array([2.0, 1.0]))]
    [1.6824]
    """
    return _gated("geglu", x, axis, lambda gate: gelu(gate, approximate))


@activation(r"a\,\mathrm{silu}(b), \quad (a, b) = x", **gate_facts("shazeer2020glu"))
@keeps_input()
def swiglu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Gated by SiLU, as the feed-forward layers of most large language models are.

    Args:
      x: the input, whose width along the axis is even.
      axis: where it is cut in two.

    >>> import jax.numpy as jnp
    >>> [round(float(y), 4) for y in swiglu(jnp.array([2.0, 1.0]))]
    [1.4621]
    """
    return _gated("swiglu", x, axis, silu)


@activation(
    r"a\,\mathrm{selu}(b), \quad (a, b) = x",
    **gate_facts("kunc2024survey"),
    note="From the package torch-activation, which names no paper.",
)
@keeps_input()
def seglu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Gated by SELU.

    Args:
      x: the input, whose width along the axis is even.
      axis: where it is cut in two.

    >>> import jax.numpy as jnp
    >>> [round(float(y), 4) for y in seglu(jnp.array([2.0, 1.0]))]
    [2.1014]
    """
    return _gated("seglu", x, axis, selu)
