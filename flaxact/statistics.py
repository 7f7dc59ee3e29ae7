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


def share_interval(count: int, of: int, confidence: float = 0.95) -> Interval:
    """A share, and Clopper and Pearson's exact interval of the probability behind it.

    >>> interval = share_interval(0, 100)
    >>> interval.mean, round(interval.low, 4), round(interval.high, 4)
    (0.0, 0.0, 0.0362)
    """
    from scipy.stats import binomtest

    found = binomtest(count, of).proportion_ci(confidence)
    return Interval(count / of, float(found.low), float(found.high))


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


def difference_interval(
    one: Sequence[float], other: Sequence[float], confidence: float = 0.95
) -> Interval:
    """The difference of two samples' means and Welch's interval of it; variances may differ.

    >>> interval = difference_interval([5.0, 6.0, 7.0], [1.0, 2.0, 3.0])
    >>> round(interval.mean, 6), round(interval.low, 3), round(interval.high, 3)
    (4.0, 1.733, 6.267)
    """
    from scipy.stats import t

    mean = statistics.fmean(one) - statistics.fmean(other)
    if min(len(one), len(other)) < 2:
        return Interval(mean, math.nan, math.nan)
    squares = [statistics.variance(values) / len(values) for values in (one, other)]
    if sum(squares) == 0:
        return Interval(mean, mean, mean)
    freedom = sum(squares) ** 2 / sum(
        square**2 / (len(values) - 1) for square, values in zip(squares, (one, other), strict=True)
    )
    half = float(t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(sum(squares))
    return Interval(mean, mean - half, mean + half)


def ratio_interval(
    numerator: Sequence[float], denominator: Sequence[float], confidence: float = 0.95
) -> Interval:
    """The ratio of two samples' geometric means, of positive values, and its interval.

    Welch's interval of the logarithms, and so wide for few values, where a bootstrap is too narrow.

    >>> interval = ratio_interval([12.0, 12.0], [2.0, 2.0])
    >>> round(interval.mean, 6), round(interval.low, 6)
    (6.0, 6.0)
    """
    logs = [[math.log(value) for value in values] for values in (numerator, denominator)]
    found = difference_interval(*logs, confidence=confidence)
    return Interval(*map(math.exp, (found.mean, found.low, found.high)))


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The median and its interval from order statistics, whatever the distribution, as of timings.

    The ends are values of the sample; nan for fewer than six of them, which hold no interval of 95%.

    >>> interval = median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0])
    >>> interval.mean, interval.low, interval.high
    (4.0, 1.0, 100.0)
    """
    from scipy.stats import binom

    ordered, n = sorted(values), len(values)
    # The median lies below the k-th lowest with probability P(fewer than k of n below it).
    k = int(binom.ppf((1 - confidence) / 2, n, 0.5))
    middle = statistics.median(ordered)
    if k < 1:
        return Interval(middle, math.nan, math.nan)
    return Interval(middle, ordered[k - 1], ordered[n - k])
