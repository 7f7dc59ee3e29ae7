"""Transforms of activations, which can be nested: ``centered(elu(alpha=0.5))``."""

from __future__ import annotations

import math
from typing import Any

from flaxact._lazy import jax
from flaxact.activations._define import activation as define
from flaxact.activations._grad import keeps_input
from flaxact.activations._spec import Activation, Bounds
from flaxact.quadrature import gaussian_mean, gaussian_std

INF = math.inf


def inner_fact(fact: str):
    """A function for ``@activation`` that takes a fact from the inner activation."""
    return lambda activation, **_: getattr(activation, fact)


SAME_SHAPE: dict[str, Any] = {
    fact: inner_fact(fact) for fact in ("kinks", "jumps", "monotonic", "smoothness")
}


def _centered_range(activation: Activation, mean: float, std: float) -> Bounds:
    low, high = activation.range
    shift = gaussian_mean(activation, mean, std)
    return low - shift, high - shift


@define(
    r"f(x) - \mathrm{E}\,f(z), \quad z \sim \mathcal{N}(\mathrm{mean}, \mathrm{std}^2)",
    source="",
    range=_centered_range,
    positive=("std",),
    static=("mean", "std"),
    fixed=True,
    **SAME_SHAPE,
)
@keeps_input()
def centered(
    x: jax.Array, activation: Activation, mean: float = 0.0, std: float = 1.0
) -> jax.Array:
    r"""An activation shifted so that its output has mean 0 for a Gaussian input.

    ``centered(relu)`` is :math:`\mathrm{relu}(x) - 1/\sqrt{2\pi}`: ReLU without its mean shift, with
    ReLU's derivative.

    Args:
      x: the input.
      activation: the activation, by name, spec text, function or as ``Activation``.
      mean: mean of the Gaussian input.
      std: standard deviation of the Gaussian input, positive.

    Returns:
      An ``Activation``.

    >>> from flaxact import relu
    >>> [round(float(y), 4) for y in centered(relu)(jax.numpy.array([-1.0, 2.0]))]
    [-0.3989, 1.6011]
    """
    return activation(x) - gaussian_mean(activation, mean, std)


def _standardized_range(activation: Activation, mean: float, std: float) -> Bounds:
    low, high = _centered_range(activation, mean, std)
    scale = gaussian_std(activation, mean, std)
    return low / scale, high / scale


@define(
    r"\frac{f(x) - \mathrm{E}\,f(z)}{\mathrm{std}\,f(z)}, "
    r"\quad z \sim \mathcal{N}(\mathrm{mean}, \mathrm{std}^2)",
    source="",
    range=_standardized_range,
    positive=("std",),
    static=("mean", "std"),
    fixed=True,
    **SAME_SHAPE,
)
@keeps_input()
def standardized(
    x: jax.Array, activation: Activation, mean: float = 0.0, std: float = 1.0
) -> jax.Array:
    """An activation whose output has mean 0 and variance 1 for a Gaussian input.

    Args:
      x: the input.
      activation: the activation.
      mean: mean of the Gaussian input.
      std: standard deviation of the Gaussian input, positive.

    Returns:
      An ``Activation``.

    >>> from flaxact import relu
    >>> [round(float(y), 4) for y in standardized(relu)(jax.numpy.array([-1.0, 2.0]))]
    [-0.6833, 2.7424]
    """
    center = gaussian_mean(activation, mean, std)
    scale = gaussian_std(activation, mean, std)
    return (activation(x) - center) / scale


def _ends(activation: Activation, factor: float, offset: float) -> Bounds:
    ends = [offset + factor * end if factor else offset for end in activation.range]
    return min(ends), max(ends)


@define(
    r"a\,f(b x)",
    source="",
    range=lambda activation, output, input: _ends(activation, output, 0.0),
    kinks=lambda activation, output, input: (
        tuple(sorted(k / input for k in activation.kinks)) if input and output else ()
    ),
    jumps=lambda activation, output, input: (
        tuple(sorted(k / input for k in activation.jumps)) if input and output else ()
    ),
    monotonic=lambda activation, output, input: activation.monotonic and output * input >= 0,
    smoothness=inner_fact("smoothness"),
)
@keeps_input()
def scaled(
    x: jax.Array,
    activation: Activation,
    output: float = 1.0,
    input: float = 1.0,
) -> jax.Array:
    """An activation with its output, its input or both multiplied by a number.

    Args:
      x: the input.
      activation: the activation.
      output: factor on the output.
      input: factor on the input.

    Returns:
      An ``Activation``.

    >>> from flaxact import tanh
    >>> [round(float(y), 3) for y in scaled(tanh, 1.7159, 2 / 3)(jax.numpy.array([-1.0, 1.0]))]
    [-1.0, 1.0]
    """
    return output * activation(input * x)


@define(
    r"f(x + a) + b",
    source="",
    range=lambda activation, output, input: _ends(activation, 1.0, output),
    kinks=lambda activation, output, input: tuple(k - input for k in activation.kinks),
    jumps=lambda activation, output, input: tuple(k - input for k in activation.jumps),
    monotonic=inner_fact("monotonic"),
    smoothness=inner_fact("smoothness"),
)
@keeps_input()
def shifted(
    x: jax.Array,
    activation: Activation,
    output: float = 0.0,
    input: float = 0.0,
) -> jax.Array:
    """An activation with a number added to its output, its input or both.

    Args:
      x: the input.
      activation: the activation.
      output: added to the output.
      input: added to the input.

    Returns:
      An ``Activation``.

    >>> from flaxact import relu
    >>> [float(y) for y in shifted(relu, -1.0, 1.0)(jax.numpy.array([-3.0, 2.0]))]
    [-1.0, 2.0]
    """
    return activation(x + input) + output


@define(
    r"-f(x)",
    source="",
    range=lambda activation: _ends(activation, -1.0, 0.0),
    kinks=inner_fact("kinks"),
    jumps=inner_fact("jumps"),
    monotonic=False,
    smoothness=inner_fact("smoothness"),
)
@keeps_input()
def negated(x: jax.Array, activation: Activation) -> jax.Array:
    """An activation with the sign of its output changed.

    Args:
      x: the input.
      activation: the activation.

    Returns:
      An ``Activation``.

    >>> from flaxact import elu
    >>> [round(float(y), 4) for y in negated(elu)(jax.numpy.array([-1.0, 2.0]))]
    [0.6321, -2.0]
    """
    return -activation(x)


@define(
    r"f(x + n), \quad n \sim \mathcal{N}(0, \mathrm{std}^2)",
    source="",
    range=inner_fact("range"),
    positive=("std",),
    **SAME_SHAPE,
)
@keeps_input()
def noisy(
    x: jax.Array, activation: Activation, std: float = 0.1, key: jax.Array | None = None
) -> jax.Array:
    """An activation with Gaussian noise on its input while training.

    Args:
      x: the input.
      activation: the activation.
      std: standard deviation of the noise, positive.
      key: random key, for training; with None there is no noise.

    Returns:
      An ``Activation``.

    >>> [float(y) for y in noisy("relu")(jax.numpy.array([-1.0, 2.0]))]
    [0.0, 2.0]
    """
    if key is None:
        return activation(x)
    return activation(x + std * jax.random.normal(key, x.shape, x.dtype))
