"""How soon nets learn, each at its own best learning rate; does not import jax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flaxact.statistics import Interval, first_crossing, ratio_interval

Curve = Sequence[float | None]  # of a run, a value an epoch


def by_member(
    rows: Sequence[dict[str, Any]],
    key: str,
    *,
    diverged: float | None = None,
    digits: int | None = None,
) -> list[list[Any]]:
    """A metric's curve of every member, from the lines of a training, epoch 0 left out.

    Args:
      rows: what ``Work.train`` gives.
      key: the metric.
      diverged: what stands where a member has.
      digits: after the point; None for all.

    >>> by_member([{"error": [0.9, 0.9]}, {"error": [0.1234, None]}], "error", diverged=1.0, digits=2)
    [[0.12], [1.0]]
    """

    def value(found: float | None) -> float | None:
        if found is None:
            return diverged
        return found if digits is None else round(found, digits)

    return [[value(row[key][member]) for row in rows[1:]] for member in range(len(rows[0][key]))]


def curves(
    rows: Sequence[dict[str, Any]], rates: int, key: str = "train_error"
) -> list[list[list[Any]]]:
    """By rate and seed, from the lines of a training of ``grid(seeds, rates)``, epoch 0 left out.

    >>> curves([{"train_error": [0.9] * 4}, {"train_error": [0.1, 0.2, 0.3, None]}], rates=2)
    [[[0.1], [0.2]], [[0.3], [None]]]
    """
    found = by_member(rows, key)
    seeds = len(found) // rates
    return [found[first : first + seeds] for first in range(0, len(found), seeds)]


def fewest_epochs(by_rate: Sequence[Sequence[Curve]], target: float) -> list[float] | None:
    """By seed, the epochs to a target at the rate where they are fewest in geometric mean.

    None where some seed misses it at every rate.

    >>> fewest_epochs([[[0.9, 0.5, 0.1], [0.9, 0.1]], [[0.2, 0.1], [0.1]], [[0.1], [0.9]]], 0.3)
    [1.0, 1.0]
    """
    found = [[first_crossing(seed, target) for seed in rate] for rate in by_rate]
    reached = [[epoch for epoch in rate if epoch is not None] for rate in found]
    whole = [one for one, rate in zip(reached, by_rate, strict=True) if len(one) == len(rate)]
    return min(whole, key=math.prod) if whole else None


def times_sooner(slow: list[float] | None, fast: list[float] | None, most: float) -> Interval:
    """How many times the epochs of one net are another's; None for one that took more than ``most``.

    >>> times_sooner(None, [2.0, 2.5], most=10)
    Interval(mean=inf, low=4.0, high=inf)
    """
    if slow and fast:
        return ratio_interval(slow, fast)
    if fast:
        return Interval(math.inf, most / max(fast), math.inf)
    if slow:
        return Interval(-math.inf, -math.inf, max(slow) / most)
    return Interval(math.nan, math.nan, math.nan)
