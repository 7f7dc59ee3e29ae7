"""Table cells for the pages of papers. Does not import jax."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flaxact.reproduction.claim import NOT_MEASURED, format_interval
from flaxact.reproduction.tuning import Tuned
from flaxact.statistics import mean_interval


def rate_cell(tuned: Tuned | None) -> str:
    """The best rate, with a note if it is at an edge of the rates that were tried."""
    if tuned is None:
        return "not searched"
    return f"{tuned.best:g} ({tuned.edge} tried)" if tuned.edge else f"{tuned.best:g}"


def errors_by_rate(tuned: Tuned | None, digits: int = 1) -> str:
    """The error at each rate of a search scored by ``tuning.error_score``."""
    cells = []
    for tried in tuned.rates if tuned is not None else ():
        has_diverged, error = tried.score
        cells.append(f"{tried.rate:g}: {'diverged' if has_diverged else f'{error:.{digits}%}'}")
    return ", ".join(cells)


def share_cell(shares: Sequence[float | None]) -> str:
    """The mean share with its interval, and how many runs diverged.

    >>> share_cell([0.25, 0.25, None]), share_cell([])
    ('25%; 1 of 3 diverged', 'not measured')
    """
    if not shares:
        return NOT_MEASURED
    finite_shares = [share for share in shares if share is not None and math.isfinite(share)]
    mean = (
        format_interval(mean_interval(finite_shares).clipped(0, 1), percent=True)
        if finite_shares
        else "none"
    )
    diverged = len(shares) - len(finite_shares)
    return f"{mean}; {diverged} of {len(shares)} diverged" if diverged else mean


def mean_cell(values: Sequence[float], most: float = math.inf) -> str:
    """The mean of non-negative values with its interval.

    >>> mean_cell([2.0, 2.0])
    '2'
    """
    return format_interval(mean_interval(values).clipped(0, most))
