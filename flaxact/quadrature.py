"""Means under a Gaussian, by quadrature that respects a function's kinks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from flaxact._lazy import jax, np
from flaxact._packages import enable_x64

if TYPE_CHECKING:
    from flaxact.activations._spec import Activation

_REACH = 12.0  # standard deviations: the Gaussian's tail beyond holds 4e-33 of it
NODES = 20  # of a panel
_CHUNK = 4096  # in one call of a function, always: each other shape is compiled anew


def rule(
    mean: float, std: float, breaks: tuple[float, ...], splits: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (float64) for the mean of a function of a Gaussian variable.

    Gauss–Legendre with 20 nodes on each panel. Panels end at the breaks and on a grid fine enough
    for the Gaussian (half a standard deviation) and for functions that change on a scale of 1.

    Args:
      mean: mean of the variable.
      std: standard deviation of the variable, positive.
      breaks: where the function or its slope jumps.
      splits: number of parts per panel, for functions that change faster.
    """
    low = mean - _REACH * std
    high = mean + _REACH * std
    edges = np.concatenate([np.linspace(low, high, 49), np.arange(-8, 8.5, 0.5), breaks])
    edges = np.unique(edges[(edges >= low) & (edges <= high)])
    parts = np.linspace(edges[:-1], edges[1:], splits, endpoint=False, axis=-1)
    edges = np.append(parts, edges[-1])
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = np.diff(edges)[:, None] / 2
    x = (edges[:-1, None] + half * (1 + nodes)).ravel()
    density = np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    return x, (half * weights).ravel() * density


def panel_slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The derivative of a function at a rule's nodes, from its values, by interpolation on each panel."""
    nodes, _ = np.polynomial.legendre.leggauss(NODES)
    x = x.reshape(-1, NODES)
    y = y.reshape(-1, NODES)
    table = np.polynomial.legendre.legvander(nodes, NODES - 1)
    derivative = np.polynomial.legendre.legder(np.linalg.solve(table, y.T))
    half = (x[:, -1:] - x[:, :1]) / (nodes[-1] - nodes[0])
    return (np.polynomial.legendre.legval(nodes, derivative) / half).ravel()


def evaluate(function: Callable, x: np.ndarray) -> np.ndarray:
    """Evaluate a pointwise ``function`` at points (n,) in float64, even while JAX is tracing.

    The function is called with arrays (m, 1), inputs of one channel, so that parameters learned per
    channel have their initial values.

    Returns:
      An array (..., n), for a function that returns (..., m, 1).
    """
    try:
        device = jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS leaves the CPU out
        device = None
    parts = np.resize(np.asarray(x, np.float64), (max(1, -(-x.size // _CHUNK)), _CHUNK, 1))
    with enable_x64(True), jax.default_device(device), jax.ensure_compile_time_eval():
        y = [np.asarray(function(jax.numpy.asarray(part)))[..., 0] for part in parts]
    return np.concatenate(y, -1)[..., : x.size]


@functools.lru_cache(256)
def crossings(activation: Activation, level: float) -> tuple[float, ...]:
    """The inputs in [-40, 40] at which the activation crosses a level."""
    x = np.linspace(-40, 40, 64_002)
    above = evaluate(activation, x) > level
    (at,) = np.nonzero(above[1:] != above[:-1])
    low = x[at]
    high = x[at + 1]
    rising = above[at + 1]
    for _ in range(60):
        middle = (low + high) / 2
        past = (evaluate(activation, middle) > level) == rising
        low = np.where(past, low, middle)
        high = np.where(past, middle, high)
    return tuple(map(float, high))


def merged(*places: tuple[float, ...]) -> tuple[float, ...]:
    """Several lists of points as one, sorted."""
    return tuple(sorted({round(place, 12) for several in places for place in several}))


@functools.lru_cache(256)
def gaussian_mean(activation: Activation, mean: float, std: float) -> float:
    """The mean of the activation's output for a Gaussian input with this mean and standard deviation."""
    x, weights = rule(mean, std, activation.breaks)
    return float(weights @ evaluate(activation, x))


@functools.lru_cache(256)
def gaussian_std(activation: Activation, mean: float, std: float) -> float:
    """The standard deviation of the activation's output for a Gaussian input."""
    x, weights = rule(mean, std, activation.breaks)
    y = evaluate(activation, x)
    return float(np.sqrt(weights @ (y - weights @ y) ** 2))
