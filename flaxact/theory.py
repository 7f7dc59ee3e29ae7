"""What follows from an activation before any data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flaxact._lazy import jax, np
from flaxact.activations._gaussian import evaluate, rule
from flaxact.activations._spec import Activation
from flaxact.errors import InputError


@dataclass(frozen=True)
class Moments:
    """Moments of f(z) and f'(z) for a Gaussian z, and what they say of signals in wide random nets.

    ``zeros`` is the probability that the output is exactly 0. The slopes are those of the map that
    takes the correlation of two inputs of a layer to that of its outputs (the C-map: Poole et al.
    2016; Martens et al. 2021), at correlation 0 and 1, for weights that keep the second moment at one
    and no biases. Above 1 at correlation 1, two inputs drift apart with depth; below, they merge.
    """

    mean: float
    variance: float
    second_moment: float
    derivative_second_moment: float
    zeros: float
    slope_at_zero: float
    slope_at_one: float

    @property
    def gain(self) -> float:
        """The factor that gives the output second moment 1: √2 for relu (He et al. 2015)."""
        return 1 / math.sqrt(self.second_moment)


def gaussian_moments(activation: Activation, mean: float = 0.0, std: float = 1.0) -> Moments:
    """Moments of an activation's output and slope for a Gaussian input, by quadrature in float64.

    For an activation with a surrogate derivative, the slope is the one that it lends.

    Raises:
      InputError: an activation whose outputs depend on more than one input.

    >>> from flaxact import get
    >>> moments = gaussian_moments(get("relu"))
    >>> round(moments.mean, 9), round(moments.variance, 9), moments.zeros
    (0.39894228, 0.340845057, 0.5)
    >>> round(moments.slope_at_zero, 9), round(moments.slope_at_one, 9)
    (0.5, 1.0)
    """
    _check_pointwise(activation)
    x, weights = rule(mean, std, activation.breaks)
    y = evaluate(activation, x)
    slope = evaluate(lambda x: jax.jvp(activation, (x,), (jax.numpy.ones_like(x),))[1], x)
    output_mean, second = float(weights @ y), float(weights @ y**2)
    lean = float(weights @ (y * (x - mean))) / std  # std · E f' by Stein's identity, jumps included
    steepness = math.inf if activation.jumps else float(weights @ slope**2)
    return Moments(
        mean=output_mean,
        variance=float(weights @ (y - output_mean) ** 2),
        second_moment=second,
        derivative_second_moment=float(weights @ slope**2),
        zeros=round(float(np.sum(weights[y == 0])), 9),
        slope_at_zero=lean**2 / second if second else math.nan,
        slope_at_one=std**2 * steepness / second if second else math.nan,
    )


def fixed_point(
    activation: Activation, weight_std: float = 1.0, bias_std: float = 0.0, start: float = 1.0
) -> float:
    r"""The second moment :math:`q^*` of pre-activations that depth leads to in a wide random net.

    The fixed point of :math:`Q(q) = \sigma_w^2 \, \mathrm{E} f(\sqrt{q} z)^2 + \sigma_b^2` (Poole et
    al. 2016, eq. 3) that is nearest to the start on the side to which the first layer moves.

    Args:
      activation: a pointwise one.
      weight_std: :math:`\sigma_w`, the weights' standard deviation times √fan-in.
      bias_std: :math:`\sigma_b`.
      start: the second moment of the first layer.

    Returns:
      :math:`q^*`: 0 where there is none above 1e-9, ``inf`` where there is none below 1e9.

    Raises:
      InputError: an activation whose outputs depend on more than one input.

    >>> from flaxact import get
    >>> round(fixed_point(get("selu")), 6), fixed_point(get("relu")), fixed_point(get("relu"), 1.5)
    (1.0, 0.0, inf)
    """
    _check_pointwise(activation)

    def growth(q: float) -> float:
        x, weights = rule(0.0, math.sqrt(q), activation.breaks)
        return weight_std**2 * float(weights @ evaluate(activation, x) ** 2) + bias_std**2 - q

    first = growth(start)
    if abs(first) <= 1e-12 * start:
        return start
    factor = 2.0 if first > 0 else 0.5
    here, there = start, start * factor
    while (growth(there) > 0) == (first > 0):
        here, there = there, there * factor
        if not 1e-9 < there < 1e9:
            return math.inf if first > 0 else 0.0
    for _ in range(50):
        middle = (here + there) / 2
        same = (growth(middle) > 0) == (first > 0)
        here, there = (middle, there) if same else (here, middle)
    return (here + there) / 2


def _check_pointwise(activation: Activation) -> None:
    if activation.spec.coupled:
        raise InputError(
            f"{activation} is not pointwise: its outputs depend on more than the input at their place"
        )
