"""The statistics that results are reported with."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; the ends are nan where one value says nothing of spread."""

    mean: float
    low: float
    high: float

    def overlaps(self, other: Interval) -> bool:
        """Whether the two share a value; unknown (nan) ends count as overlapping."""
        return not (self.high < other.low or other.high < self.low)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean of independent values and its Student-t confidence interval.

    It holds for values that are about normal, and is wide for few: with three, 4.3 standard errors
    to each side at 95%.

    >>> interval = mean_interval([1.0, 2.0, 3.0])
    >>> round(interval.mean, 6), round(interval.low, 4), round(interval.high, 4)
    (2.0, -0.4841, 4.4841)
    """
    from scipy.stats import t

    mean = statistics.fmean(values)
    if len(values) < 2:
        return Interval(mean, math.nan, math.nan)
    error = statistics.stdev(values) / math.sqrt(len(values))
    half = float(t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    return Interval(mean, mean - half, mean + half)


def first_crossing(values: Sequence[float | None], target: float) -> float | None:
    """The epoch at which a curve first comes down to a target; None if it does not.

    ``values[i]`` belongs to epoch ``i + 1``; between epochs the curve is taken as straight. A value
    that is None (of a diverged run) is not below anything.

    >>> first_crossing([0.9, 0.5, 0.1], 0.3)
    2.5
    >>> first_crossing([0.9, 0.5], 0.3) is None, first_crossing([0.2], 0.3)
    (True, 1.0)
    """
    before = None
    for epoch, value in enumerate(values, 1):
        if value is not None and value <= target:
            if before is None:
                return float(epoch)
            return epoch - 1 + (before - target) / (before - value)
        before = value
    return None


def ratio_of_medians(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """How many times the median of one sample is that of another.

    >>> ratio_of_medians([2.0, 4.0, 100.0], [1.0, 2.0, 3.0])
    2.0
    """
    return statistics.median(numerator) / statistics.median(denominator)
