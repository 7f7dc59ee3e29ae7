"""The plots of a study: results in, a matplotlib figure out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING

from flaxact._figures import COLOURS, INK, MARKERS, percent
from flaxact._figures import figure as _figure
from flaxact._lazy import np
from flaxact.studies import summary
from flaxact.studies.summary import Results, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def training_error(results: Results) -> Figure:
    """Training error by epoch: the median over seeds, in a band from the lowest to the highest."""
    return _curves(results, "train_error", "training error", results["study"]["target_error"])


def test_error(results: Results) -> Figure:
    """Test error by epoch: the median over seeds, in a band from the lowest to the highest."""
    return _curves(results, "test_error", "test error", None)


def final_test_error(results: Results) -> Figure:
    """Test error after the last epoch: a dot a seed, the mean and its 95% interval."""
    rows = [row for row in summary.rows(results) if row.test_error is not None]
    rows.sort(key=lambda row: -row.test_error.mean)  # type: ignore[union-attr]
    figure, axes = _figure(7.2, 0.9 + 0.42 * max(1, len(rows)))
    for y, row in enumerate(rows):
        colour, _ = _style(results, row.activation)
        last = [run["epochs"][-1]["test_error"] for run in row.runs if run["diverged_at"] is None]
        interval = row.test_error
        assert interval is not None
        axes.plot(last, [y] * len(last), "o", color=colour, alpha=0.4, markersize=4)
        if math.isfinite(interval.low):
            low = max(interval.low, 0.0)
            axes.plot([low, interval.high], [y, y], color=colour, linewidth=2)
        axes.plot(interval.mean, y, "|", color=colour, markersize=14, markeredgewidth=2.5)
    axes.set_yticks(range(len(rows)), [row.activation for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("test error after the last epoch")
    axes.xaxis.set_major_formatter(percent())
    axes.grid(axis="y", visible=False)
    return figure


def learning_rates(results: Results) -> Figure:
    """Training error in the last epoch by learning rate, mean over seeds; the chosen one filled."""
    figure, axes = _figure(7.2, 3.6)
    chosen = {row.activation: row.learning_rate for row in summary.rows(results)}
    for activation in results["study"]["activations"]:
        points = []
        for rate in sorted(results["study"]["learning_rates"]):
            runs = summary.runs_of(results, activation, rate)
            last = [r["epochs"][-1]["train_error"] for r in runs if r["diverged_at"] is None]
            if last:
                points.append((rate, statistics.fmean(last)))
        if not points:
            continue
        colour, marker = _style(results, activation)
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, marker=marker, color=colour, markerfacecolor="white", label=activation)
        best = dict(points).get(chosen[activation])
        if best is not None:
            axes.plot(chosen[activation], best, marker=marker, color=colour, markersize=8)
    axes.set_xscale("log")
    axes.set_xticks(results["study"]["learning_rates"])
    axes.set_xticklabels([f"{rate:g}" for rate in results["study"]["learning_rates"]])
    axes.minorticks_off()
    axes.set_xlabel("learning rate")
    _error_axis(axes, "training error, last epoch")
    _legend(axes)
    return figure


def layers(results: Results) -> Figure:
    """Mean, variance and share of zeros of each site's output: before training hollow, after filled."""
    rows = summary.rows(results)
    panels = (("mean", "mean"), ("variance", "variance"), ("zeros", "share of exact zeros"))
    figure, grid = _figure(9.6, 3.6, columns=3)
    for axes, (name, title) in zip(grid, panels, strict=True):
        for row in rows:
            _layer_panel(axes, results, row, name)
        sites = [layer["site"] for layer in summary.layer_rows(rows[0])] if rows else []
        axes.set_xticks(range(len(sites)), sites)
        axes.set_title(title, fontsize=10, color=INK)
    grid[0].set_yscale("symlog", linthresh=0.01)
    grid[1].set_yscale("log")
    grid[2].yaxis.set_major_formatter(percent())
    grid[2].set_ylim(-0.03, 1.03)
    _legend(grid[2])
    return figure


INNER = ("mean_to_std", "zeros", "saturated_high", "slope_second_moment", "gradient_norm")


