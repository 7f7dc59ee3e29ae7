"""Common parts of the papers' figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flaxact.reproduction.tuning import Tuned

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_band(
    axes: Axes,
    curves: Sequence[Sequence[float | None]],
    *,
    color: str,
    first_epoch: int = 1,
    **options: Any,
) -> None:
    """Draw the median over seeds by epoch, and the range; the curve ends where a run has diverged.

    Args:
      axes: to draw on.
      curves: for each seed, a value per epoch; None once the run has diverged.
      color: color of the median and the range.
      first_epoch: first epoch of the curves.
      options: keyword arguments of ``axes.plot`` for the median.
    """
    values = np.array(curves, float)
    epochs = range(first_epoch, first_epoch + values.shape[1])
    axes.fill_between(epochs, values.min(0), values.max(0), color=color, alpha=0.2, lw=0)
    axes.plot(epochs, np.median(values, 0), color=color, **options)


def draw_search(axes: Axes, tuned: Tuned | None, style: str, **options: Any) -> None:
    """Draw the score of each learning rate of a search; draws nothing if ``tuned`` is None.

    Args:
      axes: to draw on.
      tuned: the search; None if it is not complete.
      style: style of the line and its marks.
      options: keyword arguments of ``axes.plot``.
    """
    tried = [each for each in tuned.rates if not each.score[0]] if tuned is not None else []
    if tried:
        rates = [each.rate for each in tried]
        axes.plot(rates, [each.score[1] for each in tried], style, **options)
