"""Activations made from activations; they nest: ``centered(elu(alpha=0.5))``."""

from __future__ import annotations

from flaxact._lazy import jax
from flaxact.activations._define import activation as define
from flaxact.activations._gaussian import gaussian_mean
from flaxact.activations._grad import rounds_once
from flaxact.activations._spec import Activation, Interval


def _centered_range(activation: Activation, mean: float, std: float) -> Interval:
    low, high = activation.range
    shift = gaussian_mean(activation, mean, std)
    return low - shift, high - shift


@define(
    r"f(x) - \mathrm{E}\,f(z), \quad z \sim \mathcal{N}(\mathrm{mean}, \mathrm{std}^2)",
    source="",
    range=_centered_range,
    kinks=lambda activation, mean, std: activation.kinks,
    monotonic=lambda activation, mean, std: activation.monotonic,
    positive=("std",),
)
@rounds_once
def centered(
    x: jax.Array, activation: Activation, mean: float = 0.0, std: float = 1.0
) -> jax.Array:
    r"""An activation shifted so that its output has mean 0 for a Gaussian input.

    ``centered(relu)`` is :math:`\mathrm{relu}(x) - 1/\sqrt{2\pi}`: ReLU without its mean shift, with
    ReLU's derivative.

    Args:
      activation: the activation, by name, spec text, function or as ``Activation``.
      mean: of the Gaussian input.
      std: its standard deviation, positive.

    Returns:
      An ``Activation``.

    Raises:
      InputError: not an activation, or ``std`` is not positive.

    >>> from flaxact import relu
    >>> [round(float(y), 4) for y in centered(relu)(jax.numpy.array([-1.0, 2.0]))]
    [-0.3989, 1.6011]
    """
    return activation(x) - gaussian_mean(activation, mean, std)
