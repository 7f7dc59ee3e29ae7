"""The plots of a study: results in, a matplotlib figure out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING

from flaxact import figures
from flaxact.figures import INK, PAPER, WIDTH, Style, percent
from flaxact.studies import contrasts, summary
from flaxact.studies._records import Chosen, Results
from flaxact.studies.summary import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BANDS = 8  # curves at most that are drawn with the range over seeds; of more, bands hide each other
HEIGHT = 2.7  # inches of the axes of a plot of curves


def training_error(results: Results) -> Figure:
    """Training error by epoch: the median over seeds, with a band from the lowest to the highest."""
    return _curves(results, "train_error", "training error", results.study.target_error)


def test_error(results: Results) -> Figure:
    """Test error by epoch from epoch 0: the median over seeds, with a band from lowest to highest."""
    return _curves(results, "test_error", "test error", None)


def final_test_error(results: Results) -> Figure:
    """Test error after the last epoch: one dot per seed, the mean and its 95% interval."""
    rows = [row for row in summary.rows(results) if row.test_error is not None]
    rows.sort(key=lambda row: -row.test_error.mean)  # type: ignore[union-attr]
    figure, axes = figures.figure(WIDTH, 0.8 + 0.24 * max(3, len(rows)))
    for y, row in enumerate(rows):
        color = activation_style(results, row.activation)["color"]
        last = [run.epochs[-1].test_error for run in row.runs if run.diverged_at is None]
        interval = row.test_error
        assert interval is not None
        axes.plot(last, [y] * len(last), "o", color=color, alpha=0.4, markersize=4)
        if math.isfinite(interval.low):
            axes.plot([interval.low, interval.high], [y, y], color=color, linewidth=2)
        axes.plot(interval.mean, y, "|", color=color, markersize=10, markeredgewidth=2.5)
    axes.set_yticks(range(len(rows)), [activation_label(results, row.activation) for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, 0.0), min(high, 1.0))
    axes.set_xlabel("test error after the last epoch")
    axes.xaxis.set_major_formatter(percent())
    axes.grid(axis="y", visible=False)
    return figure


def differences(results: Results) -> Figure:
    """Test error minus the reference's: one dot per seed, the mean and its 95% interval."""
    shown = [c for c in contrasts.to_reference(results) if c.paired is not None]
    shown.sort(key=lambda c: -c.paired.difference.mean)  # type: ignore[union-attr]
    base = contrasts.reference(results)
    rows = {row.activation: contrasts.last_errors(row) for row in summary.rows(results)}
    figure, axes = figures.figure(WIDTH, 0.8 + 0.24 * max(3, len(shown)))
    axes.axvline(0, color=INK, linewidth=1)
    for y, contrast in enumerate(shown):
        color = activation_style(results, contrast.activation)["color"]
        errors = rows[contrast.activation]
        values = [errors[seed] - rows[base][seed] for seed in errors if seed in rows[base]]
        mean, low, high = contrasts.ends(contrast.paired.difference)  # type: ignore[union-attr]
        axes.plot(values, [y] * len(values), "o", color=color, alpha=0.4, markersize=4)
        if math.isfinite(low):
            axes.plot([low, high], [y, y], color=color, linewidth=2)
        face = color if contrast.apart else PAPER
        axes.plot(mean, y, "D", color=color, markerfacecolor=face, markersize=7)
    axes.set_yticks(range(len(shown)), [activation_label(results, c.activation) for c in shown])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlabel(f"test error less {activation_label(results, base)}'s")
    axes.xaxis.set_major_formatter(percent())
    axes.grid(axis="y", visible=False)
    return figure


