"""What follows from an activation before any data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flaxact._lazy import jax, np
from flaxact.activations._gaussian import evaluate, rule
from flaxact.activations._spec import Activation


@dataclass(frozen=True)
class Moments:
    """Moments of f(z) and f'(z) for a Gaussian z.

    ``zeros`` is the probability that the output is exactly 0.
    """

    mean: float
    variance: float
    second_moment: float
    derivative_second_moment: float
    zeros: float

    @property
    def gain(self) -> float:
        """The factor that gives the output second moment 1: √2 for relu (He et al. 2015)."""
        return 1 / math.sqrt(self.second_moment)


def gaussian_moments(activation: Activation, mean: float = 0.0, std: float = 1.0) -> Moments:
    """Moments of an activation's output and slope for a Gaussian input, by quadrature in float64.

    >>> from flaxact import get
    >>> moments = gaussian_moments(get("relu"))
    >>> round(moments.mean, 9), round(moments.variance, 9), moments.zeros
    (0.39894228, 0.340845057, 0.5)
    """
    x, weights = rule(mean, std, activation.kinks)
    y = evaluate(activation, x)
    slope = evaluate(lambda x: jax.jvp(activation, (x,), (jax.numpy.ones_like(x),))[1], x)
    output_mean, second = weights @ y, weights @ y**2
    return Moments(
        mean=float(output_mean),
        variance=float(weights @ (y - output_mean) ** 2),
        second_moment=float(second),
        derivative_second_moment=float(weights @ slope**2),
        zeros=round(float(np.sum(weights[y == 0])), 12),
    )
