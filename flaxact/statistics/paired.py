"""Comparisons of two treatments on the same seeds: paired tests, corrected, fixed and sequential."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flaxact._lazy import listing
from flaxact.statistics.intervals import Interval, mean_interval, share_interval

__dir__ = listing(__name__)

MOST_PAIRS = 1000  # that ``needed_pairs`` looks at
ROUNDING = 1e-9  # relative; differences of errors that are equal as fractions differ by less
PRIOR_VARIANCE = 1.0  # of the standardized effect, in the sequential test


@dataclass(frozen=True, kw_only=True)
class Paired:
    """The paired comparison of two samples, for the difference ``one - other``.

    Attributes:
      pairs: number of pairs.
      difference: the mean difference with its interval.
      p_value: two-sided, not corrected; nan for fewer than two pairs.
      effect: Hedges' g of the differences, as ``hedges_g``.
      improvement: the probability that ``one`` is below ``other`` on the same seed.
    """

    pairs: int
    difference: Interval
    p_value: float
    effect: float
    improvement: Interval


def compare_paired(
    one: Sequence[float],
    other: Sequence[float],
    confidence: float = 0.95,
    *,
    sequential: bool = False,
) -> Paired:
    """Compare two samples whose values are paired by position.

    Args:
      one: the first sample, in which lower values are better.
      other: the second sample, of the same length.
      confidence: confidence level of the intervals.
      sequential: whether pairs were added until something was decided. The p-value and the interval of
        the difference then hold after any number of looks.

    >>> result = compare_paired([0.02, 0.03, 0.02, 0.04], [0.05, 0.05, 0.06, 0.06])
    >>> round(result.difference.mean, 4), round(result.p_value, 4), round(result.effect, 2)
    (-0.0275, 0.0105, -2.09)
    >>> result.improvement.mean, round(result.improvement.low, 3)
    (1.0, 0.398)
    """
    differences = [a - b for a, b in zip(one, other, strict=True)]
    interval = anytime_interval if sequential else mean_interval
    p_value = anytime_p_value if sequential else paired_p_value
    return Paired(
        pairs=len(differences),
        difference=interval(differences, confidence),
        p_value=p_value(differences),
        effect=hedges_g(differences),
        improvement=improvement_probability(differences, confidence),
    )


def paired_p_value(differences: Sequence[float]) -> float:
    """The two-sided p-value of the paired t test.

    nan for fewer than two differences, and if all are equal but not 0, because their spread is
    unknown then; 1 if all are 0.

    >>> round(paired_p_value([1.0, 2.0, 3.0]), 4), paired_p_value([0.0, 0.0])
    (0.0742, 1.0)
    """
    from scipy.stats import t

    if len(differences) < 2:
        return math.nan
    if not any(differences):
        return 1.0
    return float(2 * t.sf(abs(_t_statistic(differences)), len(differences) - 1))


def _t_statistic(differences: Sequence[float]) -> float:
    """The mean over its standard error; nan where all differences are the same."""
    spread = _spread(differences)
    if spread == 0:
        return math.nan
    return statistics.fmean(differences) / spread * math.sqrt(len(differences))


def _spread(differences: Sequence[float]) -> float:
    """The standard deviation; 0 where it is no more than the rounding of the values."""
    spread = statistics.stdev(differences)
    return spread if spread > ROUNDING * max(map(abs, differences)) else 0.0


def hedges_g(differences: Sequence[float]) -> float:
    """The mean difference divided by the standard deviation of the differences, for small samples.

    This is Cohen's d_z times Hedges' factor 1 - 3 / (4 (n - 1) - 1). nan for fewer than three
    differences, or if all are equal.

    >>> round(hedges_g([1.0, 2.0, 3.0, 4.0]), 3)
    1.408
    """
    if len(differences) < 3:
        return math.nan
    spread = _spread(differences)
    if spread == 0:
        return math.nan
    factor = 1 - 3 / (4 * (len(differences) - 1) - 1)
    return factor * statistics.fmean(differences) / spread


def improvement_probability(differences: Sequence[float], confidence: float = 0.95) -> Interval:
    """The probability of a difference below 0, with ties as one half, and its exact interval.

    The interval is Clopper and Pearson's, with coverage of at least ``confidence``. With ties, its
    low end counts none of them as below 0, and its high end counts all.

    >>> interval = improvement_probability([-1.0, -2.0, 0.5, 0.0])
    >>> interval.mean, round(interval.low, 3), round(interval.high, 3)
    (0.625, 0.068, 0.994)
    """
    count = len(differences)
    wins = sum(difference < 0 for difference in differences)
    ties = sum(difference == 0 for difference in differences)
    return Interval(
        (wins + ties / 2) / count,
        share_interval(wins, count, confidence).low,
        share_interval(wins + ties, count, confidence).high,
        confidence,
        at_level=functools.partial(improvement_probability, differences),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: adjusted p-values, in the order given.

    If all comparisons with an adjusted p-value of at most α are called significant, the probability
    of any false one is at most α (Holm, 1979). A p-value of nan stays nan and counts as a
    comparison.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted = [math.nan] * len(p_values)
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        adjusted[i] = largest
    return adjusted


def needed_pairs(
    effect: float, level: float = 0.05, power: float = 0.8, most: int = MOST_PAIRS
) -> int | None:
    """The number of pairs that a two-sided paired t test needs for an effect; None above ``most``.

    Args:
      effect: the mean difference in standard deviations of the differences; its sign does not matter.
      level: significance level of the test.
      power: the probability of a p-value of at most ``level``.
      most: the largest number of pairs that is considered.

    >>> needed_pairs(0.5), needed_pairs(1.0, level=0.01), needed_pairs(0.0)
    (34, 16, None)
    """
    if not abs(effect) > 0:
        return None
    low, high = 1, 2
    while _power(effect, high, level) < power:
        if high >= most:
            return None
        low = high
        high = min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        if _power(effect, middle, level) < power:
            low = middle
        else:
            high = middle
    return high


def _power(effect: float, pairs: int, level: float) -> float:
    """The power of the two-sided paired t test, through the noncentral t distribution."""
    from scipy.stats import nct, t

    shift = abs(effect) * math.sqrt(pairs)
    limit = float(t.ppf(1 - level / 2, pairs - 1))
    if shift > limit + 40:  # where SciPy's distribution underflows to nan
        return 1.0
    return float(nct.sf(limit, pairs - 1, shift) + nct.cdf(-limit, pairs - 1, shift))


def not_told_apart(names: Sequence[str], apart: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    """The largest groups without a significant difference.

    Two names share a group exactly if their difference is not significant: the compact letter
    display, by the insert-and-absorb algorithm of Piepho (2004).

    Args:
      names: all names, in the order in which groups list them.
      apart: the pairs with a significant difference.

    >>> not_told_apart(["relu", "elu", "tanh"], [("relu", "tanh")])
    [('relu', 'elu'), ('elu', 'tanh')]
    """
    groups = [frozenset(names)]
    for one, other in apart:
        split = [group for group in groups if not {one, other} <= group]
        for group in groups:
            if {one, other} <= group:
                split += [group - {one}, group - {other}]
        groups = [group for group in dict.fromkeys(split) if not any(group < g for g in split)]
    place = {name: i for i, name in enumerate(names)}
    ordered = [tuple(sorted(group, key=place.__getitem__)) for group in groups]
    return sorted(ordered, key=lambda group: [place[name] for name in group])


def anytime_p_value(differences: Sequence[float]) -> float:
    """A p-value for no difference that is valid at every look.

    The reciprocal of the largest e-value so far. An e-value is the Bayes factor of a t test whose
    standardized effect is normal, with variance 1, against none; with the right-Haar prior of the
    spread it is a test martingale (Grünwald, de Heide and Koolen, 2024, "Safe testing"). So without
    a difference the probability that the p-value is ever at most α is at most α, whatever the rule
    by which pairs are added.

    Args:
      differences: in the order in which they came.

    >>> round(anytime_p_value([1.0, 2.0, 1.5, 1.2, 1.8]), 4)
    0.052
    >>> anytime_p_value([1.0, -1.0, 1.0, -1.0])
    1.0
    """
    if len(differences) < 2:
        return math.nan
    counts = range(2, len(differences) + 1)
    largest = max(_log_e_value(differences[:count]) for count in counts)
    return min(1.0, math.exp(-largest))


def _log_e_value(differences: Sequence[float]) -> float:
    count = len(differences)
    freedom = count - 1
    widened = 1 + count * PRIOR_VARIANCE
    value = _t_statistic(differences)
    squared = 0.0 if math.isnan(value) else value**2  # without a spread there is no evidence
    ratio = (1 + squared / freedom) / (1 + squared / (freedom * widened))
    return (count / 2) * math.log(ratio) - math.log(widened) / 2


def anytime_interval(differences: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean and a confidence interval that is valid at every look.

    The interval contains the means that ``anytime_p_value`` does not reject for these values. It is
    wider than Student's, and infinite for very few values.

    >>> interval = anytime_interval([1.0, 2.0, 1.5, 1.2, 1.8])
    >>> round(interval.mean, 4), round(interval.low, 3), round(interval.high, 3)
    (1.5, -0.059, 3.059)
    """
    count = len(differences)
    mean = statistics.fmean(differences)
    again = functools.partial(anytime_interval, differences)
    if count < 2 or math.isnan(mean):
        return Interval(mean, math.nan, math.nan, confidence, at_level=again)
    freedom = count - 1
    widened = 1 + count * PRIOR_VARIANCE
    limit = (math.sqrt(widened) / (1 - confidence)) ** (2 / count)
    half = math.inf
    if limit < widened:
        squared = freedom * (limit - 1) / (1 - limit / widened)
        half = math.sqrt(squared) * statistics.stdev(differences) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half, confidence, at_level=again)
