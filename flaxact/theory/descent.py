"""Gradient descent on the squared error of a linear layer; its Hessian is the inputs' E xxᵀ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from flaxact._lazy import np
from flaxact.errors import InputError

MOST = 2**30  # steps that are looked at


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """The excess of a linear layer's mean squared error over its minimum, as a quadratic form.

    Attributes:
      hessian: E xxᵀ (inputs, inputs), the second-moment matrix of the inputs (LeCun et al. 1998,
        §5.1).
      off: (inputs, units), the initial weights minus the optimal ones.
    """

    hessian: np.ndarray
    off: np.ndarray

    @cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues in ascending order, and the part of the initial excess along each eigenvector."""
        values, vectors = np.linalg.eigh(self.hessian)
        return values, np.maximum(values, 0) * np.sum((vectors.T @ self.off) ** 2, 1)

    @property
    def condition_number(self) -> float:
        """The largest eigenvalue over the smallest; infinite if the smallest is 0 up to rounding."""
        values, _ = self.spectrum
        flat = values[0] <= values[-1] * len(values) * np.finfo(float).eps
        return math.inf if flat else float(values[-1] / values[0])

    @property
    def best_rate(self) -> float:
        """The learning rate 2 / (λmax + λmin), at which the slowest direction converges fastest."""
        values, _ = self.spectrum
        return float(2 / (values[-1] + max(values[0], 0)))

    def steps(self, rate: float, tolerance: float) -> float:
        """Gradient descent steps until ``tolerance`` times the initial excess is left; inf above 10⁹.

        Raises:
          InputError: a rate that is not above 0 and at most 2 / λmax.
        """
        values, parts = self.spectrum
        if not 0 < rate * values[-1] <= 2 * (1 + 1e-9):
            raise InputError(
                f"descent needs a rate above 0 and at most {2 / values[-1]}, not {rate}"
            )
        with np.errstate(divide="ignore"):
            logs = np.maximum(2 * np.log(abs(1 - rate * values)), -1e200)

        def enough(steps: int) -> bool:
            return bool(parts @ np.exp(np.maximum(steps * logs, -700)) <= tolerance * parts.sum())

        if not enough(MOST):
            return math.inf
        low = 0
        high = MOST
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle, high)
        return high

    def descend(self, rate: float, tolerance: float, most: int = 100_000) -> float:
        """Like ``steps``, but counted by running gradient descent; inf for more than ``most`` steps."""
        off = self.off
        slope = self.hessian @ self.off
        aim = tolerance * np.sum(off * slope)
        for step in range(1, most + 1):
            off = off - rate * slope
            slope = self.hessian @ off
            if np.sum(off * slope) <= aim:
                return step
        return math.inf


def linear_layer(inputs: np.typing.ArrayLike, targets: np.typing.ArrayLike) -> LinearLayer:
    """A linear layer without biases and with zero weights, before it learns the targets.

    Args:
      inputs: (examples, inputs); a column of ones acts as a bias.
      targets: (examples, units).

    >>> x = np.array([[1.0, 0.0], [0.0, 3.0]])
    >>> layer = linear_layer(x, x @ np.array([[1.0], [1.0]]))
    >>> round(layer.condition_number, 9), layer.descend(layer.best_rate, 0.01)
    (9.0, 11)
    """
    x = np.asarray(inputs, np.float64)
    y = np.asarray(targets, np.float64)
    hessian = x.T @ x / len(x)
    values, vectors = np.linalg.eigh(hessian)
    is_nonzero = values > values[-1] * len(values) * np.finfo(float).eps
    inverse = np.where(is_nonzero, 1 / np.where(is_nonzero, values, 1), 0)
    return LinearLayer(hessian, -(vectors * inverse) @ (vectors.T @ (x.T @ y / len(x))))
