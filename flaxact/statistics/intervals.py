"""The statistics in reports: intervals, crossings, contrasts and ratios."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from flaxact._lazy import listing, np

__dir__ = listing(__name__)


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
      mean: the estimate; infinite if only a bound is known.
      low: the lower end; nan if there is a single value.
      high: the upper end; infinite for an open interval.
      level: the confidence level.
      at_level: returns the interval at another confidence level; None if that is not known.
    """

    mean: float
    low: float
    high: float
    level: float = 0.95
    at_level: Callable[[float], Interval] | None = field(default=None, compare=False, repr=False)

    def clipped(self, low: float, high: float) -> Interval:
        """The interval cut to the possible values of a bounded quantity; the confidence is unchanged.

        >>> Interval(0.1, -0.1, 0.3).clipped(0, 1)
        Interval(mean=0.1, low=0, high=0.3, level=0.95)
        """
        again = self.at_level
        at_level = None if again is None else (lambda level: again(level).clipped(low, high))
        return replace(self, low=max(self.low, low), high=min(self.high, high), at_level=at_level)

    def overlaps(self, other: Interval) -> bool:
        """Whether two intervals share a value; unknown (nan) ends count as overlapping."""
        return not (self.high < other.low or other.high < self.low)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean of independent values and its Student-t confidence interval.

    The interval assumes approximately normal values, and is wide for few values: with three, 4.3
    standard errors to each side at 95%.

    >>> interval = mean_interval([1.0, 2.0, 3.0])
    >>> round(interval.mean, 6), round(interval.low, 4), round(interval.high, 4)
    (2.0, -0.4841, 4.4841)
    """
    from scipy.stats import t

    mean = statistics.fmean(values)
    again = functools.partial(mean_interval, values)
    if len(values) < 2 or math.isnan(mean):
        return Interval(mean, math.nan, math.nan, confidence, at_level=again)
    error = statistics.stdev(values) / math.sqrt(len(values))
    half = float(t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    return Interval(mean, mean - half, mean + half, confidence, at_level=again)


def share_interval(count: int, of: int, confidence: float = 0.95) -> Interval:
    """A share, and Clopper and Pearson's exact interval of the underlying probability.

    >>> interval = share_interval(0, 100)
    >>> interval.mean, round(interval.low, 4), round(interval.high, 4)
    (0.0, 0.0, 0.0362)
    """
    from scipy.stats import binomtest

    limits = binomtest(count, of).proportion_ci(confidence)
    again = functools.partial(share_interval, count, of)
    return Interval(count / of, float(limits.low), float(limits.high), confidence, at_level=again)


@dataclass(frozen=True)
class Crossing:
    """The time at which a curve first falls to a target, between ``low`` and ``high``.

    ``low`` and ``high`` are equal if the time is known. ``low`` is 0 if the first record is already
    at the target ("at most"); ``high`` is infinite if no record is ("more than").
    """

    low: float
    high: float

    @property
    def exact(self) -> bool:
        """Whether the time is known."""
        return self.low == self.high


def crossing(points: Sequence[tuple[float, float | None]], target: float) -> Crossing:
    """The time at which a curve first falls to a target.

    Args:
      points: (time, value) pairs in ascending order of time, interpolated linearly. The value None,
        of a diverged run, is never at the target.
      target: the value to fall to.

    >>> crossing([(1, 0.9), (2, 0.5), (3, 0.1)], 0.3)
    Crossing(low=2.5, high=2.5)
    >>> crossing([(0.5, 0.2), (1.5, 0.1)], 0.3), crossing([(1, 0.9), (2, 0.5)], 0.3)
    (Crossing(low=0.0, high=0.5), Crossing(low=2, high=inf))
    """
    before: tuple[float, float | None] | None = None
    for time, value in points:
        if value is not None and value <= target:
            if before is None:
                return Crossing(0.0, time)
            last, height = before
            if height is None:  # nothing is known of the time in between
                return Crossing(last, time)
            at = last + (time - last) * (height - target) / (height - value)
            return Crossing(at, at)
        before = time, value
    return Crossing(before[0] if before else 0.0, math.inf)


def first_crossing(values: Sequence[float | None], target: float) -> float | None:
    """The epoch at which a curve first falls to a target; None if it does not.

    ``values[i]`` belongs to epoch ``i + 1``; between epochs the curve is interpolated linearly. The
    value None, of a diverged run, is never at the target.

    >>> first_crossing([0.9, 0.5, 0.1], 0.3)
    2.5
    >>> first_crossing([0.9, 0.5], 0.3) is None, first_crossing([0.2], 0.3)
    (True, 1.0)
    """
    first = crossing(list(enumerate(values, 1)), target)
    return float(first.high) if math.isfinite(first.high) else None


def ratio_of_medians(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """The median of the first sample divided by the median of the second.

    >>> ratio_of_medians([2.0, 4.0, 100.0], [1.0, 2.0, 3.0])
    2.0
    """
    return statistics.median(numerator) / statistics.median(denominator)


def contrast_interval(
    samples: Sequence[Sequence[float]], weights: Sequence[float], confidence: float = 0.95
) -> Interval:
    """A weighted sum of the means of independent samples, with its Welch interval.

    Variances may differ between samples; the degrees of freedom are by Welch and Satterthwaite.

    Args:
      samples: the values of each sample, at least two for an interval.
      weights: one per sample.
      confidence: confidence level of the interval.

    >>> interval = contrast_interval([[5.0, 6.0, 7.0], [1.0, 2.0, 3.0]], [1, -1])
    >>> round(interval.mean, 6), round(interval.low, 3), round(interval.high, 3)
    (4.0, 1.733, 6.267)
    """
    from scipy.stats import t

    pairs = list(zip(samples, weights, strict=True))
    mean = sum(weight * statistics.fmean(values) for values, weight in pairs)
    again = functools.partial(contrast_interval, samples, weights)
    if min(len(values) for values in samples) < 2 or math.isnan(mean):
        return Interval(mean, math.nan, math.nan, confidence, at_level=again)
    parts = [weight**2 * statistics.variance(v) / len(v) for v, weight in pairs]
    if sum(parts) == 0:
        return Interval(mean, mean, mean, confidence, at_level=again)
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, samples, strict=True)
    )
    half = float(t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(sum(parts))
    return Interval(mean, mean - half, mean + half, confidence, at_level=again)


def difference_interval(
    one: Sequence[float], other: Sequence[float], confidence: float = 0.95
) -> Interval:
    """The mean of ``one`` minus the mean of ``other``, with Welch's interval; variances may differ.

    >>> interval = difference_interval([5.0, 6.0, 7.0], [1.0, 2.0, 3.0])
    >>> round(interval.mean, 6), round(interval.low, 3), round(interval.high, 3)
    (4.0, 1.733, 6.267)
    """
    return contrast_interval([one, other], [1.0, -1.0], confidence)


def geometric_interval(
    samples: Sequence[Sequence[float]], powers: Sequence[float], confidence: float = 0.95
) -> Interval:
    """A product of powers of the geometric means of positive samples, with its interval.

    The interval is Welch's interval of the logarithm. It is wide for few values, where a bootstrap
    would be too narrow.

    >>> interval = geometric_interval([[12.0, 12.0], [3.0, 3.0], [12.0, 12.0]], [1, -0.5, -0.5])
    >>> round(interval.mean, 6)
    2.0
    """
    logs = [[math.log(value) for value in values] for values in samples]
    log_interval = contrast_interval(logs, powers, confidence)
    again = functools.partial(geometric_interval, samples, powers)
    low, high = (_exp(end) for end in (log_interval.low, log_interval.high))
    return Interval(math.exp(log_interval.mean), low, high, confidence, at_level=again)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def ratio_interval(
    numerator: Sequence[float], denominator: Sequence[float], confidence: float = 0.95
) -> Interval:
    """The ratio of the geometric means of two positive samples, with its interval.

    >>> interval = ratio_interval([12.0, 12.0], [2.0, 2.0])
    >>> round(interval.mean, 6), round(interval.low, 6)
    (6.0, 6.0)
    """
    return geometric_interval([numerator, denominator], [1.0, -1.0], confidence)


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The median with its interval from order statistics, for any distribution, such as timings.

    The ends are values of the sample; nan for fewer than six values, too few for a 95% interval.

    >>> interval = median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0])
    >>> interval.mean, interval.low, interval.high
    (4.0, 1.0, 100.0)
    """
    from scipy.stats import binom

    ordered = sorted(values)
    n = len(values)
    # The median lies below the k-th lowest with probability P(fewer than k of n below it).
    k = int(binom.ppf((1 - confidence) / 2, n, 0.5))
    middle = statistics.median(ordered)
    again = functools.partial(median_interval, values)
    if k < 1:
        return Interval(middle, math.nan, math.nan, confidence, at_level=again)
    return Interval(middle, ordered[k - 1], ordered[n - k], confidence, at_level=again)


