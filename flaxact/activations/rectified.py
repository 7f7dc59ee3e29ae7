"""Piecewise linear or quadratic with one bend: ReLU and its variants."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input, keeps_output
from flaxact.activations._numerics import finite, square_root
from flaxact.activations._sign import keeps_sign

INF = math.inf


@activation(
    r"x \text{ if } x > 0 \text{ else } 0",
    source="nair2010relu",
    range=(0.0, INF),
    kinks=(0.0,),
    keeps_integers=True,
    note="The derivative at 0 is 0 in flaxact, jax.nn and PyTorch.",
)
@keeps_output(lambda y: jnp.where(y > 0, 1, 0).astype(y.dtype))
def relu(x: jax.Array) -> jax.Array:
    r"""Rectified linear unit.

    The derivative at 0 is 0, the choice that gives the sparsest gradient (Glorot et al. 2011, §3.1).

    >>> [round(float(y), 4) for y in relu(jnp.array([-1.0, 2.0]))]
    [0.0, 2.0]
    """
    # Not max(x, 0) on the CPU: XLA turns "its output is above 0" back into "its input is above 0" and
    # keeps the input as well. On a TPU it is the other form that costs: a stack of convolutions keeps
    # three times as much (benchmarks/tpu.py). Written with <= so that nan stays nan.
    return jnp.maximum(x, 0) if jax.default_backend() == "tpu" else jnp.where(x <= 0, 0, x)


def _leaky_slope(y: jax.Array, negative_slope: float) -> jax.Array:
    return jnp.where(y > 0, 1, negative_slope).astype(y.dtype)


def _leaky(x: jax.Array, negative_slope: float | jax.Array) -> jax.Array:
    # On a TPU a maximum moves two thirds of the bytes, as for relu (benchmarks/tpu.py).
    is_maximum = isinstance(negative_slope, float) and 0 <= negative_slope <= 1
    if is_maximum and jax.default_backend() == "tpu":
        return jnp.maximum(x, negative_slope * x)
    return jnp.where(x > 0, x, negative_slope * x)


_LEAKY_FACTS = {
    "range": lambda negative_slope: (-INF if negative_slope > 0 else 0.0, INF),
    "kinks": lambda negative_slope: () if negative_slope == 1 else (0.0,),
    "monotonic": lambda negative_slope: negative_slope >= 0,
}


@activation(
    r"x \text{ if } x > 0 \text{ else } s\,x",
    source="maas2013leaky",
    **_LEAKY_FACTS,
    note="The default slope is 0.01 here, in jax.nn and in PyTorch, 0.2 in TensorFlow, 0.3 in Keras. "
    "The derivative at 0 is the slope, as in PyTorch; jax.nn takes 1.",
)
@keeps_output(_leaky_slope, when=lambda negative_slope: negative_slope >= 0)
def leaky_relu(x: jax.Array, negative_slope: float = 0.01) -> jax.Array:
    r"""Leaky rectified linear unit.

    The derivative at 0 is the negative slope (and so 0 for relu).

    Args:
      x: the input.
      negative_slope: :math:`s`, the slope below zero.

    >>> [round(float(y), 4) for y in leaky_relu(jnp.array([-1.0, 2.0]), negative_slope=0.25)]
    [-0.25, 2.0]
    """
    return _leaky(x, negative_slope)


@activation(
    r"x \text{ if } x > 0 \text{ else } s\,x, \quad s = 1/3",
    source="mishkin2016systematic",
    **_LEAKY_FACTS,
)
@keeps_output(_leaky_slope, when=lambda negative_slope: negative_slope >= 0)
def very_leaky_relu(x: jax.Array, negative_slope: float = 1 / 3) -> jax.Array:
    """Very leaky rectified linear unit: a slope of one third below zero.

    Args:
      x: the input.
      negative_slope: the slope below zero.

    >>> [round(float(y), 4) for y in very_leaky_relu(jnp.array([-3.0, 2.0]))]
    [-1.0, 2.0]
    """
    return _leaky(x, negative_slope)


# Stands for a learned slope of exactly 0, so that the input can be had back from the output.
_ALMOST_ZERO = 1e-30


def _not_zero(slope: float | jax.Array) -> jax.Array:
    return jnp.where(abs(slope) < _ALMOST_ZERO, _ALMOST_ZERO, slope)


def _prelu_tangent(
    y: jax.Array, above: jax.Array, slope: jax.Array, dx: jax.Array, ds: jax.Array | None
):
    slope = _not_zero(slope)
    # The input, y / slope, spelt so that nothing but y and the bits can be made before the cotangent
    # is there: XLA would make it early, and keep it.
    # Chosen before the product too: in reverse mode that is after it, when an infinite y has met a 0.
    below = slope * dx if ds is None else slope * dx + y * jnp.where(above, 0, ds / slope)
    return jnp.where(above, dx, below)


@activation(
    r"x \text{ if } x > 0 \text{ else } s\,x",
    source="he2015delving",
    range=lambda negative_slope: (-INF if negative_slope > 0 else 0.0, INF),
    kinks=lambda negative_slope: () if negative_slope == 1 else (0.0,),
    monotonic=lambda negative_slope: negative_slope >= 0,
    learned=("negative_slope",),
    per_channel=True,
    note="Starts at 0.25 in the paper, PyTorch and Keras contrib, 0.01 in flax.nnx, 0 in Keras; one a "
    "channel in the paper's main rows, one a layer by default in PyTorch.",
)
@keeps_sign(_prelu_tangent)
def prelu(x: jax.Array, negative_slope: float | jax.Array = 0.25) -> jax.Array:
    """Parametric rectified linear unit: leaky ReLU whose slope is learned.

    The paper uses no weight decay on the slope, because decay pulls PReLU towards ReLU. The
    derivative with respect to an array of slopes is computed from the output divided by the slope,
    so the input is not kept for the backward pass; a slope of exactly 0 counts as 1e-30.

    Args:
      x: the input.
      negative_slope: a number, or an array that broadcasts to ``x``.

    >>> [round(float(y), 4) for y in prelu(jnp.array([-1.0, 2.0]), jnp.array([0.5, 0.25]))]
    [-0.5, 2.0]
    """
    return jnp.where(x > 0, x, _not_zero(negative_slope) * x)


@activation(
    "|x|",
    source="jarrett2009best",
    range=(0.0, INF),
    kinks=(0.0,),
    monotonic=False,
    aliases=("abs",),
)
@keeps_input(lambda x: jnp.sign(x))  # noqa: PLW0108 (jax is imported when it is called)
def absolute(x: jax.Array) -> jax.Array:
    """Absolute value: rectification that keeps the magnitude of negative inputs.

    >>> [float(y) for y in absolute(jnp.array([-1.0, 2.0]))]
    [1.0, 2.0]
    """
    return abs(x)


@activation(
    r"\max(x, -1)",
    source="clevert2015elu",
    range=(-1.0, INF),
    kinks=(-1.0,),
    note="Called SReLU in the ELU paper; that is also the name of the S-shaped ReLU, `srelu` here.",
)
@keeps_output(lambda y: jnp.where(y > -1, 1, 0).astype(y.dtype))
def shifted_relu(x: jax.Array) -> jax.Array:
    """ReLU moved down and left by one: its kink, and its lowest value, are at -1.

    >>> [float(y) for y in shifted_relu(jnp.array([-3.0, -0.5, 2.0]))]
    [-1.0, -0.5, 2.0]
    """
    return jnp.where(x <= -1, -1, x)


@activation(
    r"\max(x, -\delta)",
    source="macedo2019drelu",
    range=lambda displacement: (-displacement, INF),
    kinks=lambda displacement: (-displacement,),
    note="Other functions called DReLU: Godin's `dual_relu`, and `drelu_glu` of TurboSparse.",
)
@keeps_output(lambda y, displacement: jnp.where(y > -displacement, 1, 0).astype(y.dtype))
def displaced_relu(x: jax.Array, displacement: float = 0.05) -> jax.Array:
    r"""Displaced rectified linear unit (DReLU), for use after batch normalization.

    Args:
      x: the input.
      displacement: :math:`\delta`.

    >>> [round(float(y), 4) for y in displaced_relu(jnp.array([-3.0, 2.0]))]
    [-0.05, 2.0]
    """
    return jnp.where(x <= -displacement, -displacement, x)


@activation(
    r"\max(x, \tau)",
    source="singh2020frn",
    range=lambda threshold: (threshold, INF),
    kinks=lambda threshold: (threshold,),
    learned=("threshold",),
    per_channel=True,
)
@keeps_output(lambda y, threshold: jnp.where(y > threshold, 1, 0).astype(y.dtype))
def tlu(x: jax.Array, threshold: float = 0.0) -> jax.Array:
    r"""Thresholded linear unit: max(x, τ) with a learned τ; used with filter response normalization.

    Args:
      x: the input.
      threshold: :math:`\tau`, the least value; learned, or a number.

    >>> [round(float(y), 4) for y in tlu(jnp.array([-3.0, 2.0]), -0.5)]
    [-0.5, 2.0]
    """
    return jnp.where(x <= threshold, threshold, x)


@activation(
    r"\max(x, 0) + b",
    source="qiu2018frelu",
    range=lambda bias: (bias, INF),
    kinks=(0.0,),
    learned=("bias",),
    per_channel=False,
    aliases=("frelu",),
    note="The authors' code starts at -1, one a layer; Mishkin's rerun at -0.2, one a channel. Not the "
    "funnel ReLU, called FReLU in vision, which is a maximum with a convolution.",
)
@keeps_sign(lambda y, above, bias, dx, db: jnp.where(above, dx, 0) + (0 if db is None else db))
def flexible_relu(x: jax.Array, bias: float | jax.Array = -1.0) -> jax.Array:
    """Flexible rectified linear unit (FReLU): ReLU with a learned shift of its output.

    Args:
      x: the input.
      bias: the shift.

    >>> [float(y) for y in flexible_relu(jnp.array([-1.0, 2.0]))]
    [-1.0, 1.0]
    """
    return jnp.where(x <= 0, 0, x) + bias


@activation(
    r"\max(x, 0)^2",
    source="so2021primer",
    range=(0.0, INF),
    smoothness=1,
)
@keeps_output(lambda y: 2 * square_root(finite(y)), narrow=lambda x: 2 * jnp.where(x > 0, x, 0))
def squared_relu(x: jax.Array) -> jax.Array:
    """Square of the rectified linear unit.

    The derivative is computed from the output as twice its root, so it stays at 3.7e19 if the
    square overflows (above 1.8e19 in float32). In float16 and float8, whose squares overflow early
    (above 255 and 21), it is computed from the input.

    >>> [float(y) for y in squared_relu(jnp.array([-1.0, 3.0]))]
    [0.0, 9.0]
    """
    return jnp.where(x <= 0, 0, x * x)


@activation(
    r"s \max(x, 0)^2 + b",
    source="yu2022metaformer",
    range=lambda scale, bias: (bias, INF) if scale > 0 else (-INF, bias),
    smoothness=1,
    monotonic=lambda scale, bias: scale >= 0,
    learned=("scale", "bias"),
    per_channel=False,
    note="scale and bias start where output mean and variance are 0 and 1 for a standard Gaussian input.",
)
@keeps_input(lambda x, scale, bias: jnp.where(x > 0, 2 * scale * x, 0))
def star_relu(
    x: jax.Array, scale: float | jax.Array = 0.8944, bias: float | jax.Array = -0.4472
) -> jax.Array:
    """StarReLU: squared ReLU with a learned scale and shift.

    The input is kept for the backward pass: the slope near 0 cannot be recovered from the output,
    because adding the shift rounds it.

    Args:
      x: the input.
      scale: factor on the square.
      bias: the shift.

    >>> [round(float(y), 4) for y in star_relu(jnp.array([-1.0, 2.0]))]
    [-0.4472, 3.1304]
    """
    above = jnp.where(x <= 0, 0, x)
    return scale * above * above + bias