def learning_rates(results: Results) -> Figure:
    """The error by learning rate, with the chosen rate as a filled marker.

    With a search, this is the last validation error of each rate, with a line through the rates
    that were trained to the end. Without a search, it is the mean training error of the last epoch
    over seeds.
    """
    figure, axes = figures.figure(WIDTH, HEIGHT + 0.4)
    best_rates = {row.activation: row.learning_rate for row in summary.rows(results)}
    for activation in results.study.activations if not results.tuned else ():
        points = []
        for rate in sorted(results.study.learning_rates):
            runs = summary.runs_of(results, activation, rate)
            last = [r.epochs[-1].train_error for r in runs if r.diverged_at is None]
            if last:
                points.append((rate, statistics.fmean(last)))  # type: ignore[arg-type]
        if not points:
            continue
        style = activation_style(results, activation)
        xs, ys = zip(*points, strict=True)
        axes.plot(
            xs, ys, **style, markerfacecolor=PAPER, label=activation_label(results, activation)
        )
        best = dict(points).get(best_rates[activation])
        if best is not None:
            axes.plot(best_rates[activation], best, **style, markersize=8)
    tried = {rate.rate for tuned in results.tuned.values() for rate in tuned.rates}
    for activation, outcome in results.tuned.items():
        _search_curve(
            axes,
            outcome,
            activation_style(results, activation),
            activation_label(results, activation),
        )
    shown = sorted(tried or results.study.learning_rates)
    rates = [f"{rate:g}" for rate in shown]
    axes.set_xscale("log")
    axes.set_xticks(shown, rates, rotation=90 if sum(map(len, rates)) > 30 else 0)
    axes.minorticks_off()
    axes.set_xlabel("learning rate")
    label = "validation error" if results.tuned else "training error, last epoch"
    figures.error_axis(axes, label)
    figures.legend_below(figure, axes)
    return figure


def _search_curve(axes: Axes, outcome: Chosen, style: Style, label: str) -> None:
    """A search's errors: those that reached the end on a line, those that were dropped before as dots."""
    longest = max(rate.epochs for rate in outcome.rates)
    finite = [
        (rate.rate, rate.score[1], rate.epochs) for rate in outcome.rates if not rate.score[0]
    ]
    last = [(rate, error) for rate, error, epochs in finite if epochs == longest]
    dropped = [(rate, error) for rate, error, epochs in finite if epochs < longest]
    if last:
        axes.plot(*zip(*last, strict=True), **style, markerfacecolor=PAPER, label=label)
    faint = {**style, "linestyle": ""}
    if dropped:
        axes.plot(*zip(*dropped, strict=True), **faint, markerfacecolor=PAPER, alpha=0.4)
    if outcome.best in dict(last):
        axes.plot(outcome.best, dict(last)[outcome.best], **faint, markersize=8)


def layers(results: Results) -> Figure:
    """Mean, variance and share of zeros of each site's output: hollow before training, filled after."""
    rows = summary.rows(results)
    panels = {
        "mean": "mean of the outputs", "variance": "variance of the outputs",
        "zeros": "share of outputs that are exactly 0",
    }  # fmt: skip
    sites = [layer["site"] for layer in summary.layer_rows(rows[0])] if rows else []
    names = 0.08 * max(map(len, sites), default=0)
    figure, grid = figures.figure(WIDTH, 3 * 1.8 + names, rows=3)
    for axes, (name, title) in zip(grid, panels.items(), strict=True):
        for row in rows:
            _layer_panel(axes, results, row, name)
        axes.set_title(title)
    figures.log_on_both_sides_where_wide(grid[0])
    figures.log_where_wide(grid[1], factor=5)
    grid[2].yaxis.set_major_formatter(percent())
    grid[2].set_ylim(-0.03, 1.03)
    figures.site_axis(grid[2], sites)
    figures.legend_below(figure, grid[2])
    return figure


def _layer_panel(axes: Axes, results: Results, row: Row, name: str) -> None:
    style = activation_style(results, row.activation)
    for when, face, dash in (
        ("initial", PAPER, ":"),
        ("final", style["color"], style["linestyle"]),
    ):
        values = [layer[f"{when}_{name}"] for layer in summary.layer_rows(row)]
        shown = [math.nan if value is None else value for value in values]
        label = activation_label(results, row.activation) if when == "final" else None
        axes.plot(
            shown,
            **{**style, "linestyle": dash},
            markerfacecolor=face,
            label=label,
            linewidth=1.2,
            markersize=5,
        )


