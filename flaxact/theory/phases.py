"""How deep a signal reaches in a wide random net: χ₁, the edge of chaos, depth scales, dead nets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flaxact._lazy import np
from flaxact.activations import Activation
from flaxact.errors import InputError
from flaxact.theory.maps import correlation_map, correlation_slope, sampled
from flaxact.theory.moments import fixed_point, gaussian_moments, pointwise

# second moments that stand for 0 and for infinity
_SMALL = 1e-10
_LARGE = 1e9
_CRITICAL = 1e-9  # a slope of a map so near to 1 is 1


@dataclass(frozen=True)
class DepthScales:
    r"""Over how many layers a wide random net forgets what went in (Schoenholz et al. 2017).

    Attributes:
      second_moment: :math:`q^*` of pre-activations, which depth leads to.
      correlation: :math:`c^*` of two inputs' pre-activations, which depth leads to: 1 where χ₁ is 1 or
        less (order), less in chaos.
      variance_depth: :math:`\xi_q`: the distance from :math:`q^*` falls as :math:`e^{-l / \xi_q}` over
        l layers; ``inf`` where it does not fall so.
      correlation_depth: :math:`\xi_c`, of the distance from :math:`c^*`.
    """

    second_moment: float
    correlation: float
    variance_depth: float
    correlation_depth: float


def chi_1(
    activation: str | Activation | Callable[..., Any], weight_std: float = 1.0, q: float = 1.0
) -> float:
    r""":math:`\chi_1 = \sigma_w^2 \, \mathrm{E} f'(\sqrt{q} z)^2` (Poole et al. 2016, eq. 8).

    By which a layer multiplies the squared distance of two near inputs, and a gradient's second moment
    on its way back; the slope of the value also where differentiation gives another.

    Args:
      activation: a pointwise one, by name, spec text, function or as ``Activation``.
      weight_std: :math:`\sigma_w`, the weights' standard deviation times √fan-in.
      q: the second moment of the pre-activations, above 0.

    Returns:
      0 or more; ``inf`` for an activation that jumps.

    Raises:
      InputError: as ``gaussian_moments``.

    >>> round(chi_1("relu", math.sqrt(2)), 9)
    1.0
    """
    if not 0 < q < math.inf:
        raise InputError(f"chi_1 needs a q above 0, not {q}")
    return weight_std**2 * _slopes(pointwise(activation), q)[1]


def edge_of_chaos(
    activation: str | Activation | Callable[..., Any], bias_std: float = 0.0
) -> float | None:
    r"""The :math:`\sigma_w` between order and chaos: with it χ₁ is 1 at the fixed point :math:`q^*`.

    Where both hold, :math:`(q - \sigma_b^2) \, \mathrm{E} f'^2 = \mathrm{E} f^2`; of several such q the
    least counts to which depth leads: near which second moments do not move away from it. Without
    biases an activation with f(0) = 0 and a slope there has it at q = 0: :math:`1/|f'(0)|`, √2 for relu,
    1 for tanh.

    Args:
      activation: a pointwise one, by name, spec text, function or as ``Activation``.
      bias_std: :math:`\sigma_b`, 0 or more.

    Returns:
      The standard deviation of weights times √fan-in; None where there is no edge: for an activation
      that jumps; for relu with biases, whose second moment would grow for ever; for gelu and silu with
      biases, which second moments leave before.

    Raises:
      InputError: as ``get``; an activation whose outputs depend on more than one input; a ``bias_std``
        below 0.

    >>> round(edge_of_chaos("relu"), 6), round(edge_of_chaos("tanh"), 6), edge_of_chaos("relu", 0.1)
    (1.414214, 1.0, None)
    """
    from scipy.optimize import brentq

    activation = pointwise(activation)
    if not 0 <= bias_std < math.inf:
        raise InputError(f"edge_of_chaos needs a bias_std of 0 or more, not {bias_std}")
    if activation.jumps:
        return None

    def excess(log_distance: float) -> float:
        """χ₁ - 1 for the weights that have their fixed point at this distance above σ_b²."""
        distance = math.exp(log_distance)
        second, slope = _slopes(activation, bias_std**2 + distance)
        return distance * slope / second - 1 if second else math.nan

    least = _SMALL if not bias_std else 1e-6 * bias_std**2
    if not bias_std and abs(excess(math.log(least))) < 1e-3:
        return 1 / math.sqrt(_slopes(activation, least)[1])
    grid = np.arange(math.log(least), math.log(_LARGE), 1.0)
    low = grid[0]
    below = excess(grid[0])
    for high in grid[1:]:
        above = excess(high)
        if below < 0 <= above and above > 1e-9:
            q = bias_std**2 + math.exp(brentq(excess, low, high, xtol=1e-13))  # type: ignore
            weight_std = 1 / math.sqrt(_slopes(activation, q)[1])
            if _growth(activation, weight_std, q) < 1 + _CRITICAL:
                return weight_std
        low = high
        below = above
    return None


def depth_scales(
    activation: str | Activation | Callable[..., Any],
    weight_std: float = 1.0,
    bias_std: float = 0.0,
    start: float = 1.0,
) -> DepthScales:
    r"""The depths :math:`\xi_q` and :math:`\xi_c` to which signals reach (Schoenholz et al. 2017, §3).

    :math:`\xi = -1 / \ln \lambda`, with :math:`\lambda` the slope of the map of second moments at
    :math:`q^*` (eq. 8), or of that of correlations at :math:`c^*` (eq. 9): in order, where
    :math:`c^* = 1`, that is χ₁.

    Args:
      activation: a pointwise one, by name, spec text, function or as ``Activation``.
      weight_std: :math:`\sigma_w`, the weights' standard deviation times √fan-in.
      bias_std: :math:`\sigma_b`.
      start: the second moment of the first layer, above 0.

    Raises:
      InputError: as ``fixed_point``; where the second moment grows without end.

    >>> depth_scales("relu", math.sqrt(2)).correlation_depth, depth_scales("tanh", 2.0).correlation
    (inf, 0.0)
    """
    activation = pointwise(activation)
    limit = fixed_point(activation, weight_std, bias_std, start)
    if math.isinf(limit):
        raise InputError(
            f"second moments of {activation} grow without end at {weight_std}, {bias_std}"
        )
    q = max(limit, _SMALL)
    slope = weight_std**2 * _slopes(activation, q)[1]
    c = 1.0
    if slope > 1 + _CRITICAL:
        c = _mixed(activation, weight_std, bias_std, q)
    if c < 1:
        slope = weight_std**2 * correlation_slope(activation, c, q) / q
    return DepthScales(limit, c, _depth(_growth(activation, weight_std, q)), _depth(slope))


def born_dead_bound(width: int, depth: int) -> float:
    r"""The probability that some layer of a ReLU net gives only zeros to a given input.

    :math:`1 - (1 - 2^{-w})^{L-1}`: no less than that of a net that is constant from the start (Lu et al.
    2019, theorem 3), for weights and biases that are symmetric about 0.

    Args:
      width: w of each hidden layer.
      depth: L, layers with weights: one more than the hidden ones.

    Raises:
      InputError: a width or depth below 1.

    >>> round(born_dead_bound(width=2, depth=10), 3)
    0.925
    """
    if width < 1 or depth < 1:
        raise InputError(
            f"born_dead_bound needs a width and a depth of 1 or more: {width}, {depth}"
        )
    return -math.expm1((depth - 1) * math.log1p(-(2.0**-width)))


def _slopes(activation: Activation, q: float) -> tuple[float, float]:
    """E f(√q z)² and E f'(√q z)², with the slope of the values."""
    found = gaussian_moments(activation, 0.0, math.sqrt(q))
    if not found.second_moment:
        return 0.0, 0.0
    return found.second_moment, found.slope_at_one * found.second_moment / q


