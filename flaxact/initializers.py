"""Initial weights that keep a signal's size: by formula for any activation, or by measurement.

A formula gives an initializer as in ``jax.nn.initializers``: ``init(key, shape, dtype)`` for shapes
``(*window, inputs, outputs)``, as Flax's kernels have. ``mode`` is the divisor of the variance:
"fan_in", window × inputs (keeps signals), "fan_out", window × outputs (keeps gradients), or a mean
of both. All distributions have the same variance; "normal" is not truncated. Equal arguments return
the same object, so modules that hold it compare equal and share a trace.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import VariableDict
from jax.nn.initializers import Initializer
from jax.typing import ArrayLike

from flaxact._lazy import listing
from flaxact.activations import Activation, get
from flaxact.errors import InputError, unknown
from flaxact.layers._inspect import layer_variances, with_kernel
from flaxact.theory import gaussian_moments

__dir__ = listing(__name__)

Mode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
Distribution = Literal["normal", "truncated_normal", "uniform"]
Moment = Literal["second", "variance", "derivative"]
_MOMENTS = {"second": "second_moment", "variance": "variance"}
_MOMENTS["derivative"] = "derivative_second_moment"


def he(
    mode: Mode = "fan_in", distribution: Distribution = "normal", *, negative_slope: float = 0.0
) -> Initializer:
    r"""Weights that keep the second moment through rectifiers.

    :math:`\mathrm{std} = \sqrt{2 / ((1 + a^2) n)}` (He et al. 2015, eq. 10, 14 and 15). The paper
    draws from a Gaussian; ``jax.nn.initializers.he_normal`` truncates it at two standard
    deviations.

    Args:
      mode: "fan_in" (eq. 10), "fan_out" (eq. 14), "fan_avg" or "fan_geo_avg". A grouped kernel's
        shape does not show its groups, so its fan-out is too large by their number.
      distribution: "normal", "truncated_normal" or "uniform".
      negative_slope: a, the slope of a leaky ReLU below zero.

    Raises:
      InputError: an unknown mode or distribution, or a slope that is not finite.

    >>> kernel = he()(jax.random.key(0), (3, 3, 64, 128))
    >>> kernel.shape, round(float(kernel.var() * 9 * 64), 1)
    ((3, 3, 64, 128), 2.0)
    """
    if not isinstance(negative_slope, Real) or not math.isfinite(negative_slope):
        raise InputError(f"he needs a finite negative_slope, not {negative_slope!r}")
    return _scaled(2 / (1 + negative_slope**2), mode, distribution)


def xavier(distribution: Distribution = "uniform") -> Initializer:
    r"""Weights that compromise between keeping the variance forward and backward in a linear net.

    :math:`\mathrm{std} = \sqrt{2 / (n_{in} + n_{out})}` (Glorot & Bengio 2010, eq. 12, 16).

    Args:
      distribution: "normal", "truncated_normal" or "uniform".

    Raises:
      InputError: an unknown distribution.

    >>> kernel = xavier()(jax.random.key(0), (200, 400))
    >>> round(float(jnp.abs(kernel).max()), 3), 0.1  # the uniform's bound, √(6/600)
    (0.1, 0.1)
    """
    return _scaled(1.0, "fan_avg", distribution)


def lecun(mode: Mode = "fan_in", distribution: Distribution = "normal") -> Initializer:
    r"""Weights that keep the variance of a linear unit.

    :math:`\mathrm{std} = 1/\sqrt{n}` (LeCun et al. 1998, eq. 16): for linear layers, and for SELU.

    Args:
      mode: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".
      distribution: "normal" (Flax's default is truncated), "truncated_normal" or "uniform".

    Raises:
      InputError: an unknown mode or distribution.

    >>> kernel = lecun()(jax.random.key(0), (400, 400))
    >>> round(float(kernel.std() * math.sqrt(400)), 2)
    1.0
    """
    return _scaled(1.0, mode, distribution)


def variance_preserving(
    activation: str | Activation | Callable[..., jax.Array],
    mode: Mode = "fan_in",
    distribution: Distribution = "normal",
    *,
    moment: Moment = "second",
    centered: bool = False,
) -> Initializer:
    r"""Weights that keep a signal's size through any activation; He's initialization for relu.

    :math:`\mathrm{std} = \mathrm{gain}/\sqrt{n}` with :math:`\mathrm{gain} = 1/\sqrt{\mathrm{E}
    f(z)^2}` for a standard Gaussian z: if the pre-activations of a layer have second moment 1, the
    next layer's have too (He et al. 2015, eq. 7, with the moment of f instead of ReLU's 1/2). This
    fixed point is stable with depth for tanh and elu. For gelu and silu it is unstable: each layer
    multiplies a deviation by 1.14 and 1.17.

    Args:
      activation: a pointwise activation: a name, a spec text, a function or an ``Activation``.
      mode: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".
      distribution: "normal", "truncated_normal" or "uniform".
      moment: "second"; "variance", for weights that sum to 0 at each output, which cancel f's mean
        (Brock et al. 2021, §4); or "derivative", the second moment of f'(z), which keeps gradients
        with mode "fan_out".
      centered: make the weights at each output sum to 0, without changing their variance.

    Raises:
      InputError: an activation that is not pointwise, or whose moment is 0 or infinite; an unknown
        activation, mode, distribution or moment.

    >>> kernel = variance_preserving("tanh")(jax.random.key(0), (400, 400))
    >>> round(float(kernel.std() * math.sqrt(400)), 2), round(gaussian_moments(get("tanh")).gain, 2)
    (1.59, 1.59)
    """
    if moment not in _MOMENTS:
        raise unknown("moment", str(moment), _MOMENTS)
    moments = gaussian_moments(activation)
    value = getattr(moments, _MOMENTS[moment])
    # A constant's variance is rounding: about 1e-32 of its square.
    if not 1e-24 * moments.second_moment < value < math.inf:
        raise InputError(f"{get(activation)} has no gain: its {moment} moment is {value:.3g}")
    return _scaled(1 / value, mode, distribution, centered)


def orthogonal(gain: float = 1.0) -> Initializer:
    r"""Orthonormal weights times a gain (Saxe et al. 2014).

    The kernel is viewed as a matrix W with one column per output (the last axis): :math:`W^T W =
    \mathrm{gain}^2 I`, or :math:`W W^T = \mathrm{gain}^2 I` if there are more outputs than inputs.

    Args:
      gain: positive.

    Raises:
      InputError: a gain that is not a positive number.

    >>> kernel = orthogonal(2.0)(jax.random.key(0), (3, 3, 4, 5)).reshape(36, 5)
    >>> bool(jnp.allclose(kernel.T @ kernel, 4 * jnp.eye(5), atol=1e-5))
    True
    """
    if not isinstance(gain, Real) or not 0 < gain < math.inf:
        raise InputError(f"orthogonal needs a positive gain, not {gain!r}")
    return _orthogonal(float(gain))


def lsuv(
    module: nn.Module,
    variables: VariableDict,
    batch: ArrayLike,
    *,
    tolerance: float = 0.02,
    iterations: int = 20,
    key: jax.Array | None = None,
    **call_kwargs: Any,
) -> VariableDict:
    """Layer-sequential unit variance: scale kernels until each layer's outputs have variance 1.

    Mishkin & Matas 2016, "All you need is a good init", algorithm 1: orthonormal kernels; then,
    layer by layer in call order, each kernel is divided by the standard deviation of its layer's
    outputs (before the activation, over the whole batch). A layer is a module with a parameter
    "kernel" that returns an array, such as ``nn.Dense`` and ``nn.Conv``; if it is called several
    times, the first call counts. Biases are unchanged. If the biases alone have a variance above 1,
    or the weights are normalized, no scale reaches variance 1 and the iterations run out. Costs one
    compilation, and one forward pass per division.

    Args:
      module: any Linen module.
      variables: the result of ``module.init``; not changed.
      batch: the module's input, such as images (batch, height, width, channels).
      tolerance: largest allowed distance of a variance from 1.
      iterations: largest number of divisions per kernel.
      key: key of the orthonormal kernels; None scales the existing kernels.
      call_kwargs: for ``module.apply``, such as ``train=False`` or ``rngs={"dropout": key}``.

    Returns:
      Variables of the same structure, shapes and dtypes.

    Raises:
      InputError: a layer whose outputs have variance 0 or a variance that is not finite; a layer
        inside ``nn.scan`` or ``nn.vmap``; a module without such layers; a tolerance or iterations
        not above 0.

    >>> net = nn.Sequential([nn.Dense(64), get("relu"), nn.Dense(10)])
    >>> x = jax.random.normal(jax.random.key(0), (256, 32))
    >>> variables = lsuv(net, net.init(jax.random.key(1), x), x, key=jax.random.key(2))
    >>> round(float(net.apply(variables, x).var()), 4)
    1.0
    """
    if not (tolerance > 0 and iterations > 0):
        raise InputError(f"lsuv needs tolerance and iterations > 0, not {tolerance}, {iterations}")
    measure, layers = layer_variances(module, variables, batch, call_kwargs)
    if key is not None:
        for place, (path, width) in enumerate(layers.items()):
            own = jax.random.fold_in(key, place)
            variables = with_kernel(variables, path, _fresh, own, width)
    divided = dict.fromkeys(layers, 0)
    while True:
        measured = dict(zip(layers, measure(variables, batch).tolist(), strict=True))
        # Dividing a kernel changes no output before its layer: the first that is off is the next.
        open_ = (path for path in layers if divided[path] < iterations)
        off = (path for path in open_ if not abs(measured[path] - 1) <= tolerance)
        if (path := next(off, None)) is None:
            return variables
        if not 0 < measured[path] < math.inf:
            raise InputError(f"{'/'.join(path)} gives outputs of variance {measured[path]}")
        variables = with_kernel(variables, path, jnp.divide, math.sqrt(measured[path]))
        divided[path] += 1


def _fresh(kernel: jax.Array, key: jax.Array, width: int) -> jax.Array:
    return orthogonal()(key, (kernel.size // width, width), kernel.dtype).reshape(kernel.shape)


def _scaled(
    scale: float, mode: Mode, distribution: Distribution, centered: bool = False
) -> Initializer:
    for kind, argument, allowed in (
        ("mode", mode, Mode),
        ("distribution", distribution, Distribution),
    ):
        if argument not in get_args(allowed):
            raise unknown(kind, str(argument), get_args(allowed))
    return _scaling(scale, mode, distribution, bool(centered))


@functools.cache
def _scaling(scale: float, mode: Mode, distribution: Distribution, centered: bool) -> Initializer:
    init = jax.nn.initializers.variance_scaling(scale, mode, distribution)

    def init_scaled(key, shape, dtype=None, out_sharding=None):
        inputs = _inputs(shape)
        kernel = init(key, shape, dtype, out_sharding)
        if not centered:
            return kernel
        if inputs < 2:
            raise InputError(f"weights {tuple(shape)} cannot be centered: an output has only one")
        centered_kernel = kernel - kernel.mean(tuple(range(kernel.ndim - 1)), keepdims=True)
        return centered_kernel * math.sqrt(inputs / (inputs - 1))

    return init_scaled


@functools.cache
def _orthogonal(gain: float) -> Initializer:
    init = jax.nn.initializers.orthogonal(gain)

    def init_rounded(key, shape, dtype=None, out_sharding=None):
        _inputs(shape)
        dtype = jnp.zeros((), dtype).dtype
        wide = jnp.promote_types(dtype, jnp.float32)  # QR takes no smaller floats
        kernel = init(key, shape, wide).astype(dtype)
        return kernel if out_sharding is None else jax.sharding.reshard(kernel, out_sharding)

    return init_rounded


def _inputs(shape: Sequence[int]) -> int:
    if len(shape) < 2 or 0 in shape:
        raise InputError(f"a kernel has a shape (*window, inputs, outputs), not {tuple(shape)}")
    return math.prod(shape[:-1])
