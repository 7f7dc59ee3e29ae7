"""Piecewise linear with more than one bend: caps, thresholds, shrinkage and steps."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input, keeps_output

INF = math.inf


@activation(
    r"\min(\max(x, 0), 6)",
    source="krizhevsky2010cdbn",
    range=(0.0, 6.0),
    kinks=(0.0, 6.0),
)
@keeps_output(lambda y: jnp.where((y > 0) & (y < 6), 1, 0).astype(y.dtype))
def relu6(x: jax.Array) -> jax.Array:
    """Rectified linear unit capped at 6.

    >>> [float(y) for y in relu6(jnp.array([-1.0, 2.0, 8.0]))]
    [0.0, 2.0, 6.0]
    """
    return jnp.where(x <= 0, 0, jnp.where(x >= 6, 6, x))


@activation(
    r"\min(\max(x, 0), n)",
    source="krizhevsky2010cdbn",
    range=lambda maximum: (0.0, maximum),
    kinks=lambda maximum: (0.0, maximum),
    positive=("maximum",),
)
@keeps_output(lambda y, maximum: jnp.where((y > 0) & (y < maximum), 1, 0).astype(y.dtype))
def relu_n(x: jax.Array, maximum: float = 1.0) -> jax.Array:
    """Rectified linear unit capped at a number.

    Args:
      x: the input.
      maximum: :math:`n`, the cap; positive.

    >>> [float(y) for y in relu_n(jnp.array([-1.0, 0.5, 8.0]))]
    [0.0, 0.5, 1.0]
    """
    return jnp.where(x <= 0, 0, jnp.where(x >= maximum, maximum, x))


@activation(
    r"\min(\max(x, -1), 1)",
    source="collobert2004thesis",
    range=(-1.0, 1.0),
    kinks=(-1.0, 1.0),
    keeps_integers=True,
    note="The derivative at -1 and 1 is 0, as in PyTorch; jax.nn takes 1.",
)
@keeps_output(lambda y: jnp.where(abs(y) < 1, 1, 0).astype(y.dtype))
def hard_tanh(x: jax.Array) -> jax.Array:
    """Hard tanh: the input clipped to the range from -1 to 1.

    >>> [float(y) for y in hard_tanh(jnp.array([-3.0, 0.5, 2.0]))]
    [-1.0, 0.5, 1.0]
    """
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return jnp.where(x > 0, 1, jnp.where(x < 0, -1, x))  # unsigned ones have no -1
    return jnp.where(x <= -1, -1, jnp.where(x >= 1, 1, x))


@activation(
    r"\min(\max(x + 3, 0), 6) / 6",
    source="howard2019mobilenetv3",
    range=(0.0, 1.0),
    kinks=(-3.0, 3.0),
    note="As in jax.nn, PyTorch and Keras 3; Keras 2 and Theano had 0.2 x + 0.5, cut to [0, 1].",
)
@keeps_output(lambda y: jnp.where((y > 0) & (y < 1), 1 / 6, 0).astype(y.dtype))
def hard_sigmoid(x: jax.Array) -> jax.Array:
    """Hard sigmoid: a piecewise linear approximation of the sigmoid.

    >>> [round(float(y), 4) for y in hard_sigmoid(jnp.array([-3.0, 0.0, 1.5]))]
    [0.0, 0.5, 0.75]
    """
    return jnp.where(x <= -3, 0, jnp.where(x >= 3, 1, _below_one((x + 3) / 6)))


def _below_one(y: jax.Array) -> jax.Array:
    """Not rounded up to 1, at which the derivative read from the output is that beyond the kink."""
    return jnp.minimum(y, 1 - float(jnp.finfo(y.dtype).epsneg))


@activation(
    r"\min(\max(x + 1, 0), 2) / 2",
    source="jax2018github",
    range=(0.0, 1.0),
    kinks=(-1.0, 1.0),
    note="The derivative of sparse_plus, as sigmoid is softplus's. At -1 and 1 its own derivative is 0 "
    "here, 1/2 in jax.nn.",
)
@keeps_output(lambda y: jnp.where((y > 0) & (y < 1), 1 / 2, 0).astype(y.dtype))
def sparse_sigmoid(x: jax.Array) -> jax.Array:
    """Sparse sigmoid: a line between 0 at -1 and 1 at 1.

    >>> [float(y) for y in sparse_sigmoid(jnp.array([-1.0, 0.0, 0.5]))]
    [0.0, 0.5, 0.75]
    """
    return jnp.where(x <= -1, 0, jnp.where(x >= 1, 1, _below_one((x + 1) / 2)))


@activation(
    r"t_r + a_r (x - t_r) \text{ if } x > t_r, \; x, \; t_l + a_l (x - t_l) \text{ if } x < t_l",
    source="jin2016srelu",
    range=lambda left, left_slope, right, right_slope: (
        -INF if left_slope > 0 else left,
        INF if right_slope > 0 else right,
    ),
    kinks=lambda left, left_slope, right, right_slope: (
        *((left,) if left_slope != 1 else ()),
        *((right,) if right_slope != 1 else ()),
    ),
    monotonic=lambda left, left_slope, right, right_slope: min(left_slope, right_slope) >= 0,
    learned=("left", "left_slope", "right", "right_slope"),
    per_channel=True,
    note="Starts as the paper's: leaky ReLU with slope 0.2 below 0; its right threshold, set from the "
    "data there, starts at 1 with slope 1. Not the shifted ReLU that the ELU "
    "paper calls SReLU (`shifted_relu`), nor a soft one.",
)
@keeps_output(
    lambda y, left, left_slope, right, right_slope: jnp.where(
        y > right, right_slope, jnp.where(y > left, 1, left_slope)
    ).astype(y.dtype),
    when=lambda left, left_slope, right, right_slope: min(left_slope, right_slope) > 0,
)
def srelu(
    x: jax.Array,
    left: float | jax.Array = 0.0,
    left_slope: float | jax.Array = 0.2,
    right: float | jax.Array = 1.0,
    right_slope: float | jax.Array = 1.0,
) -> jax.Array:
    """S-shaped rectified linear unit: three straight pieces, with learned bends and slopes.

    Args:
      x: the input.
      left: the bend below zero.
      left_slope: the slope below it.
      right: the bend above zero.
      right_slope: the slope above it.

    >>> [round(float(y), 4) for y in srelu(jnp.array([-1.0, 2.0]), right_slope=0.5)]
    [-0.2, 1.5]
    """
    above = jnp.where(x > right, right + right_slope * (x - right), x)
    return jnp.where(x > left, above, left + left_slope * (x - left))


@activation(
    r"x \text{ if } x > \theta \text{ else } v",
    source="",
    range=lambda threshold, value: (min(threshold, value), INF),
    kinks=lambda threshold, value: (threshold,),
    jumps=lambda threshold, value: () if threshold == value else (threshold,),
    monotonic=lambda threshold, value: value <= threshold,
    note="PyTorch's, which has no default values.",
)
@keeps_output(
    lambda y, threshold, value: jnp.where(y > threshold, 1, 0).astype(y.dtype),
    when=lambda threshold, value: value <= threshold,
)
def threshold(x: jax.Array, threshold: float = 0.0, value: float = 0.0) -> jax.Array:
    r"""Threshold: the input where it exceeds a threshold, a constant elsewhere.

    Args:
      x: the input.
      threshold: :math:`\theta`.
      value: :math:`v`, the constant that replaces the input.

    >>> [float(y) for y in threshold(jnp.array([-1.0, 0.5, 8.0]), 1.0, -2.0)]
    [-2.0, -2.0, 8.0]
    """
    return jnp.where(x <= threshold, value, x)


@activation(
    r"x \text{ if } x > \theta \text{ else } 0",
    source="konda2014zerobias",
    range=lambda threshold: (min(0.0, threshold), INF),
    kinks=lambda threshold: (threshold,),
    jumps=lambda threshold: (threshold,) if threshold else (),
    monotonic=lambda threshold: threshold >= 0,
)
@keeps_output(
    lambda y, threshold: jnp.where(y > 0, 1, 0).astype(y.dtype),
    when=lambda threshold: threshold >= 0,
)
def thresholded_relu(x: jax.Array, threshold: float = 1.0) -> jax.Array:
    r"""Thresholded rectified linear unit: the input where it exceeds the threshold, else 0.

    Args:
      x: the input.
      threshold: :math:`\theta`; 1 is the paper's.

    >>> [float(y) for y in thresholded_relu(jnp.array([-1.0, 0.5, 8.0]))]
    [0.0, 0.0, 8.0]
    """
    return jnp.where(x <= threshold, 0, x)


@activation(
    r"x \text{ if } |x| > \lambda \text{ else } 0",
    source="donoho1994shrinkage",
    range=(-INF, INF),
    kinks=lambda threshold: (-threshold, threshold) if threshold else (),
    jumps=lambda threshold: (-threshold, threshold) if threshold else (),
)
@keeps_output(lambda y, threshold: jnp.where(y == 0, 0, 1).astype(y.dtype))
def hard_shrink(x: jax.Array, threshold: float = 0.5) -> jax.Array:
    r"""Hard shrinkage: inputs up to the threshold in size become zero, others are unchanged.

    Args:
      x: the input.
      threshold: :math:`\lambda`, at least 0.

    >>> [float(y) for y in hard_shrink(jnp.array([-1.0, 0.4, 2.0]))]
    [-1.0, 0.0, 2.0]
    """
    return jnp.where(abs(x) <= threshold, 0, x)


@activation(
    r"\mathrm{sign}(x) \max(|x| - \lambda, 0)",
    source="donoho1994shrinkage",
    range=(-INF, INF),
    kinks=lambda threshold: (-threshold, threshold) if threshold else (),
)
@keeps_output(lambda y, threshold: jnp.where(y == 0, 0, 1).astype(y.dtype))
def soft_shrink(x: jax.Array, threshold: float = 0.5) -> jax.Array:
    r"""Soft shrinkage: inputs move towards zero by the threshold, at most to zero.

    Args:
      x: the input.
      threshold: :math:`\lambda`, at least 0.

    >>> [float(y) for y in soft_shrink(jnp.array([-1.0, 0.4, 2.0]))]
    [-0.5, 0.0, 1.5]
    """
    return jnp.where(abs(x) <= threshold, 0, x - jnp.sign(x) * threshold)


@activation(
    r"1 \text{ if } x > 0 \text{ else } 0, \text{ with the derivative of } \min(\max(x, -1), 1)",
    source="bengio2013estimating",
    range=(0.0, 1.0),
    jumps=(0.0,),
    surrogate=True,
    aliases=("heaviside",),
)
@keeps_input(lambda x: jnp.where(abs(x) <= 1, 1, 0).astype(x.dtype))
def step(x: jax.Array) -> jax.Array:
    """Unit step with a straight-through derivative: 1 for inputs from -1 to 1, else 0.

    This derivative is deliberate: the true derivative of the step is 0 everywhere.

    >>> [float(y) for y in step(jnp.array([-0.5, 0.0, 2.0]))], float(jax.grad(step)(-0.5))
    ([0.0, 0.0, 1.0], 1.0)
    """
    return jnp.where(x > 0, 1, jnp.where(x <= 0, 0, x)).astype(x.dtype)
