"""Plots of diagnostics: from a result to a matplotlib figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flaxact import figures
from flaxact.activations import Activation, get
from flaxact.diagnostics.measures import label as measure_label
from flaxact.figures import COLORS, INK, MARKERS, WIDTH, figure
from flaxact.quadrature import evaluate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
from flaxact._lazy import listing

__dir__ = listing(__name__)

SHADES = "viridis"


def layers_by_epoch(rows: Sequence[Mapping[str, Any]], measure: str, member: int = 0) -> Figure:
    """A heat map of a measure: sites as rows, probes as columns.

    Args:
      rows: the rows that ``flaxact.diagnostics.record.read`` returns; columns are labeled by
        "epoch" if present.
      measure: name of the measure.
      member: index of the net, among those that were trained together.
    """
    sites = list(rows[0]["sites"])
    values = np.array(
        [[row["sites"][site][measure][member] for row in rows] for site in sites], dtype=float
    )
    fig, axes = figure(WIDTH, 1.1 + 0.2 * max(3, len(sites)))
    axes.grid(visible=False)
    image = axes.imshow(
        values, aspect="auto", cmap=SHADES, interpolation="nearest", norm=_shading(values)
    )
    axes.set_yticks(range(len(sites)), sites)
    every = -(-len(rows) // 8)
    unit = "epoch" if "epoch" in rows[0] else "step"
    axes.set_xticks(range(0, len(rows), every), [row[unit] for row in rows[::every]])
    axes.set_xlabel(unit)
    axes.set_title(measure_label(measure), loc="left")
    fig.colorbar(image, ax=axes).ax.tick_params(labelsize=9, colors=INK)
    return fig


def _shading(values: np.ndarray) -> Normalize:
    """A log scale for values that span more than a factor of 20, with 0 left blank; else linear."""
    from matplotlib.colors import LogNorm, Normalize

    finite = values[np.isfinite(values)]
    if not len(finite):
        return Normalize(0, 1)
    if figures.is_wide(finite, 20) and finite.min() >= 0:
        return LogNorm(finite[finite > 0].min(), finite.max())
    return Normalize(finite.min(), finite.max())


def ridgelines(
    values: Mapping[str, np.typing.ArrayLike], label: str = "input of the activation"
) -> Figure:
    """Histograms of each site's values, stacked with the first site on top.

    Args:
      values: arrays of any shape by site, such as the ``pre`` of ``capture(...).sites``.
      label: label of the horizontal axis.
    """
    flat = {site: np.ravel(np.asarray(array, float)) for site, array in values.items()}
    flat = {site: array[np.isfinite(array)] for site, array in flat.items()}
    ends = [np.quantile(array, [0.001, 0.999]) for array in flat.values() if len(array)]
    low, high = (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 1.0)
    edges = np.linspace(low, high, 81)
    fig, axes = figure(WIDTH, 0.8 + 0.3 * len(flat))
    for i, array in enumerate(flat.values()):
        height, _ = np.histogram(array, edges, density=len(array) > 0)
        base = len(flat) - 1 - i
        top = base + 1.3 * height / max(height.max(), 1e-30)
        middle = (edges[1:] + edges[:-1]) / 2
        axes.fill(
            [low, *middle, high],
            [base, *top, base],
            facecolor=f"{COLORS[0]}99",
            edgecolor=INK,
            linewidth=0.7,
            zorder=i,
        )
    axes.set_yticks(range(len(flat)), list(flat)[::-1], verticalalignment="bottom")
    axes.axvline(0, color=INK, linewidth=0.6, linestyle=":")
    axes.set_xlabel(label)
    return fig


def predicted_and_measured(
    predicted: Mapping[str, Mapping[str, float | None]],
    measured: Mapping[str, Mapping[str, float | None]],
    measure: str,
) -> Figure:
    """A measure over depth: the theory as a line, the measurement as points.

    Args:
      predicted: values by site and measure.
      measured: values by site and measure, in the order of the data.
      measure: name of the measure; sites without it are left out.
    """
    sites = list(measured)
    fig, axes = figure(WIDTH, 3.2)
    for by_site, style, name in (
        (predicted, {"linestyle": "-", "color": COLORS[1]}, "theory"),
        (measured, {"linestyle": "", "marker": MARKERS[0], "color": COLORS[0]}, "measured"),
    ):
        ys = np.array([by_site.get(site, {}).get(measure) for site in sites], float)
        axes.plot(range(len(sites)), ys, label=name, **style)
    _finish(fig, axes, sites, measure)
    return fig


def _finish(figure: Figure, axes: Axes, sites: Sequence[str], measure: str) -> None:
    """Axes and legend of a plot of a measure over sites."""
    figures.site_axis(axes, sites)
    axes.set_ylabel(measure_label(measure))
    figures.log_where_wide(axes)
    figures.legend_below(figure, axes)


def over_depth(
    curves: Mapping[str, Mapping[str, Mapping[str, float | None]]], measure: str
) -> Figure:
    """A measure over the sites, with one line per net.

    Args:
      curves: values by net, site and measure; sites in the order of the data.
      measure: name of the measure; sites at which it is None are left out.
    """
    sites = list(dict.fromkeys(site for by_site in curves.values() for site in by_site))
    fig, axes = figure(WIDTH, 3.2)
    for i, (name, by_site) in enumerate(curves.items()):
        ys = [by_site.get(site, {}).get(measure) for site in sites]
        plotted = [np.nan if y is None else y for y in ys]
        axes.plot(range(len(sites)), plotted, label=name, **figures.style(i), markersize=5)
    _finish(fig, axes, sites, measure)
    return fig


def phase_diagram(
    activation: str | Activation, weight_stds: Sequence[float], bias_stds: Sequence[float]
) -> Figure:
    """χ₁ of a wide random net over σ_w and σ_b, with the edge of chaos.

    Signals move apart where χ₁ > 1 and merge where χ₁ < 1. χ₁ is taken at the fixed point of the
    second moment; where that is infinite, the diagram is white.

    Args:
      activation: a pointwise activation.
      weight_stds: the grid along σ_w.
      bias_stds: the grid along σ_b.

    Raises:
      InputError: as ``flaxact.theory.chi_1``.
    """
    from flaxact.theory import chi_1, fixed_point

    limits = [[fixed_point(activation, w, b) for w in weight_stds] for b in bias_stds]
    values = np.array(
        [
            [
                chi_1(activation, w, max(q, 1e-12)) if np.isfinite(q) else np.nan
                for w, q in zip(weight_stds, row, strict=True)
            ]
            for row in limits
        ]
    )
    fig, axes = figure(5.6, 4.2)
    axes.grid(visible=False)
    shades = axes.pcolormesh(
        weight_stds,
        bias_stds,
        np.log2(np.clip(values, 1 / 8, 8)),
        cmap="RdBu_r",
        vmin=-3,
        vmax=3,
        shading="nearest",
    )
    if np.nanmin(values) < 1 < np.nanmax(values):
        axes.contour(weight_stds, bias_stds, values, levels=[1.0], colors=INK, linewidths=1.5)
    axes.set_xlabel("σ_w")
    axes.set_ylabel("σ_b")
    axes.set_title(f"{get(activation)}: χ₁, and the edge of chaos", fontsize=10, color=INK)
    bar = fig.colorbar(shades, ax=axes, ticks=range(-3, 4))
    bar.ax.set_yticklabels(["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    return fig


def card(activation: str | Activation, low: float = -4.0, high: float = 4.0) -> Figure:
    """A pointwise activation, its derivative and its second derivative, side by side."""
    import jax
    import jax.numpy as jnp

    act = get(activation)
    x = np.linspace(low, high, 801)

    def derivative(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]

    functions = (act, derivative(act), derivative(derivative(act)))
    fig, grid = figure(9.0, 2.8, 3)
    for axes, function, title in zip(grid, functions, ("f", "f′", "f″"), strict=True):
        y = evaluate(function, x)
        jumps = np.abs(np.diff(y)) > 0.3 * max(1e-12, np.ptp(y))
        y[1:][jumps] = np.nan  # no line through a jump
        axes.plot(x, y, color=COLORS[0])
        axes.axhline(0, color=INK, linewidth=0.6)
        axes.axvline(0, color=INK, linewidth=0.6)
        axes.set_title(f"{title} of {act}" if title == "f" else title, fontsize=10, color=INK)
    return fig
