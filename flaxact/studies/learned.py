"""Learned parameters of activations: table rows, figures and CSV columns from results."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flaxact.figures import COLORS, INK, PAPER, WIDTH, figure, site_axis
from flaxact.studies._records import Probe, Results, Run, Spread
from flaxact.studies.summary import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Column = Callable[[Run], float | None]  # from a run to its value
TITLES = ["site", "parameter", "start", "end", "lowest", "highest"]


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A learned parameter of a site.

    ``start`` and ``end`` are means over channels and seeds, before and after training; ``lowest`` and
    ``highest`` are the extremes after training. None if a value is not finite.
    """

    site: str
    parameter: str
    start: float | None
    end: float | None
    lowest: float | None
    highest: float | None


def learned(row: Row) -> list[Learned]:
    """Every parameter that a row's activation has learned, by site; empty for one that learns none."""
    parameters = []
    for site, parameter in _names(row.runs):
        first = [_spread(run.probes[0], site, parameter) for run in row.runs]
        last = [_spread(run.probes[-1], site, parameter) for run in row.runs]
        parameters.append(
            Learned(
                site=site,
                parameter=parameter,
                start=_over(statistics.fmean, first, "mean"),
                end=_over(statistics.fmean, last, "mean"),
                lowest=_over(min, last, "min"),
                highest=_over(max, last, "max"),
            )
        )
    return parameters


def _names(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Every site and parameter."""
    names = {
        (site, parameter): None
        for run in runs
        for site, parameters in run.probes[0].learned.items()
        for parameter in parameters
    }
    return list(names)


def _spread(probe: Probe, site: str, parameter: str) -> Spread | None:
    return probe.learned.get(site, {}).get(parameter)


def _over(
    function: Callable[[Sequence[float]], float], spreads: Sequence[Spread | None], name: str
) -> float | None:
    values = [getattr(spread, name, None) for spread in spreads]
    known = [value for value in values if value is not None]
    return function(known) if known else None


def cells(row: Row) -> list[list[str]]:
    """The table of learned parameters as text, with the columns in the order of ``TITLES``."""

    def text(value: float | None) -> str:
        return "–" if value is None else f"{value:.4g}"

    return [
        [one.site, one.parameter, *map(text, (one.start, one.end, one.lowest, one.highest))]
        for one in learned(row)
    ]


def columns(results: Results) -> list[tuple[str, Column]]:
    """Columns of results.csv for learned parameters: (name, function from a run to its value)."""

    def column(site: str, parameter: str, place: int, name: str) -> Column:
        return lambda run: getattr(_spread(run.probes[place], site, parameter), name, None)

    places = (
        ("start", 0, "mean"),
        ("end", -1, "mean"),
        ("lowest", -1, "min"),
        ("highest", -1, "max"),
    )
    return [
        (f"{site}.{parameter}.{title}", column(site, parameter, place, name))
        for site, parameter in _names(results.runs)
        for title, place, name in places
    ]


def figures(row: Row) -> list[tuple[Figure, str]]:
    """One figure over sites per parameter, with its caption."""
    by_parameter: dict[str, list[Learned]] = {}
    for one in learned(row):
        by_parameter.setdefault(one.parameter, []).append(one)
    caption = (
        "by site: hollow at the start and filled at the end, the mean over channels and seeds; the line "
        "goes from the lowest to the highest channel of any seed at the end."
    )
    return [
        (_figure(name, parameters), f"{name} {caption}")
        for name, parameters in by_parameter.items()
    ]


def _figure(parameter: str, rows: Sequence[Learned]) -> Figure:
    nan = float("nan")
    picture, axes = figure(WIDTH, 2.4 + 0.08 * max(len(one.site) for one in rows))
    color = COLORS[0]
    for x, one in enumerate(rows):
        ends = [nan if end is None else end for end in (one.lowest, one.highest)]
        axes.plot([x, x], ends, color=color, linewidth=2)
    for name, face in (("start", PAPER), ("end", color)):
        values = [nan if (v := getattr(one, name)) is None else v for one in rows]
        axes.plot(values, "o", color=color, markerfacecolor=face, markersize=6)
    axes.axhline(0, color=INK, linewidth=0.6, linestyle=":")
    axes.set_ylabel(parameter)
    site_axis(axes, [one.site for one in rows])
    return picture
