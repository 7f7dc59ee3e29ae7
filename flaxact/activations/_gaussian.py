"""Means under a Gaussian, by quadrature that knows where a function has kinks."""

from __future__ import annotations

import functools
from collections.abc import Callable

from flaxact._lazy import jax, np
from flaxact.activations._spec import Activation

_REACH = 12.0  # standard deviations: the Gaussian's tail beyond holds 4e-33 of it


def rule(mean: float, std: float, breaks: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (float64) for the mean of a function of a Gaussian variable.

    Gauss–Legendre with 20 nodes on each of the panels between the breaks and a grid that is fine both
    for the Gaussian (half a standard deviation) and for functions that change on a scale of one.
    """
    low, high = mean - _REACH * std, mean + _REACH * std
    edges = np.concatenate([np.linspace(low, high, 49), np.arange(-8, 8.5, 0.5), breaks])
    edges = np.unique(edges[(edges >= low) & (edges <= high)])
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = np.diff(edges)[:, None] / 2
    x = (edges[:-1, None] + half * (1 + nodes)).ravel()
    density = np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    return x, (half * weights).ravel() * density


def evaluate(function: Callable, x: np.ndarray) -> np.ndarray:
    """``function`` of an array in float64; also while something else is being traced."""
    try:
        device = jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS leaves the CPU out
        device = None
    with jax.enable_x64(True), jax.default_device(device), jax.ensure_compile_time_eval():
        return np.asarray(function(jax.numpy.asarray(x)))


@functools.cache
def crossings(activation: Activation, level: float) -> tuple[float, ...]:
    """The inputs in [-40, 40] at which the activation passes through a level."""
    x = np.linspace(-40, 40, 64_002)
    above = evaluate(activation, x) > level
    (at,) = np.nonzero(above[1:] != above[:-1])
    low, high, rising = x[at], x[at + 1], above[at + 1]
    for _ in range(60):
        middle = (low + high) / 2
        past = (evaluate(activation, middle) > level) == rising
        low, high = np.where(past, low, middle), np.where(past, middle, high)
    return tuple(map(float, high))


def merged(*places: tuple[float, ...]) -> tuple[float, ...]:
    """Several lists of places as one, in order."""
    return tuple(sorted({round(place, 12) for several in places for place in several}))


@functools.cache
def gaussian_mean(activation: Activation, mean: float, std: float) -> float:
    """The mean of the activation's output for an input with this mean and standard deviation."""
    x, weights = rule(mean, std, activation.breaks)
    return float(weights @ evaluate(activation, x))


@functools.cache
def gaussian_std(activation: Activation, mean: float, std: float) -> float:
    """The standard deviation of the activation's output for such an input."""
    x, weights = rule(mean, std, activation.breaks)
    y = evaluate(activation, x)
    return float(np.sqrt(weights @ (y - weights @ y) ** 2))