def _curves(results: Results, metric: str, label: str, target: float | None) -> Figure:
    rows = summary.rows(results)
    figure, axes = figures.figure(WIDTH, HEIGHT + (0.4 if len(rows) <= BANDS else 1.4))
    for row in rows:
        style = activation_style(results, row.activation)
        points = summary.by_epoch(row, metric)
        xs = list(points)
        values = list(points.values())
        if len(rows) <= BANDS:
            lowest = list(map(min, values))
            highest = list(map(max, values))
            axes.fill_between(xs, lowest, highest, color=style["color"], alpha=0.15, linewidth=0)
        name = activation_label(results, row.activation)
        name += f", rate {row.learning_rate:g}" * (len(rows) <= BANDS)
        axes.plot(xs, list(map(statistics.median, values)), **style, markersize=4, label=name)
    if target is not None:
        axes.axhline(target, color=INK, linestyle="--", linewidth=1)
        axes.annotate(
            f"target {100 * target:g}%",
            (0, target),
            (4, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=8,
            color=INK,
        )
    last = max([results.study.epochs, *results.study.epochs_of.values()])
    axes.set_xlim(-0.04 * last, 1.04 * last)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    figures.error_axis(axes, label)
    figures.legend_below(figure, axes)
    return figure


def activation_style(results: Results, activation: str) -> Style:
    """The color, marker and dash of an activation, the same in every plot."""
    return figures.style(results.study.activations.index(activation))


def activation_label(results: Results, activation: str) -> str:
    """A name as a label; a long name is shortened in the middle if labels stay distinct."""
    short = {name: _short(name) for name in results.study.activations}
    return short[activation] if len({*short.values()}) == len(short) else activation


def _short(name: str) -> str:
    return name if len(name) <= 30 else f"{name[:16]}…{name[-13:]}"


def all_plots(results: Results) -> dict[str, tuple[Figure, str]]:
    """Every plot that the results allow, by file name, with its caption."""
    seeds = len(results.study.seeds)
    shown = len(results.study.activations)
    line = f"the line is the median over {seeds} seeds" if seeds > 1 else "one seed"
    line += ", the band goes from the lowest to the highest" * (shown <= BANDS and seeds > 1)
    captions: dict[Callable[[Results], Figure], str] = {
        training_error: "Training error by epoch (running mean over the epoch's batches), each "
        f"activation at its own best learning rate; {line}.",
        test_error: f"Test error by epoch, 0 being before training; {line}.",
        final_test_error: "Test error after the last epoch: "
        + (
            "dots are seeds, the bar is their mean, the line its 95% Student-t interval, cut to the 0% "
            "to 100% that an error can be."
            if seeds > 1
            else "one seed."
        ),
        differences: f"Test error less that of {contrasts.reference(results)} on the same seed: dots are "
        "seeds, the line is the 95% interval of the mean; filled where the test, after Holm's "
        "correction, tells the two apart.",
        learning_rates: "Validation error at each learning rate of the search, on the tuning seed: rates "
        "on the line were trained to the end, faint ones were dropped after fewer epochs; filled is the "
        "rate chosen."
        if results.tuned
        else "Training error in the last epoch at each learning rate tried (mean over seeds); filled is "
        "the rate chosen.",
        layers: "What each activation gives out, site by site, on training images: dotted and "
        "hollow before training, filled after it.",
    }
    space = results.study.search
    if len(results.study.learning_rates) == 1 or (space is not None and space.names):
        del captions[learning_rates]
    if not any(contrast.paired for contrast in contrasts.to_reference(results)):
        del captions[differences]
    return {plot.__name__: (plot(results), caption) for plot, caption in captions.items()}
