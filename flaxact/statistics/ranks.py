"""Comparisons of methods over tasks by their ranks (Demšar, 2006). A table has a row per task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flaxact._lazy import listing, np

__dir__ = listing(__name__)

ByTask = Sequence[Sequence[float]]  # (tasks, methods); lower is better


@dataclass(frozen=True, kw_only=True)
class Friedman:
    """The result of a test that all methods are equally good over tasks.

    Attributes:
      statistic: Friedman's chi-squared, with ties corrected.
      f_statistic: Iman and Davenport's, which is less conservative; infinite where every task ranks
        alike.
      p_value: p-value of ``f_statistic``, from F with k - 1 and (k - 1)(N - 1) degrees of freedom.
    """

    statistic: float
    f_statistic: float
    p_value: float


def task_ranks(table: ByTask) -> list[list[float]]:
    """The rank of every method in every task, 1 for the lowest value; ties share their mean rank.

    >>> task_ranks([[0.1, 0.3, 0.2], [0.1, 0.1, 0.4]])
    [[1.0, 3.0, 2.0], [1.5, 1.5, 3.0]]
    """
    from scipy.stats import rankdata

    return [[float(rank) for rank in rankdata(row)] for row in table]


def mean_ranks(table: ByTask) -> list[float]:
    """The mean rank of every method over tasks.

    >>> mean_ranks([[0.1, 0.3, 0.2], [0.1, 0.1, 0.4]])
    [1.25, 2.25, 2.5]
    """
    return [float(rank) for rank in np.mean(task_ranks(table), axis=0)]


def friedman(table: ByTask) -> Friedman | None:
    """Friedman's test; None for fewer than 3 methods or 2 tasks, or if all ranks are tied.

    >>> result = friedman([[1, 2, 3], [1, 3, 2], [1, 2, 3], [2, 1, 3]])
    >>> round(result.statistic, 3), round(result.f_statistic, 3), round(result.p_value, 4)
    (4.5, 3.857, 0.0837)
    """
    from scipy.stats import f, friedmanchisquare

    tasks = len(table)
    methods = len(table[0]) if tasks else 0
    if methods < 3 or tasks < 2 or all(len({*row}) == 1 for row in table):
        return None
    statistic = float(friedmanchisquare(*zip(*table, strict=True)).statistic)
    rest = tasks * (methods - 1) - statistic
    if rest <= 1e-9:
        return Friedman(statistic=statistic, f_statistic=math.inf, p_value=0.0)
    ratio = (tasks - 1) * statistic / rest
    p_value = float(f.sf(ratio, methods - 1, (methods - 1) * (tasks - 1)))
    return Friedman(statistic=statistic, f_statistic=ratio, p_value=p_value)


def critical_difference(methods: int, tasks: int, level: float = 0.05) -> float:
    """The smallest difference of mean ranks that is significant in Nemenyi's test.

    >>> round(critical_difference(5, 30), 2)
    1.11
    """
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - level, methods, math.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * tasks))


def within(ranks: Sequence[float], difference: float) -> list[tuple[int, ...]]:
    """The largest groups of methods, as indices, whose mean ranks differ by less than ``difference``.

    >>> within([1.0, 3.0, 1.8, 2.5], 1.0)
    [(0, 2), (2, 3), (3, 1)]
    """
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    groups: list[tuple[int, ...]] = []
    for first in range(len(order)):
        near = [i for i in order[first:] if ranks[i] - ranks[order[first]] < difference]
        if len(near) > 1 and not (groups and {*near} <= {*groups[-1]}):
            groups.append(tuple(near))
    return groups
