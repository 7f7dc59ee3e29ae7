"""Maps of a layer in a wide random net: of the inputs' second moment and of their correlation."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from flaxact._lazy import jax, np
from flaxact.activations import Activation
from flaxact.errors import InputError
from flaxact.quadrature import NODES, evaluate, rule
from flaxact.theory.moments import pointwise

# Nearer to a correlation of ±1 than this, or less for steep functions, the map is continued by powers of
# the distance.
_NEAR = 1e-6
_BAND = 9.0  # standard deviations of one input around what the other lets expect
_ROWS = 2**21  # pairs of nodes at once


def variance_map(
    activation: str | Activation | Callable[..., jax.Array],
    q: np.typing.ArrayLike,
    weight_std: float = 1.0,
    bias_std: float = 0.0,
) -> np.ndarray:
    r"""The map from the second moment :math:`q` of a layer's pre-activations to the next layer's.

    :math:`Q(q) = \sigma_w^2 \, \mathrm{E} f(\sqrt{q} z)^2 + \sigma_b^2` (Poole et al. 2016, eq. 3).

    Args:
      activation: a pointwise activation: a name, a spec text, a function or an ``Activation``.
      q: at least 0, any shape.
      weight_std: :math:`\sigma_w`, the weights' standard deviation times √fan-in.
      bias_std: :math:`\sigma_b`.

    Returns:
      A float64 array of the shape of ``q``.

    Raises:
      InputError: as ``get``; an activation that is not pointwise; a negative q.

    >>> variance_map("relu", [0.0, 2.0], weight_std=3.0, bias_std=0.5).round(9).tolist()
    [0.25, 9.25]
    """
    activation = pointwise(activation)
    q = np.asarray(q, np.float64)
    if not np.all((q >= 0) & np.isfinite(q)):
        raise InputError(f"variance_map needs second moments q of at least 0, not {q}")
    second = [_second_moment(activation, float(each)) for each in q.ravel()]
    return weight_std**2 * np.reshape(second, q.shape) + bias_std**2


def correlation_map(
    activation: str | Activation | Callable[..., jax.Array], c: np.typing.ArrayLike, q: float = 1.0
) -> np.ndarray:
    r"""The C-map, from the correlation :math:`c` of a layer's pre-activations to that of its outputs.

    :math:`C(c) = \mathrm{E} f(u) f(v) / \mathrm{E} f(u)^2` for Gaussian :math:`u, v` of mean 0,
    second moment :math:`q` and correlation :math:`c`. For relu this is the arc-cosine kernel (Cho &
    Saul 2009). It maps the cosine of two inputs to that of a layer's outputs if there are no biases
    (Poole et al. 2016, eq. 5; Martens et al. 2021). Computed by quadrature, accurate to 1e-12; to
    1e-8 near ±1 for functions that change within hundredths.

    Args:
      activation: a pointwise activation: a name, a spec text, a function or an ``Activation``.
      c: from -1 to 1, any shape.
      q: positive.

    Returns:
      A float64 array of the shape of ``c``; nan for an activation that is always 0.

    Raises:
      InputError: as ``get``; an activation that is not pointwise; a correlation outside [-1, 1]; a
        q that is not positive.

    >>> correlation_map("relu", [-1.0, 0.0, 1.0]).round(9).tolist()  # 0, 1/π, 1
    [0.0, 0.318309886, 1.0]
    """
    activation = pointwise(activation)
    c = np.asarray(c, np.float64)
    if not (np.all(abs(c) <= 1) and 0 < q < math.inf):
        raise InputError(
            f"correlation_map needs correlations from -1 to 1 and a q above 0, not {c} and {q}"
        )
    second = _second_moment(activation, q)
    if not second:
        return np.full(c.shape, math.nan)
    products = [_product(activation, float(each), q) for each in c.ravel()]
    return np.reshape(products, c.shape) / second


def correlation_slope(activation: Activation, c: float, q: float) -> float:
    r"""The derivative of :math:`\mathrm{E} f(u) f(v)` with respect to :math:`c`, for :math:`|c| < 1`.

    It differentiates the density instead of f, so f may jump.
    """
    return _integral(activation, c, q, _density_slope)


@functools.lru_cache(maxsize=16)
def sampled(
    activation: Activation, q: float, splits: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z, standard Gaussian weights and f(√q z), on panels fine enough for the second moment."""
    splits = max(splits, _splits(activation, q))
    x, weights = rule(0.0, math.sqrt(q), activation.breaks, splits)
    return x / math.sqrt(q), weights, evaluate(activation, x)


