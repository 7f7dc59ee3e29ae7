"""Plots of a search over points: the validation error over each tuned value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flaxact import figures
from flaxact.figures import PAPER, WIDTH
from flaxact.studies._records import Results
from flaxact.studies.plots import HEIGHT, activation_label, activation_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def point_plots(results: Results) -> dict[str, tuple[Figure, str]]:
    """The plot and caption of every tuned value, by file name; none without a search over points."""
    space = results.study.search
    if space is None or not results.tuned:
        return {}
    return {
        f"tuned_{name}": (
            tuned_value(results, place, name),
            f"Validation error over the {name.replace('_', ' ')} of each point of the search, on the "
            "tuning seed: faint points were dropped before the end; filled is the point chosen. Points "
            "differ in all tuned values.",
        )
        for place, name in enumerate(space.names)
    }


def tuned_value(results: Results, place: int, name: str) -> Figure:
    """The validation error over one tuned value, on its log scale: one marker per point.

    Args:
      results: of a study with a search over points.
      place: the index of the value in a point.
      name: ``learning_rate`` or ``momentum``.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, axes = figures.figure(WIDTH, HEIGHT + 0.4)
    from_one = name == "momentum"  # on the log scale of 1 - momentum
    for activation, outcome in results.tuned.items():
        look = {**activation_style(results, activation), "linestyle": ""}
        longest = max(tried.epochs for tried in outcome.rates)
        axes.plot(
            [], [], **look, markerfacecolor=PAPER, label=activation_label(results, activation)
        )
        for tried in outcome.rates:
            if tried.score[0]:
                continue  # it diverged
            value = tried.point[place]
            chosen = tried.point == outcome.point
            axes.plot(
                1 - value if from_one else value,
                tried.score[1],
                **look,
                alpha=1.0 if tried.epochs == longest else 0.4,
                **({"markersize": 8} if chosen else {"markerfacecolor": PAPER}),
            )
    space = results.study.search
    assert space is not None
    ends = (space.lows[place], space.highs[place])
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    if from_one:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda share, _: f"{1 - share:.6g}")
    axes.set_xlim(*(1 - end if from_one else end for end in ends))
    axes.set_xlabel(name.replace("_", " "))
    figures.error_axis(axes, "validation error")
    figures.legend_below(figure, axes)
    return figure
