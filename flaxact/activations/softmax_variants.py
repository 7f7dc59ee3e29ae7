"""Softmax and its variants: weights over an axis, from exponentials."""

from __future__ import annotations

import math
from collections.abc import Callable

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input, keeps_output_whole
from flaxact.activations._spec import Axes

INF = math.inf
_AXIS = {"monotonic": False, "coupled": True}
_SOFTPICK_EPS = 1e-8


def _tangent(y: jax.Array, dx: jax.Array, axis: int | tuple[int, ...]) -> jax.Array:
    return y * (dx - jnp.sum(y * dx, axis, keepdims=True))


@keeps_output_whole(_tangent)
def _softmax(x: jax.Array, axis: int | tuple[int, ...]) -> jax.Array:
    return jax.nn.softmax(x, axis)


@keeps_output_whole(lambda y, dx, axis: dx - jnp.sum(jnp.exp(y) * dx, axis, keepdims=True))
def _log_softmax(x: jax.Array, axis: int | tuple[int, ...]) -> jax.Array:
    return jax.nn.log_softmax(x, axis)


def _masked(
    function: Callable[..., jax.Array],
    x: jax.Array,
    axis: Axes,
    where: jax.Array | None,
    beyond: float,
) -> jax.Array:
    axes = tuple(range(jnp.ndim(x))) if axis is None else axis
    if where is None:
        return function(x, axes)
    # Where nothing is left anything finite will do: of -∞ alone the result, which is not used, is nan.
    any_kept = jnp.any(jnp.broadcast_to(where, x.shape), axes, keepdims=True)
    filled = jnp.where(where, x, jnp.where(any_kept, -INF, 0).astype(x.dtype))
    return jnp.where(where, function(filled, axes), beyond)


@activation(r"e^{x_i} / \sum_j e^{x_j}", source="bridle1990softmax", range=(0.0, 1.0), **_AXIS)
def softmax(x: jax.Array, axis: Axes = -1, where: jax.Array | None = None) -> jax.Array:
    """Softmax: positive values that sum to one.

    Args:
      x: the input.
      axis: the axis or axes over which the values sum to one; None for all.
      where: a mask that broadcasts to ``x``; masked-out values are 0 and excluded from the sum.

    >>> [round(float(y), 4) for y in softmax(jnp.array([0.0, 1.0]))]
    [0.2689, 0.7311]
    """
    return _masked(_softmax, x, axis, where, beyond=0.0)


@keeps_output_whole(_tangent)
def _softmax1(x: jax.Array, axis: int | tuple[int, ...]) -> jax.Array:
    top = jnp.max(x, axis, keepdims=True, initial=0)
    exponentials = jnp.exp(x - top)
    return exponentials / (jnp.exp(-top) + jnp.sum(exponentials, axis, keepdims=True))


@activation(
    r"e^{x_i} / \bigl(1 + \sum_j e^{x_j}\bigr)",
    source="miller2023attention",
    range=(0.0, 1.0),
    **_AXIS,
)
def softmax1(x: jax.Array, axis: Axes = -1, where: jax.Array | None = None) -> jax.Array:
    """Softmax with an extra input of 0 whose output is dropped, so attention can attend to nothing.

    Args:
      x: the input.
      axis: the axis or axes over which the values sum to less than one; None for all.
      where: a mask that broadcasts to ``x``; masked-out values are 0 and excluded from the sum.

    >>> [round(float(y), 4) for y in softmax1(jnp.array([0.0, 1.0]))]
    [0.2119, 0.5761]
    """
    return _masked(_softmax1, x, axis, where, beyond=0.0)


@activation(r"e^{-x_i} / \sum_j e^{-x_j}", source="paszke2019pytorch", range=(0.0, 1.0), **_AXIS)
def softmin(x: jax.Array, axis: Axes = -1, where: jax.Array | None = None) -> jax.Array:
    """Softmin: the softmax of the negative input, largest where the input is least.

    Args:
      x: the input.
      axis: the axis or axes over which the values sum to one; None for all.
      where: a mask that broadcasts to ``x``; masked-out values are 0 and excluded from the sum.

    >>> [round(float(y), 4) for y in softmin(jnp.array([0.0, 1.0]))]
    [0.7311, 0.2689]
    """
    return _masked(_softmax, -x, axis, where, beyond=0.0)