def inner(results: Results, row: Row) -> dict[str, Figure]:
    """By caption: measures layer by epoch, and the inputs of each site, of a row's first seed."""
    from flaxact.diagnostics import pictures
    from flaxact.diagnostics.measures import LEVELS
    from flaxact.diagnostics.measures import summary as meaning

    first, found = row.runs[0], {}
    rows = [
        {"epoch": probe["epoch"], "sites": {
            site: {name: [value] for name, value in measures.items()}
            for site, measures in probe["sites"].items()
        }}
        for probe in first["probes"]
    ]  # fmt: skip
    for name in INNER:
        values = [m[name] for probe in first["probes"] for m in probe["sites"].values()]
        if any(values):  # not nothing but None and zeros
            found[f"{name}, by epoch: {meaning(name)}"] = pictures.layers_by_epoch(rows, name)
    inputs = {site: v for site, v in first["inputs"].items() if None not in v}
    if inputs:
        even = np.linspace(LEVELS[0], LEVELS[-1], 2000)
        spread = {site: np.interp(even, LEVELS, values) for site, values in inputs.items()}
        found["Inputs of every activation after the last epoch."] = pictures.ridgelines(spread)
    return found


def _layer_panel(axes: Axes, results: Results, row: Row, name: str) -> None:
    colour, marker = _style(results, row.activation)
    for when, face in (("initial", "white"), ("final", colour)):
        values = [layer[f"{when}_{name}"] for layer in summary.layer_rows(row)]
        shown = [math.nan if value is None else value for value in values]
        label = row.activation if when == "final" else None
        style = "-" if when == "final" else ":"
        axes.plot(
            shown, style, marker=marker, color=colour, markerfacecolor=face, label=label,
            linewidth=1.2, markersize=5,
        )  # fmt: skip


def _curves(results: Results, metric: str, label: str, target: float | None) -> Figure:
    figure, axes = _figure(7.2, 4.0)
    for row in summary.rows(results):
        colour, marker = _style(results, row.activation)
        curves = [summary.curve(run, metric) for run in row.runs]
        epochs = [[v for v in values if v is not None] for values in zip(*curves, strict=False)]
        epochs = [values for values in epochs if values]
        xs = range(1, len(epochs) + 1)
        medians = [statistics.median(values) for values in epochs]
        axes.fill_between(
            xs, list(map(min, epochs)), list(map(max, epochs)), color=colour, alpha=0.15,
            linewidth=0,
        )  # fmt: skip
        name = f"{row.activation}, rate {row.learning_rate:g}"
        axes.plot(xs, medians, marker=marker, color=colour, markersize=4, label=name)
    if target is not None:
        axes.axhline(target, color=INK, linestyle="--", linewidth=1)
        axes.annotate(
            f"target {100 * target:g}%", (0, target), (4, 3), xycoords=("axes fraction", "data"),
            textcoords="offset points", fontsize=8, color=INK,
        )  # fmt: skip
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    _error_axis(axes, label)
    _legend(axes)
    return figure


def _error_axis(axes: Axes, label: str) -> None:
    """Errors in percent; on a log scale where they span more than a factor of five."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axes.dataLim.intervaly
    axes.set_ylabel(label)
    if 0 < low < high < math.inf and high / low > 5:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(percent())


def _style(results: Results, activation: str) -> tuple[str, str]:
    index = results["study"]["activations"].index(activation)
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            fontsize=9,
            handlelength=1.8,
        )


def all_plots(results: Results) -> dict[str, tuple[Figure, str]]:
    """Every plot that the results allow, by file name, with its caption."""
    seeds = len(results["study"]["seeds"])
    band = "the line is the median, the band goes from the lowest to the highest"
    captions: dict[Callable[[Results], Figure], str] = {
        training_error: "Training error by epoch (running mean over the epoch's batches), each "
        f"activation at its own best learning rate; over {seeds} seed(s), {band}.",
        test_error: f"Test error by epoch; over {seeds} seed(s), {band}.",
        final_test_error: "Test error after the last epoch: dots are seeds, the bar is their mean, "
        "the line its 95% Student-t interval (cut at 0).",
        learning_rates: "Training error in the last epoch at each learning rate tried (mean over "
        "seeds); filled is the rate chosen.",
        layers: "What each activation gives out, site by site, on training images: dotted and "
        "hollow before training, solid and filled after it.",
    }
    if len(results["study"]["learning_rates"]) == 1:
        del captions[learning_rates]
    return {plot.__name__: (plot(results), caption) for plot, caption in captions.items()}
