"""GLU and its variants: one half of the channels gates the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flaxact._lazy import jax
from flaxact.activations._check import check_divisible, halves
from flaxact.activations._define import activation
from flaxact.activations._get import get
from flaxact.activations._grad import keeps_input
from flaxact.activations._spec import Activation, Bounds
from flaxact.activations.elu_variants import selu
from flaxact.activations.gelu_variants import gelu
from flaxact.activations.rectified import relu, squared_relu
from flaxact.activations.swish_variants import silu
from flaxact.activations.unbounded import identity

INF = math.inf


def _half(width: int, **_: object) -> int:
    return width // 2


_IDENTITY = get(identity)


def gate_facts(source: str) -> dict[str, Any]:
    """Arguments of ``@activation`` for an activation that combines two channels into one."""
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


def gate_and_value(
    x: jax.Array,
    value: jax.Array | None,
    *,
    name: str,
    axis: int,
    gate_first: bool,
    interleaved: bool,
) -> tuple[jax.Array, jax.Array]:
    """The pair (gate, value): two separate arrays, or the two parts of an axis."""
    if value is not None:
        return x, value.astype(x.dtype)
    if interleaved:
        check_divisible(name, x, axis, 2)
        first, second = (jax.lax.slice_in_dim(x, i, None, 2, axis) for i in (0, 1))
    else:
        first, second = halves(name, x, axis)
    return (first, second) if gate_first else (second, first)


def _product_range(activation: Activation, value_activation: Activation, **_: object) -> Bounds:
    ends = [a * b if a and b else 0.0 for a in activation.range for b in value_activation.range]
    return min(ends), max(ends)


@activation(
    r"f(g)\,h(v), \quad (v, g) = x",
    **{**gate_facts("shazeer2020glu"), "range": _product_range},
)
@keeps_input()
def gated(
    x: jax.Array,
    activation: Activation,
    value_activation: Activation = _IDENTITY,
    *,
    axis: int = -1,
    gate_first: bool = False,
    interleaved: bool = False,
    value: jax.Array | None = None,
) -> jax.Array:
    """A gated linear unit with any activation: the activated gate times the value.

    ``gated("silu")`` is `swiglu`, ``gated("silu", gate_first=True)`` takes the halves in the order of
    Shazeer 2020 and of most checkpoints.

    Args:
      x: the input, with value and gate along an axis of even width; if ``value`` is given, only the
        gate.
      activation: activation of the gate.
      value_activation: activation of the value; identity by default.
      axis: the axis that holds value and gate.
      gate_first: whether the gate comes first (first half or even channels), before the value.
      interleaved: whether value and gate alternate along the axis, instead of being its halves.
      value: in a call, the value as a separate array of the gate's shape.

    Returns:
      An ``Activation``.

    >>> import jax.numpy as jnp
    >>> [round(float(y), 4) for y in gated("silu")(jnp.array([2.0, 1.0]))]
    [1.4621]
    >>> gated("relu", gate_first=True, interleaved=True)(jnp.array([1.0, 2.0, 3.0, 4.0]))
    Array([ 2., 12.], dtype=float32)
    >>> gated("relu")(jnp.array([1.0, -3.0]), value=jnp.array([2.0, 4.0]))
    Array([2., 0.], dtype=float32)
    """
    layout = {"axis": axis, "gate_first": gate_first, "interleaved": interleaved}
    gates, values = gate_and_value(x, value, name="gated", **layout)
    return activation(gates) * value_activation(values)


@activation(
    r"a\,\sigma(b), \quad (a, b) = x",
    **gate_facts("dauphin2017glu"),
    note="The second half is the gate, as in jax.nn and PyTorch; Shazeer 2020 writes the first.",
)
@keeps_input()
def glu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Gated linear unit: one half of the channels times the sigmoid of the other half.

    Args:
      x: the input, whose width along the axis is even.
      axis: the axis that is split into halves.

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
      axis: the axis that is split into halves.

    >>> import jax.numpy as jnp
    >>> bilinear(jnp.array([2.0, 3.0]))
    Array([6.], dtype=float32)
    """
    return _gated("bilinear", x, axis, lambda gate: gate)


@activation(
    r"a\,\max(b, 0)^2, \quad (a, b) = x",
    **gate_facts("huggingface2026transformers"),
    aliases=("relu2_glu",),
    note="As in BitNet b1.58, whose gate is the first half.",
)
@keeps_input()
def squared_reglu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Gated linear unit: one half of the channels times the squared ReLU of the other half.

    Args:
      x: the input, whose width along the axis is even.
      axis: the axis that is split into halves.

    >>> import jax.numpy as jnp
    >>> squared_reglu(jnp.array([2.0, 3.0]))
    Array([18.], dtype=float32)
    """
    return _gated("squared_reglu", x, axis, squared_relu)


@activation(
    r"\max(a, 0)\,\max(b, 0), \quad (a, b) = x",
    **{**gate_facts("song2024turbosparse"), "range": (0.0, INF)},
    note="The source writes dReLU. Others of that name: `displaced_relu` and `dual_relu`.",
)
@keeps_input()
def drelu_glu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Product of the ReLUs of the two halves of the channels: 9 of 10 outputs are zero after training.

    Args:
      x: the input, whose width along the axis is even.
      axis: the axis that is split into halves.

    >>> import jax.numpy as jnp
    >>> drelu_glu(jnp.array([2.0, -2.0, 3.0, 3.0]))
    Array([6., 0.], dtype=float32)
    """
    return relu(_gated("drelu_glu", x, axis, relu))


@activation(r"a\,\mathrm{relu}(b), \quad (a, b) = x", **gate_facts("shazeer2020glu"))
@keeps_input()
def reglu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Gated linear unit: one half of the channels times the ReLU of the other half.

    Args:
      x: the input, whose width along the axis is even.
      axis: the axis that is split into halves.

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
    """Gated linear unit: one half of the channels times the GELU of the other half.

    Args:
      x: the input, whose width along the axis is even.
      axis: the axis that is split into halves.
      approximate: whether to use the tanh approximation of GELU.

    >>> import jax.numpy as jnp
    >>> [round(float(y), 4) for y in geglu(jnp.array([2.0, 1.0]))]
    [1.6824]
    """
    return _gated("geglu", x, axis, lambda gate: gelu(gate, approximate))


@activation(r"a\,\mathrm{silu}(b), \quad (a, b) = x", **gate_facts("shazeer2020glu"))
@keeps_input()
def swiglu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Gated linear unit with SiLU, as in the feed-forward layers of most large language models.

    Args:
      x: the input, whose width along the axis is even.
      axis: the axis that is split into halves.

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
    """Gated linear unit: one half of the channels times the SELU of the other half.

    Args:
      x: the input, whose width along the axis is even.
      axis: the axis that is split into halves.

    >>> import jax.numpy as jnp
    >>> [round(float(y), 4) for y in seglu(jnp.array([2.0, 1.0]))]
    [2.1014]
    """
    return _gated("seglu", x, axis, selu)
