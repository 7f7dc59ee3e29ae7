"""SwiGLU with bounded gate and value, used in large language models to avoid overflow."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations._spec import Bounds
from flaxact.activations.glu_variants import gate_and_value, gate_facts
from flaxact.activations.swish_variants import swish_beta
from flaxact.activations.tanh_variants import softcapped

_LOWEST = 0.27846455  # minus the least value of x σ(x)


def _clamped_range(
    limit: float, alpha: float, value_shift: float, clamp_after: bool, **_: object
) -> Bounds:
    highest = limit if clamp_after else limit / (1 + math.exp(-min(alpha * limit, 700)))
    gates = -_LOWEST / alpha, highest
    ends = [gate * (value_shift + value) for gate in gates for value in (-limit, limit)]
    return min(ends), max(ends)


@activation(
    r"\min(g, L)\,\sigma(\alpha \min(g, L))\,(\min(\max(v, -L), L) + s), \quad (v, g) = x",
    **{**gate_facts("huggingface2026transformers"), "range": _clamped_range},
    positive=("limit", "alpha"),
    note="Three forms ship. gpt-oss and MiniMax M3: the defaults. DeepSeek V4, GLM 5 and HY V4: "
    "limit=10, alpha=1, value_shift=0. Step 3.7: alpha=1, value_shift=0, clamp_after=True, a limit per "
    "layer or none (`swiglu`). In all of them the gate comes first; gpt-oss interleaves the channels. "
    "`get('gpt_oss', library='models')` and its like have all of it.",
)
@keeps_input()
def clamped_swiglu(
    x: jax.Array,
    limit: float = 7.0,
    *,
    alpha: float = 1.702,
    value_shift: float = 1.0,
    clamp_after: bool = False,
    axis: int = -1,
    gate_first: bool = False,
    interleaved: bool = False,
    value: jax.Array | None = None,
) -> jax.Array:
    r"""SwiGLU whose gate is clamped from above and whose value from both sides.

    The derivative is 0 beyond a limit. Exactly at a limit it is the derivative inside, as in
    PyTorch's ``clamp``.

    Args:
      x: the input, with value and gate along an axis of even width; if ``value`` is given, only the
        gate.
      limit: positive; gate and value are clamped at this size.
      alpha: positive, the steepness of the gate's sigmoid; 1 is SiLU.
      value_shift: added to the clamped value.
      clamp_after: whether :math:`g\,\sigma(\alpha g)` is clamped, instead of :math:`g` before it.
      axis: the axis that holds value and gate.
      gate_first: whether the gate comes first (first half or even channels), before the value.
      interleaved: whether value and gate alternate along the axis, instead of being its halves.
      value: the value as a separate array of the gate's shape.

    >>> [round(float(y), 4) for y in clamped_swiglu(jnp.array([9.0, 1.0]))]
    [6.7664]
    >>> [round(float(y), 4) for y in clamped_swiglu(jnp.array([2.0, 9.0]), clamp_after=True)]
    [21.0]
    """
    layout = {"axis": axis, "gate_first": gate_first, "interleaved": interleaved}
    gates, values = gate_and_value(x, value, name="clamped_swiglu", **layout)
    if not clamp_after:
        gates = _at_most(gates, limit)
    gates = swish_beta(gates, alpha)
    if clamp_after:
        gates = _at_most(gates, limit)
    return gates * (-_at_most(-_at_most(values, limit), limit) + value_shift)


@activation(
    r"c \tanh(g / c)\,\sigma(g)\,d \tanh(v / d), \quad (v, g) = x",
    **{
        **gate_facts("huggingface2026transformers"),
        "range": lambda gate_cap, value_cap, **_: (-gate_cap * value_cap, gate_cap * value_cap),
    },
    positive=("gate_cap", "value_cap"),
    aliases=("situ_glu",),
    note="Inkling 2, whose caps are the defaults; Kimi calls it SiTU. The gate comes first there.",
)
@keeps_input()
def softcapped_swiglu(
    x: jax.Array,
    gate_cap: float = 4.0,
    value_cap: float = 25.0,
    *,
    axis: int = -1,
    gate_first: bool = False,
    interleaved: bool = False,
    value: jax.Array | None = None,
) -> jax.Array:
    """SwiGLU with gate and value capped by a tanh; the sigmoid is of the gate before capping.

    Args:
      x: the input, with value and gate along an axis of even width; if ``value`` is given, only the
        gate.
      gate_cap: positive, the upper bound of the gate.
      value_cap: positive, the bound of the value.
      axis: the axis that holds value and gate.
      gate_first: whether the gate comes first (first half or even channels), before the value.
      interleaved: whether value and gate alternate along the axis, instead of being its halves.
      value: the value as a separate array of the gate's shape.

    >>> [round(float(y), 4) for y in softcapped_swiglu(jnp.array([2.0, 1.0]))]
    [1.4294]
    """
    layout = {"axis": axis, "gate_first": gate_first, "interleaved": interleaved}
    gates, values = gate_and_value(x, value, name="softcapped_swiglu", **layout)
    return softcapped(gates, gate_cap) * jax.nn.sigmoid(gates) * softcapped(values, value_cap)


def _at_most(x: jax.Array, top: float) -> jax.Array:
    """The lesser of two; jnp.minimum halves the derivative where they are equal."""
    return jnp.where(x > top, top, x)
