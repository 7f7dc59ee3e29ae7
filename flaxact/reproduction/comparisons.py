"""Comparisons of the runs of two nets, each at its best learning rate. Does not import jax."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flaxact.reproduction.claim import UNKNOWN
from flaxact.statistics import Crossing, Interval, geometric_interval, mean_interval, ratio_interval

Curves = tuple[tuple[float | None, ...], ...]  # by seed and epoch; None once a run has diverged


def last_values(curves: Curves) -> list[float | None]:
    """The value after the last epoch, by seed."""
    return [curve[-1] for curve in curves]


def by_member(
    rows: Sequence[Mapping[str, Any]],
    key: str,
    *,
    diverged: float | None = None,
    digits: int | None = None,
) -> list[list[float | None]]:
    """A metric by member and epoch, from the rows of a training, without epoch 0.

    Args:
      rows: the result of ``Workspace.train``.
      key: the metric.
      diverged: the value for a member that has diverged.
      digits: digits after the decimal point; None for all.

    >>> by_member([{"error": [0.9, 0.9]}, {"error": [0.1234, None]}], "error", diverged=1.0, digits=2)
    [[0.12], [1.0]]
    """

    def rounded(value: float | None) -> float | None:
        if value is None:
            return diverged
        return value if digits is None else round(value, digits)

    return [[rounded(row[key][member]) for row in rows[1:]] for member in range(len(rows[0][key]))]


def speedup(slow: Sequence[Crossing], fast: Sequence[Crossing], level: float = 0.95) -> Interval:
    """The ratio of two nets' training times, slow over fast.

    Where every time is known: the ratio of the geometric means, and Welch's interval of its logarithm.
    Where some are only bounded, on either side: a bound of the ratio of the medians, from the
    extreme seeds. ``Interval.level`` is then the confidence that these few seeds give it, whatever
    ``level`` asks for: the extreme of n values is beyond the median with probability 1 - 2^-n. The
    mean is then infinite, or the geometric middle of the two bounds; it is not an estimate.

    >>> exact = [Crossing(2.0, 2.0), Crossing(2.5, 2.5)]
    >>> speedup([Crossing(10.0, math.inf)] * 2, exact)
    Interval(mean=inf, low=4.0, high=inf, level=0.5)
    """
    if not slow or not fast:
        return Interval(math.nan, math.nan, math.nan, level)
    if all(time.exact for time in (*slow, *fast)):
        return ratio_interval([t.low for t in slow], [t.low for t in fast], level)
    low = min(t.low for t in slow) / max(t.high for t in fast)
    shortest = min(t.low for t in fast)
    high = max(t.high for t in slow) / shortest if shortest else math.inf
    ends = math.isfinite(high) + (low > 0)
    if not ends:
        return Interval(math.nan, math.nan, math.nan, level)
    confidence = 1 - ends * (0.5 ** len(slow) + 0.5 ** len(fast))
    if not low:
        return Interval(-math.inf, -math.inf, high, max(confidence, 0.0))
    mean = math.inf if math.isinf(high) else math.sqrt(low * high)
    return Interval(mean, low, high, max(confidence, 0.0))


def paired_points(samples: Sequence[Sequence[float | None]], weights: Sequence[float]) -> Interval:
    """A weighted sum of shares in percentage points, paired by seed, over the seeds that all rows have.

    The result is nan if a run diverged.

    Args:
      samples: for each row, a share per seed, such as a test error; None for a run that diverged.
      weights: one per row; they sum to 0.

    >>> paired_points([[0.5, None], [0.25, 0.25]], [1, -1]).mean
    nan
    """
    seeds = list(zip(*samples, strict=False))
    if not seeds or any(None in seed for seed in seeds):
        return UNKNOWN
    most = 100 * sum(map(abs, weights)) / 2
    sums = [round(100 * math.fsum(map(operator.mul, weights, seed)), 6) for seed in seeds]
    return mean_interval(sums).clipped(-most, most)


def points_above(ones: Sequence[float | None], others: Sequence[float | None]) -> Interval:
    """The mean of ``one - other`` in percentage points, for two lists of shares paired by seed.

    >>> points_above([0.5, 0.25], [0.25, 0.25]).mean
    12.5
    """
    pairs = list(zip(ones, others, strict=False))
    differences = [
        100 * (one - other) for one, other in pairs if one is not None and other is not None
    ]
    if not pairs or len(differences) < len(pairs):
        return UNKNOWN
    return mean_interval(differences).clipped(-100, 100)


def paired_ratio(ones: Sequence[float], others: Sequence[float]) -> Interval:
    """The geometric mean of ``one / other`` over pairs, with its interval; a pair is one seed's values.

    >>> round(paired_ratio([2.0, 8.0], [1.0, 1.0]).mean, 6)
    4.0
    """
    ratios = [float(one / other) for one, other in zip(ones, others, strict=True)]
    return geometric_interval([ratios], [1.0])


def jackknife_interval(
    samples: np.ndarray, statistic: Callable[[np.ndarray], float], confidence: float = 0.95
) -> Interval:
    """A function of the rows' means, with Student's t interval from leaving out one seed at a time.

    Args:
      samples: (rows, seeds); nan for runs that diverged, which are left out.
      statistic: a function of the rows' means.
      confidence: level of the interval.

    >>> interval = jackknife_interval(np.array([[1.0, 2.0, 3.0]]), lambda means: float(means[0]))
    >>> round(interval.low, 4), round(interval.high, 4)
    (-0.4841, 4.4841)
    """
    from scipy.stats import t

    seeds = samples.shape[1]
    with np.errstate(invalid="ignore"):
        means = [np.nanmean(np.delete(samples, seed, axis=1), axis=1) for seed in range(seeds)]
        value = statistic(np.nanmean(samples, axis=1))
    without_one = np.array([statistic(each) for each in means])
    error = math.sqrt((seeds - 1) / seeds * np.sum((without_one - without_one.mean()) ** 2))
    half = float(t.ppf((1 + confidence) / 2, seeds - 1)) * error
    again = functools.partial(jackknife_interval, samples, statistic)
    return Interval(value, value - half, value + half, level=confidence, at_level=again)