@activation(r"x_i - \log \sum_j e^{x_j}", source="bridle1990softmax", range=(-INF, 0.0), **_AXIS)
def log_softmax(x: jax.Array, axis: Axes = -1, where: jax.Array | None = None) -> jax.Array:
    """Logarithm of softmax.

    Args:
      x: the input.
      axis: the axis or axes over which the exponentials sum to one; None for all.
      where: a mask that broadcasts to ``x``; masked-out values are -inf and excluded from the sum.

    >>> [round(float(y), 4) for y in log_softmax(jnp.array([0.0, 1.0]))]
    [-1.3133, -0.3133]
    """
    return _masked(_log_softmax, x, axis, where, beyond=-INF)


@keeps_input()
def _softpick(x: jax.Array, axis: int | tuple[int, ...]) -> jax.Array:
    top = jax.lax.stop_gradient(jnp.max(x, axis, keepdims=True, initial=0))
    scale = jnp.exp(-top)  # of numerator and denominator
    near = x < 1  # where the difference of the exponentials would cancel
    small = jnp.where(near, jnp.expm1(jnp.where(near, x, 0)) * scale, 0)
    excess = jnp.where(near, small, jnp.exp(x - top) - scale)
    size = jnp.where(x == -INF, 0, abs(excess))
    return jnp.where(x <= 0, 0, excess) / (
        jnp.sum(size, axis, keepdims=True) + _SOFTPICK_EPS * scale
    )


@activation(
    r"\max(e^{x_i} - 1, 0) / \bigl(\sum_j |e^{x_j} - 1| + \epsilon\bigr)",
    source="zuhri2025softpick",
    range=(0.0, 1.0),
    note="In the authors' code ε is 1e-8, which matters where all inputs are nearly 0, and an input of "
    "-inf takes no part in the sum: so here.",
    **_AXIS,
)
def softpick(x: jax.Array, axis: Axes = -1, where: jax.Array | None = None) -> jax.Array:
    """Softpick, a rectified softmax: exactly zero for inputs that are not positive.

    Args:
      x: the input.
      axis: the axis or axes of the sum; None for all.
      where: a mask that broadcasts to ``x``; masked-out values are 0 and excluded from the sum.

    >>> [round(float(y), 4) for y in softpick(jnp.array([-1.0, 0.0, 1.0]))]
    [0.0, 0.0, 0.7311]
    """
    return _masked(_softpick, x, axis, where, beyond=0.0)


@activation(
    r"\mathrm{softmax}((x + n) / \tau), \quad n_i = -\log(-\log u_i), \quad u_i \sim U(0, 1)",
    source="jang2017gumbel",
    range=(0.0, 1.0),
    positive=("temperature",),
    note="Maddison et al. 2017 found it as well, as the concrete distribution.",
    **_AXIS,
)
@keeps_input()
def gumbel_softmax(
    x: jax.Array,
    temperature: float = 1.0,
    axis: int = -1,
    hard: bool = False,
    key: jax.Array | None = None,
) -> jax.Array:
    r"""Gumbel-softmax: a differentiable draw of one class, as in the quantizers of speech models.

    Args:
      x: the input, logits.
      temperature: :math:`\tau`, positive; the output approaches a one-hot vector as it goes to 0.
      axis: the axis of the classes.
      hard: whether the output is exactly one-hot, with the derivative of the soft output.
      key: random key, for training; with None nothing is drawn.

    >>> [round(float(y), 4) for y in gumbel_softmax(jnp.array([0.0, 1.0]), 0.5)]
    [0.1192, 0.8808]
    >>> gumbel_softmax(jnp.array([0.0, 1.0]), hard=True, key=jax.random.key(0))
    Array([0., 1.], dtype=float32)
    """
    noise = 0 if key is None else jax.random.gumbel(key, x.shape, x.dtype)
    logits = x + noise
    # Below their largest, so that a small temperature makes none of them infinite.
    logits = logits - jax.lax.stop_gradient(jnp.max(logits, axis, keepdims=True, initial=-INF))
    y = jax.nn.softmax(logits / temperature, axis)
    if not hard:
        return y
    chosen = jax.nn.one_hot(jnp.argmax(y, axis), x.shape[axis], axis=axis, dtype=x.dtype)
    return y + jax.lax.stop_gradient(chosen - y)
