"""Gated and concatenated: the width of the output is not that of the input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations.exponential import elu, selu
from flaxact.activations.rectified import relu
from flaxact.activations.self_gated import gelu, silu
from flaxact.errors import InputError

INF = math.inf


def _halves(name: str, x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    check_divisible(name, x, axis, 2)
    first, second = jnp.split(x, 2, axis)
    return first, second


def check_divisible(name: str, x: jax.Array, axis: int, parts: int) -> None:
    """Raise where an axis cannot be cut into so many equal parts."""
    if parts < 1 or x.shape[axis] % parts:
        raise InputError(
            f"{name} needs a width that {parts} divides, not {x.shape[axis]} (axis {axis} of {x.shape})"
        )


def _half(width: int, **_: Any) -> int:
    return width // 2


def _gate_facts(source: str) -> dict[str, Any]:
    return {
        "source": source,
        "range": (-INF, INF),
        "monotonic": False,
        "coupled": True,
        "width": _half,
    }


def _gated(name: str, x: jax.Array, axis: int, gate: Callable[[jax.Array], jax.Array]) -> jax.Array:
    value, gated = _halves(name, x, axis)
    return value * gate(gated)


@activation(
    r"a\,\sigma(b), \quad (a, b) = x",
    **_gate_facts("dauphin2017glu"),
    note="The second half is the gate, as in jax.nn and PyTorch; Shazeer 2020 writes the first.",
)
@keeps_input()
def glu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Gated linear unit: half of the channels gate the other half.

    Args:
      x: the input, whose width along the axis is even.
      axis: where it is cut in two.

    >>> glu(jnp.array([2.0, 0.0]))
    Array([1.], dtype=float32)
    """
    return _gated("glu", x, axis, jax.nn.sigmoid)


@activation(r"a\,b, \quad (a, b) = x", **_gate_facts("shazeer2020glu"))
@keeps_input()
def bilinear(x: jax.Array, axis: int = -1) -> jax.Array:
    """Product of the two halves of the channels: a gate without an activation.

    Args:
      x: the input, whose width along the axis is even.
      axis: where it is cut in two.

    >>> bilinear(jnp.array([2.0, 3.0]))
    Array([6.], dtype=float32)
    """
    return _gated("bilinear", x, axis, lambda gate: gate)


@activation(r"a\,\mathrm{relu}(b), \quad (a, b) = x", **_gate_facts("shazeer2020glu"))
@keeps_input()
def reglu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Gated by ReLU.

    Args:
      x: the input, whose width along the axis is even.
      axis: where it is cut in two.

    >>> reglu(jnp.array([2.0, 3.0]))
    Array([6.], dtype=float32)
    """
    return _gated("reglu", x, axis, relu)


@activation(
    r"a\,\mathrm{gelu}(b), \quad (a, b) = x",
    **_gate_facts("shazeer2020glu"),
    note="GELU in its tanh form unless approximate is False; the paper does not say which.",
)
@keeps_input()
def geglu(x: jax.Array, axis: int = -1, approximate: bool = True) -> jax.Array:
    """Gated by GELU.

    Args:
      x: the input, whose width along the axis is even.
      axis: where it is cut in two.
      approximate: GELU's tanh form.

    >>> [round(float(y), 4) for y in geglu(jnp.array([2.0, 1.0]))]
    [1.6824]
    """
    return _gated("geglu", x, axis, lambda gate: gelu(gate, approximate))


@activation(r"a\,\mathrm{silu}(b), \quad (a, b) = x", **_gate_facts("shazeer2020glu"))
@keeps_input()
def swiglu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Gated by SiLU, as the feed-forward layers of most large language models are.

    Args:
      x: the input, whose width along the axis is even.
      axis: where it is cut in two.

    >>> [round(float(y), 4) for y in swiglu(jnp.array([2.0, 1.0]))]
    [1.4621]
    """
    return _gated("swiglu", x, axis, silu)


@activation(
    r"a\,\mathrm{selu}(b), \quad (a, b) = x",
    **_gate_facts("kunc2024survey"),
    note="From the package torch-activation, which names no paper.",
)
@keeps_input()
def seglu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Gated by SELU.

    Args:
      x: the input, whose width along the axis is even.
      axis: where it is cut in two.

    >>> [round(float(y), 4) for y in seglu(jnp.array([2.0, 1.0]))]
    [2.1014]
    """
    return _gated("seglu", x, axis, selu)


@activation(
    r"\max(a, 0) - \max(b, 0), \quad (a, b) = x",
    **_gate_facts("godin2018dual"),
    note="Another DReLU is the displaced ReLU, `displaced_relu` here.",
)
@keeps_input()
def dual_relu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Dual rectified linear unit: a unit that is positive, negative or exactly zero.

    Args:
      x: the input, whose width along the axis is even.
      axis: where it is cut in two.

    >>> dual_relu(jnp.array([2.0, 3.0]))
    Array([-1.], dtype=float32)
    """
    first, second = _halves("dual_relu", x, axis)
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
    """Concatenated ReLU: what is above zero, and what is below, side by side.

    Args:
      x: the input.
      axis: which is twice as wide afterwards.

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
    """Concatenated ELU: ELU of the input and of its negative, side by side.

    Args:
      x: the input.
      axis: which is twice as wide afterwards.
      alpha: of ELU, positive.

    >>> [round(float(y), 4) for y in concatenated_elu(jnp.array([2.0]))]
    [2.0, -0.8647]
    """
    return jnp.concatenate([elu(x, alpha), elu(-x, alpha)], axis)
