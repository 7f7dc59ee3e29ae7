"""Tables and figures of a race (epochs to a target training error) and of its learning rate searches."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flaxact.figures import COLORS, figure, percent
from flaxact.reproduction.claim import Table, format_interval
from flaxact.reproduction.race import TunedCurves, epochs_ratio
from flaxact.reproduction.tuning import TUNING_SEED, TriedRate, Tuned, parabola_optimum
from flaxact.statistics import Crossing, mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TICKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60, 80, 100, 150)  # of epochs


def epochs_text(times: Sequence[Crossing]) -> str:
    """The mean epochs with their interval; if some seeds did not reach the target, their count.

    >>> epochs_text([Crossing(8.0, math.inf), Crossing(5.0, 5.0)]), epochs_text([Crossing(0.0, 0.5)])
    ('1 of 2 seeds not in 8', 'at most 0.5')
    """
    if not times:
        return "not run"
    if all(time.exact for time in times):
        return format_interval(mean_interval([time.low for time in times]))
    late = [time for time in times if math.isinf(time.high)]
    if late:
        return f"{len(late)} of {len(times)} seeds not in {min(time.low for time in late):.3g}"
    return f"at most {max(time.high for time in times):.3g}"


def race_table(title: str, rows: Mapping[str, TunedCurves], reference: str, target: float) -> Table:
    """A table with the learning rate, the epochs to the target, and their ratio to the reference's."""
    lines = []
    for name, row in rows.items():
        if not row.seeds or row.tuned is None:
            continue
        ratios = [
            "" if name == reference else format_interval(ratio)
            for ratio in (
                epochs_ratio(row, rows[reference], target, clean=clean) for clean in (False, True)
            )
        ]
        times = (epochs_text(row.times(target, clean=clean)) for clean in (False, True))
        lines.append((name, f"{row.tuned.best:.3g}", *times, *ratios, f"{len(row.seeds)}"))
    header = (
        "row",
        "rate",
        "epochs to the target",
        "by a clean pass",
        f"÷ {reference}'s",
        f"÷ {reference}'s, clean pass",
        "seeds",
    )
    return Table(title, header, tuple(lines))


def search_table(groups: Mapping[str, Mapping[str, TunedCurves]]) -> Table:
    """A table of all tried learning rates: epochs to the target, or the error when it was dropped."""
    lines = []
    for group, rows in groups.items():
        for name, row in rows.items():
            if row.tuned is not None:
                lines.append((group, name, *_search_cells(row.tuned)))
    header = ("net", "row", "best rate", "parabola's optimum", "rates on the tuning seed")
    return Table("The search for the rates", header, tuple(lines))


def _search_cells(tuned: Tuned) -> tuple[str, str, str]:
    edge = f" ({tuned.edge} tried)" if tuned.edge else ""
    epochs = epochs_by_rate(tuned)
    optimum = parabola_optimum(list(epochs), list(epochs.values())) if epochs else None
    parabola = f"{optimum[1]:.1f} at {optimum[0]:.2g}" if optimum else "–"
    return f"{tuned.best:.3g}{edge}", parabola, "; ".join(map(_rate_cell, tuned.rates))


def _rate_cell(tried: TriedRate) -> str:
    missed, value = tried.score
    reached = f"{value:.1%} at epoch {tried.epochs}" if missed else f"{value:.1f} epochs"
    return f"{tried.rate:.3g}: {reached}"


def epochs_by_rate(tuned: Tuned) -> dict[float, float]:
    """The number of epochs to the target by learning rate, for the rates that reached it."""
    return {tried.rate: tried.score[1] for tried in tuned.rates if not tried.score[0]}


def search_figure(rows: Mapping[str, TunedCurves], target: float) -> Figure:
    """Epochs to the target by learning rate on the tuning seed, a line per row.

    A triangle stands where a rate was dropped: it needs more epochs than that.
    """
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    drawing, axes = figure(7.5, 3.8)
    for number, (name, row) in enumerate(rows.items()):
        if row.tuned is None:
            continue
        color = COLORS[number % len(COLORS)]
        epochs = epochs_by_rate(row.tuned)
        dropped = {tried.rate: tried.epochs for tried in row.tuned.rates if tried.score[0]}
        axes.plot(list(epochs), list(epochs.values()), "o-", color=color, label=name)
        axes.plot(list(dropped), list(dropped.values()), "^", color=color, fillstyle="none")
    axes.set(xscale="log", yscale="log", xlabel="learning rate")
    axes.set_ylabel(f"epochs to {target:.0%} (seed {TUNING_SEED}; △: more)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in TICKS if low <= tick <= high])
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)
    return drawing


def layers_figure(pair: Mapping[str, TunedCurves]) -> Figure:
    """Mean over seeds of the gradient's length and of the share of saturated inputs, by epoch.

    Args:
      pair: two rows whose curves hold the measures by layer.
    """
    fig, (left, right) = figure(9, 3.8, 2)
    for (name, row), style in zip(pair.items(), ("-", "--"), strict=True):
        observed = [curve.observed for curve in row.seeds]
        epochs = range(min(map(len, observed)))
        for site, color in zip(observed[0][0]["sites"], COLORS, strict=False):
            layers = [[each[epoch]["sites"][site] for each in observed] for epoch in epochs]
            lengths = [
                statistics.fmean(each["gradient_norm"] for each in seeds) for seeds in layers
            ]
            shares = [
                sum(
                    statistics.fmean(each[end] for each in seeds)
                    for end in ("saturated_low", "saturated_high")
                )
                for seeds in layers
            ]
            left.plot(epochs, lengths, style, color=color, label=f"{name}, {site}")
            right.plot(epochs, shares, style, color=color)
    left.set(xlabel="epoch", ylabel="length of the gradient by the outputs", yscale="log")
    right.set(xlabel="epoch", ylabel="inputs where the slope is nearly 0", ylim=(0, 1))
    right.yaxis.set_major_formatter(percent())
    seeds = min(len(row.seeds) for row in pair.values())
    fig.legend(
        *left.get_legend_handles_labels(),
        loc="outside lower center",
        ncol=4,
        frameon=False,
        fontsize=8,
        title=f"means of {seeds} seeds or more",
        title_fontsize=8,
    )
    return fig