@functools.lru_cache(maxsize=4096)
def _splits(activation: Activation, q: float) -> int:
    """The number of parts per panel beyond which the second moment no longer changes."""
    second_moment = math.nan
    for splits in (1, 2, 4, 16, 64):
        x, weights = rule(0.0, math.sqrt(q), activation.breaks, splits)
        coarse = second_moment
        second_moment = float(weights @ evaluate(activation, x) ** 2)
        if abs(second_moment - coarse) <= 1e-13 * second_moment:
            return max(1, splits // 2) if splits < 16 else splits // 4
    return 64


def _second_moment(activation: Activation, q: float) -> float:
    if not q:
        return float(evaluate(activation, np.zeros(1))[0] ** 2)
    _, weights, values = sampled(activation, q)
    return float(weights @ values**2)


def _product(activation: Activation, c: float, q: float) -> float:
    """E f(u) f(v)."""
    sign = math.copysign(1.0, c)
    distance = 1 - abs(c)
    near = _NEAR / _splits(activation, q)
    if distance >= near:
        return _integral(activation, c, q, _density)
    x, weights = rule(
        0.0,
        math.sqrt(q),
        (*activation.breaks, *(-b for b in activation.breaks)),
        _splits(activation, q),
    )
    end = float(weights @ (evaluate(activation, x) * evaluate(activation, sign * x)))
    if not distance:
        return end
    powers = np.array([0.5, 1, 1.5] if activation.jumps else [1, 1.5, 2])
    return end + float(
        distance**powers @ _continued(activation, sign * near, q, end, powers=tuple(powers))
    )


@functools.lru_cache(maxsize=256)
def _continued(
    activation: Activation, near: float, q: float, end: float, powers: tuple[float, ...]
) -> np.ndarray:
    """Weights of three values at larger distances that extrapolate to the distance ``near`` from ±1.

    They combine powers of the distance; ``near`` has the sign of the correlation.
    """
    unit = abs(near)
    sign = math.copysign(1.0, near)
    steps = np.array([1, 4, 16])
    drops = [_integral(activation, sign * (1 - k * unit), q, _density) - end for k in steps]
    # In units of the first distance, so that the equations are well conditioned.
    scaled = np.linalg.solve(steps[:, None] ** np.array(powers), drops)
    return scaled / unit ** np.array(powers)


def _integral(
    activation: Activation, c: float, q: float, density: Callable[..., np.ndarray]
) -> float:
    """The integral of f(√q x) f(√q y) times a function of x and y that is shaped like the joint density.

    Both variables use one rule, whose panels end at the breaks and resolve the ridge along y = c x,
    of width √(1 - c²): 20 nodes integrate a Gaussian over five standard deviations to 1e-16. Away
    from the ridge the integrand vanishes, so only the nodes near it are evaluated, the same number
    for each x.
    """
    width = math.sqrt((1 - c) * (1 + c))
    x, values = _on_panels(activation, q, width)
    first = np.searchsorted(x, c * x - _BAND * width)
    count = int((np.searchsorted(x, c * x + _BAND * width) - first).max())
    first = np.minimum(first, x.size - count)
    total = 0.0
    size = np.abs(values) * np.exp(-x * x / 2)
    (felt,) = np.nonzero(size > 1e-25 * size.max())
    for rows in np.array_split(felt, math.ceil(felt.size * count / _ROWS)):
        near = first[rows, None] + np.arange(count)
        ridge = density(x[rows, None], x[near], c, width)
        total += float(values[rows] @ np.sum(ridge * values[near], 1))
    return total


def _on_panels(activation: Activation, q: float, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and values of f(√q x) dx on panels as wide as the scale of a smooth other factor.

    Where f needs finer panels than the ridge, the values on the fine panels are projected onto the
    nodes of the coarse ones by polynomial interpolation, which costs less than a fine ridge.
    """
    needed = _splits(activation, q)
    splits = max(1, math.ceil(0.1 / width))
    if (
        needed > splits
    ):  # a polynomial of half the degree, on panels half as long; needed is a power of 2
        splits = min(needed, 2 ** (1 + math.ceil(math.log2(splits))))
    z, weights, values = sampled(activation, q, max(needed, splits))
    values = values * weights * np.exp(z * z / 2)  # that is dx / √(2π)
    if needed <= splits:
        return z, values
    x = rule(0.0, math.sqrt(q), activation.breaks, splits)[0] / math.sqrt(q)
    legendre = np.polynomial.legendre
    nodes, _ = legendre.leggauss(NODES)
    parts = needed // splits
    fine = ((nodes + 1 + 2 * np.arange(parts)[:, None]) / parts - 1).ravel()
    share = np.linalg.solve(
        legendre.legvander(nodes, NODES - 1).T, legendre.legvander(fine, NODES - 1).T
    )
    return x, (values.reshape(-1, fine.size) @ share.T).ravel()


def _density(x: np.ndarray, y: np.ndarray, c: float, width: float) -> np.ndarray:
    """The joint density, times 2π."""
    return np.exp(-0.5 * (x * x + ((y - c * x) / width) ** 2)) / width


def _density_slope(x: np.ndarray, y: np.ndarray, c: float, width: float) -> np.ndarray:
    """The derivative of ``_density`` with respect to c."""
    off = (y - c * x) / width
    return _density(x, y, c, width) * (c * (1 - off**2) / width + x * off) / width
