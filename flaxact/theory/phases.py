"""How deep a signal travels in a wide random net: χ₁, the edge of chaos, depth scales, dead nets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from flaxact._lazy import jax, np
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
    r"""How many layers it takes a wide random net to forget its inputs (Schoenholz et al. 2017).

    Attributes:
      second_moment: :math:`q^*`, the limit of the pre-activations' second moment with depth.
      correlation: :math:`c^*`, the limit of the correlation of two inputs' pre-activations: 1 if χ₁
        is at most 1 (order), less than 1 in chaos.
      variance_depth: :math:`\xi_q`; the distance from :math:`q^*` decays as :math:`e^{-l / \xi_q}`
        over l layers. ``inf`` if it does not decay exponentially.
      correlation_depth: :math:`\xi_c`, the same for the distance from :math:`c^*`.
    """

    second_moment: float
    correlation: float
    variance_depth: float
    correlation_depth: float


def chi_1(
    activation: str | Activation | Callable[..., jax.Array], weight_std: float = 1.0, q: float = 1.0
) -> float:
    r""":math:`\chi_1 = \sigma_w^2 \, \mathrm{E} f'(\sqrt{q} z)^2` (Poole et al. 2016, eq. 8).

    The factor by which a layer multiplies the squared distance of two nearby inputs, and the second
    moment of a backpropagated gradient. For an activation with a surrogate derivative, f' is the
    slope of its values.

    Args:
      activation: a pointwise activation: a name, a spec text, a function or an ``Activation``.
      weight_std: :math:`\sigma_w`, the weights' standard deviation times √fan-in.
      q: the second moment of the pre-activations, positive.

    Returns:
      At least 0; ``inf`` for an activation that jumps.

    Raises:
      InputError: as ``gaussian_moments``.

    >>> round(chi_1("relu", math.sqrt(2)), 9)
    1.0
    """
    if not 0 < q < math.inf:
        raise InputError(f"chi_1 needs a q above 0, not {q}")
    return weight_std**2 * _slopes(pointwise(activation), q)[1]


def edge_of_chaos(
    activation: str | Activation | Callable[..., jax.Array], bias_std: float = 0.0
) -> float | None:
    r"""The :math:`\sigma_w` between order and chaos, where χ₁ is 1 at the fixed point :math:`q^*`.

    Both conditions give :math:`(q - \sigma_b^2) \, \mathrm{E} f'^2 = \mathrm{E} f^2`. If several q
    satisfy it, the smallest stable one is used: one from which second moments do not move away with
    depth. Without biases, an activation with f(0) = 0 and f'(0) ≠ 0 has its edge at q = 0:
    :math:`1/|f'(0)|`, which is √2 for relu and 1 for tanh.

    Args:
      activation: a pointwise activation: a name, a spec text, a function or an ``Activation``.
      bias_std: :math:`\sigma_b`, at least 0.

    Returns:
      The weights' standard deviation times √fan-in. None if there is no edge: for an activation
      that jumps, for relu with biases (its second moment would grow without bound), and for gelu
      and silu with biases (their fixed point is unstable).

    Raises:
      InputError: as ``get``; an activation that is not pointwise; a negative ``bias_std``.

    >>> round(edge_of_chaos("relu"), 6), round(edge_of_chaos("tanh"), 6), edge_of_chaos("relu", 0.1)
    (1.414214, 1.0, None)
    """
    from scipy.optimize import brentq

    activation = pointwise(activation)
    if not 0 <= bias_std < math.inf:
        raise InputError(f"edge_of_chaos needs a bias_std of at least 0, not {bias_std}")
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
    activation: str | Activation | Callable[..., jax.Array],
    weight_std: float = 1.0,
    bias_std: float = 0.0,
    start: float = 1.0,
) -> DepthScales:
    r"""The depths :math:`\xi_q` and :math:`\xi_c` to which signals travel (Schoenholz et al. 2017, §3).

    :math:`\xi = -1 / \ln \lambda`, where :math:`\lambda` is the slope of the variance map at
    :math:`q^*` (eq. 8) or of the correlation map at :math:`c^*` (eq. 9). In order, where :math:`c^*
    = 1`, the slope of the correlation map is χ₁.

    Args:
      activation: a pointwise activation: a name, a spec text, a function or an ``Activation``.
      weight_std: :math:`\sigma_w`, the weights' standard deviation times √fan-in.
      bias_std: :math:`\sigma_b`.
      start: the second moment of the first layer, positive.

    Raises:
      InputError: as ``fixed_point``; the second moment grows without bound.

    >>> depth_scales("relu", math.sqrt(2)).correlation_depth, depth_scales("tanh", 2.0).correlation
    (inf, 0.0)
    """
    activation = pointwise(activation)
    limit = fixed_point(activation, weight_std, bias_std, start)
    if math.isinf(limit):
        raise InputError(
            f"the second moment of {activation} grows without bound at weight_std {weight_std} and "
            f"bias_std {bias_std}"
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
    """The probability that some layer of a random ReLU net outputs only zeros for a given input.

    :math:`1 - (1 - 2^{-w})^{L-1}`, for weights and biases with distributions symmetric about 0. It
    is an upper bound on the probability that a net is constant at initialization (Lu et al. 2019,
    theorem 3).

    Args:
      width: w of each hidden layer.
      depth: L, the number of weight layers: one more than the hidden layers.

    Raises:
      InputError: a width or depth below 1.

    >>> round(born_dead_bound(width=2, depth=10), 3)
    0.925
    """
    if width < 1 or depth < 1:
        raise InputError(
            f"born_dead_bound needs a width and a depth of at least 1, not {width} and {depth}"
        )
    return -math.expm1((depth - 1) * math.log1p(-(2.0**-width)))


def _slopes(activation: Activation, q: float) -> tuple[float, float]:
    """E f(√q z)² and E f'(√q z)², where f' is the slope of the values."""
    moments = gaussian_moments(activation, 0.0, math.sqrt(q))
    if not moments.second_moment:
        return 0.0, 0.0
    return moments.second_moment, moments.slope_at_one * moments.second_moment / q


def _growth(activation: Activation, weight_std: float, q: float) -> float:
    """The slope of the variance map, by differentiating the density, so that f may have breaks."""
    z, weights, values = sampled(activation, q)
    squares = values**2 - weights @ values**2  # the mean makes no difference but to rounding
    return weight_std**2 * float(weights @ (squares * (z * z - 1))) / (2 * q)


def _mixed(activation: Activation, weight_std: float, bias_std: float, q: float) -> float:
    """The limit of the correlation with depth in chaos, below 1."""
    from scipy.optimize import brentq

    size = gaussian_moments(activation, 0.0, math.sqrt(q)).second_moment

    def growth(c: float) -> float:
        product = float(correlation_map(activation, c, q)) * size
        return (weight_std**2 * product + bias_std**2) / q - c

    # The map is convex from 0 to 1, and steeper than 1 at 1: it lies below the diagonal there.
    if growth(0.0) <= 1e-15:
        return 0.0
    near = 1e-3
    while growth(1 - near) >= 0 and near > 1e-9:
        near /= 10
    return float(brentq(growth, 0.0, 1 - near, xtol=1e-13)) if near > 1e-9 else 1.0  # type: ignore


def _depth(slope: float) -> float:
    """Layers over which a distance falls by a factor of e, given the map's slope at its fixed point."""
    if abs(slope) > 1 - _CRITICAL:
        return math.inf
    return -1 / math.log(abs(slope)) if slope else 0.0
