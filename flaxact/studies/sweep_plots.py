"""Plots of the test error over swept hyperparameters: a curve with a band for one, a heat map for two."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flaxact import figures
from flaxact.figures import COLORS, INK, WIDTH, percent
from flaxact.studies import contrasts, summary
from flaxact.studies._records import Results
from flaxact.studies.sweeps import Sweep, sweeps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 2.9  # inches
WIDE = 20.0  # a factor between values that is drawn on a log scale
# Text on cells; black and white would turn with the page's colors.
ON_DARK = "#fefefe"
ON_LIGHT = "#111111"
CHOICE = "The lowest point is chosen by the test error, so its own error is optimistic."


def sweep_plots(results: Results) -> dict[str, tuple[Figure, str]]:
    """The plot and caption of every sweep, by file name."""
    plots = {}
    for number, sweep in enumerate(sweeps(results), 1):
        swept = " and ".join(name.replace("_", " ") for name in sweep.names)
        text = f"Test error after the last epoch by {swept} of {sweep.name}"
        if len(sweep.names) == 2:
            plots[f"sweep_{number}"] = (heat_map(sweep), f"{text}: means over seeds. {CHOICE}")
            continue
        level = "dots are seeds, the band is the 95% Student-t interval of their mean"
        level = level if len(results.study.seeds) > 1 else "one seed"
        reference = f"; the dashed line is {contrasts.reference(results)}"
        reference *= _reference(results, sweep) is not None
        diverged = "; × marks values at which every seed diverged"
        diverged *= any(row.test_error is None for row in sweep.rows)
        caption = f"{text}: {level}{reference}{diverged}. {CHOICE}"
        plots[f"sweep_{number}"] = (curve(results, sweep), caption)
    return plots


def curve(results: Results, sweep: Sweep) -> Figure:
    """The mean test error over one hyperparameter, with its interval as a band; × if all diverged."""
    figure, axes = figures.figure(WIDTH, HEIGHT)
    color = COLORS[0]
    xs = [values[0] for values in sweep.values]
    means, lows, highs = [], [], []
    for row in sweep.rows:
        ends = (math.nan,) * 3 if row.test_error is None else contrasts.ends(row.test_error)
        for values, end in zip((means, lows, highs), ends, strict=True):
            values.append(end)
    axes.fill_between(xs, lows, highs, color=color, alpha=0.2, linewidth=0)
    axes.plot(xs, means, "o-", color=color, markersize=5)
    for x, row in zip(xs, sweep.rows, strict=True):
        last = list(contrasts.last_errors(row).values())
        axes.plot([x] * len(last), last, "o", color=color, alpha=0.35, markersize=3)
    if (level := _reference(results, sweep)) is not None:
        axes.axhline(level, color=INK, linestyle="--", linewidth=1)
    if min(xs) > 0 and figures.is_wide(xs, WIDE):
        axes.set_xscale("log")
    axes.set_xlabel(sweep.names[0].replace("_", " "))
    figures.error_axis(axes, "test error")
    lost = [x for x, row in zip(xs, sweep.rows, strict=True) if row.test_error is None]
    top = axes.get_ylim()[1]
    axes.plot(lost, [top] * len(lost), "x", color=INK, markersize=7, clip_on=False)
    axes.set_ylim(top=top)
    return figure


def _reference(results: Results, sweep: Sweep) -> float | None:
    """The mean test error of the study's reference, if it is outside of the sweep."""
    name = contrasts.reference(results)
    if name in [row.activation for row in sweep.rows]:
        return None
    rows = [row for row in summary.rows(results) if row.activation == name]
    return rows[0].test_error.mean if rows and rows[0].test_error is not None else None


def heat_map(sweep: Sweep) -> Figure:
    """The mean test error over two hyperparameters, with its value in every cell."""
    axes_values = [sorted({values[i] for values in sweep.values}) for i in range(2)]
    columns, lines = axes_values
    errors = {
        values: math.nan if row.test_error is None else row.test_error.mean
        for values, row in zip(sweep.values, sweep.rows, strict=True)
    }
    table = [[errors.get((x, y), math.nan) for x in columns] for y in lines]
    figure, axes = figures.figure(WIDTH, 1.4 + 0.36 * len(lines))
    axes.grid(visible=False)
    image = axes.imshow(table, origin="lower", aspect="auto", cmap="viridis_r")
    finite = [error for error in errors.values() if math.isfinite(error)]
    middle = (min(finite) + max(finite)) / 2 if finite else 0.0
    for (x, y), error in errors.items():
        place = (columns.index(x), lines.index(y))
        text = "×" if math.isnan(error) else f"{100 * error:.3g}"
        shade = ON_DARK if error > middle else ON_LIGHT
        axes.annotate(text, place, ha="center", va="center", fontsize=8, color=shade)
    axes.set_xticks(range(len(columns)), [f"{x:.3g}" for x in columns])
    axes.set_yticks(range(len(lines)), [f"{y:.3g}" for y in lines])
    axes.set_xlabel(sweep.names[0].replace("_", " "))
    axes.set_ylabel(sweep.names[1].replace("_", " "))
    bar = figure.colorbar(image, ax=axes, format=percent())
    bar.set_label("test error", color=INK, fontsize=9)
    return figure