def mixed_slope(
    x: Sequence[float], y: Sequence[float], groups: Sequence[int], confidence: float = 0.95
) -> tuple[Interval, float]:
    """The slope of y over x with groups as a random effect, and the value at x = 0.

    Fitted by restricted maximum likelihood. Student's t has n - 1 - groups degrees of freedom.

    Args:
      x: the predictor, per point.
      y: the response, per point.
      groups: group of each point.
      confidence: confidence level of the interval.

    >>> slope, start = mixed_slope([0, 1, 2, 3], [1.0, 3.1, 4.9, 7.0], [0, 0, 1, 1])
    >>> round(slope.mean, 2), round(start, 2)
    (2.1, 0.85)
    """
    from scipy.optimize import minimize_scalar
    from scipy.stats import t

    design = np.column_stack([np.ones(len(x)), np.asarray(x, float)])
    response = np.asarray(y, float)
    same = np.equal.outer(np.asarray(groups), np.asarray(groups)).astype(float)
    freedom = len(response) - design.shape[1]

    def fit(log_ratio: float) -> tuple[float, np.ndarray, np.ndarray]:
        covariance = np.eye(len(response)) + np.exp(log_ratio) * same
        inverse = np.linalg.inv(covariance)
        information = design.T @ inverse @ design
        coefficients = np.linalg.solve(information, design.T @ inverse @ response)
        residual = response - design @ coefficients
        variance = max(float(residual @ inverse @ residual) / freedom, 1e-300)
        logs = [np.linalg.slogdet(matrix)[1] for matrix in (covariance, information)]
        criterion = freedom * np.log(variance) + sum(logs)
        return criterion, coefficients, variance * np.linalg.inv(information)

    best = minimize_scalar(lambda v: fit(v)[0], bounds=(-12, 6), method="bounded")
    _, coefficients, covariance = fit(best.x)  # type: ignore[attr-defined]
    degrees = max(freedom - (len(set(groups)) - 1), 1)
    half = float(t.ppf((1 + confidence) / 2, degrees)) * math.sqrt(covariance[1, 1])
    slope = float(coefficients[1])
    again = lambda level: mixed_slope(x, y, groups, level)[0]  # noqa: E731
    interval = Interval(slope, slope - half, slope + half, confidence, at_level=again)
    return interval, float(coefficients[0])