def _growth(activation: Activation, weight_std: float, q: float) -> float:
    """The slope of the map of second moments: by the density's derivative, so that f may have breaks."""
    z, weights, values = sampled(activation, q)
    squares = values**2 - weights @ values**2  # the mean makes no difference but to rounding
    return weight_std**2 * float(weights @ (squares * (z * z - 1))) / (2 * q)


def _mixed(activation: Activation, weight_std: float, bias_std: float, q: float) -> float:
    """The correlation below 1 that depth leads to in chaos."""
    from scipy.optimize import brentq

    size = gaussian_moments(activation, 0.0, math.sqrt(q)).second_moment

    def growth(c: float) -> float:
        kept = float(correlation_map(activation, c, q)) * size
        return (weight_std**2 * kept + bias_std**2) / q - c

    # The map is convex from 0 to 1, and steeper than 1 at 1: it lies below the diagonal there.
    if growth(0.0) <= 1e-15:
        return 0.0
    near = 1e-3
    while growth(1 - near) >= 0 and near > 1e-9:
        near /= 10
    return float(brentq(growth, 0.0, 1 - near, xtol=1e-13)) if near > 1e-9 else 1.0  # type: ignore


def _depth(slope: float) -> float:
    """Layers over which a distance falls to 1/e of itself, for the map's slope at its fixed point."""
    if abs(slope) > 1 - _CRITICAL:
        return math.inf
    return -1 / math.log(abs(slope)) if slope else 0.0
