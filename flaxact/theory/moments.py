"""Moments of an activation under a Gaussian, and the fixed point of the second moment with depth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass

from flaxact._lazy import jax, jnp, np
from flaxact.activations import Activation, get
from flaxact.errors import InputError
from flaxact.quadrature import evaluate, panel_slopes, rule


@dataclass(frozen=True)
class Moments:
    """Moments of f(z) and f'(z) for a Gaussian z, and the slopes of the C-map.

    ``zeros`` is the probability that the output is exactly 0. ``slope_at_zero`` and
    ``slope_at_one`` are the slopes at correlation 0 and 1 of the C-map, which maps the correlation
    of two inputs of a layer to that of its outputs (Poole et al. 2016; Martens et al. 2021), for
    weights that keep the second moment at 1 and no biases. If the slope at 1 is above 1, two nearby
    inputs move apart with depth; if it is below 1, they merge.
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
        """The factor that scales the output to second moment 1: √2 for relu (He et al. 2015).

        ``inf`` for an output that is always 0.
        """
        return 1 / math.sqrt(self.second_moment) if self.second_moment else math.inf


def gaussian_moments(
    activation: str | Activation | Callable[..., jax.Array], mean: float = 0.0, std: float = 1.0
) -> Moments:
    """Moments of an activation's output and slope for a Gaussian input, by quadrature in float64.

    For an activation with a surrogate derivative, ``derivative_second_moment`` is that of the
    surrogate, and the slopes of the C-map are those of the function's values.

    Args:
      activation: a pointwise activation: a name, a spec text, a function or an ``Activation``.
      mean: mean of the input.
      std: standard deviation of the input, positive.

    Raises:
      InputError: as ``get``; an activation that is not pointwise; an invalid mean or std.

    >>> moments = gaussian_moments("relu")
    >>> round(moments.mean, 9), round(moments.variance, 9), moments.zeros
    (0.39894228, 0.340845057, 0.5)
    >>> round(moments.slope_at_zero, 9), round(moments.slope_at_one, 9)
    (0.5, 1.0)
    """
    activation = pointwise(activation)
    if not (math.isfinite(mean) and 0 < std < math.inf):
        raise InputError(f"a Gaussian needs a finite mean and a std above 0, not {mean} and {std}")
    moments = _moments(activation, mean, std, 1)
    for splits in (4, 16, 64):  # finer panels until it makes no difference
        coarse = moments
        moments = _moments(activation, mean, std, splits)
        if np.allclose(astuple(moments), astuple(coarse), rtol=1e-12, atol=1e-14, equal_nan=True):
            break
    return moments


def _moments(activation: Activation, mean: float, std: float, splits: int) -> Moments:
    x, weights = rule(mean, std, activation.breaks, splits)
    y = evaluate(activation, x)
    slope = evaluate(lambda x: jax.jvp(activation, (x,), (jnp.ones_like(x),))[1], x)
    output_mean = float(weights @ y)
    second = float(weights @ y**2)
    lean = float(weights @ (y * (x - mean))) / std  # std · E f' by Stein's identity, jumps included
    lent = float(weights @ slope**2)
    steep = float(weights @ panel_slopes(x, y) ** 2) if lends_slope(activation) else lent
    steep = math.inf if activation.jumps else steep
    return Moments(
        mean=output_mean,
        variance=float(weights @ (y - output_mean) ** 2),
        second_moment=second,
        derivative_second_moment=lent,
        zeros=round(float(np.sum(weights[y == 0])), 9),
        slope_at_zero=lean**2 / second if second else math.nan,
        slope_at_one=std**2 * steep / second if second else math.nan,
    )


def lends_slope(activation: Activation) -> bool:
    """Whether the activation, or one inside it, has a surrogate derivative."""
    return activation.spec.surrogate or any(map(lends_slope, activation.inner.values()))


def fixed_point(
    activation: str | Activation | Callable[..., jax.Array],
    weight_std: float = 1.0,
    bias_std: float = 0.0,
    start: float = 1.0,
) -> float:
    r"""The second moment :math:`q^*` to which pre-activations of a wide random net converge with depth.

    The fixed point of :math:`Q(q) = \sigma_w^2 \, \mathrm{E} f(\sqrt{q} z)^2 + \sigma_b^2` (Poole
    et al. 2016, eq. 3) that is nearest to the start in the direction of the first layer's change.

    Args:
      activation: a pointwise activation: a name, a spec text, a function or an ``Activation``.
      weight_std: :math:`\sigma_w`, the weights' standard deviation times √fan-in.
      bias_std: :math:`\sigma_b`.
      start: the second moment of the first layer, positive.

    Returns:
      :math:`q^*`; 0 if it would be below 1e-9, ``inf`` if above 1e9.

    Raises:
      InputError: as ``get``; an activation that is not pointwise; an invalid standard deviation or
        start.

    >>> round(fixed_point("selu"), 6), fixed_point("relu"), fixed_point("relu", weight_std=1.5)
    (1.0, 0.0, inf)
    """
    activation = pointwise(activation)
    if not (0 <= weight_std < math.inf and 0 <= bias_std < math.inf and 0 < start < math.inf):
        raise InputError(
            "fixed_point needs weight_std and bias_std of at least 0 and a start above 0, not "
            f"{weight_std}, {bias_std} and {start}"
        )

    def growth(q: float) -> float:
        """Q(q) - q; 0 if the difference is below rounding error."""
        x, weights = rule(0.0, math.sqrt(q), activation.breaks, splits=4)
        with np.errstate(over="ignore"):  # of the exponential
            second = float(weights @ evaluate(activation, x) ** 2)
        excess = weight_std**2 * second + bias_std**2 - q
        return excess if abs(excess) > 1e-13 * q else 0.0

    first = growth(start)
    if not first:
        return start
    factor = 2.0 if first > 0 else 0.5
    inner = start
    outer = start * factor
    while growth(outer) * first >= 0:
        inner = outer
        outer = outer * factor
        if not 1e-9 < outer < 1e9:
            return math.inf if first > 0 else 0.0
    for _ in range(50):
        middle = (inner + outer) / 2
        inner, outer = (middle, outer) if growth(middle) * first > 0 else (inner, middle)
    return (inner + outer) / 2


def pointwise(activation: str | Activation | Callable[..., jax.Array]) -> Activation:
    """The activation, checked to be a function of one number.

    Raises:
      InputError: as ``get``, or an activation that is not pointwise.
    """
    activation = get(activation)
    if activation.spec.coupled:
        raise InputError(f"{activation} is not pointwise: each output depends on several inputs")
    return activation
