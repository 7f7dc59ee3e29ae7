"""Pictures of what was measured: a result in, a matplotlib figure out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flaxact._figures import COLOURS, INK, MARKERS, figure
from flaxact.activations import Activation, get
from flaxact.activations._gaussian import evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHADES = "viridis"


def layers_by_epoch(rows: Sequence[Mapping[str, Any]], measure: str, member: int = 0) -> Figure:
    """A measure of every site (rows of the map) at every probe (columns).

    Args:
      rows: what ``flaxact.diagnostics.record.read`` gives; those with an "epoch" are told apart by it.
      measure: its name.
      member: of those that were trained together.
    """
    sites = list(rows[0]["sites"])
    values = np.array(
        [[row["sites"][site][measure][member] for row in rows] for site in sites], dtype=float
    )
    made, axes = figure(1.6 + 0.32 * max(8, len(rows)), 1.1 + 0.32 * len(sites))
    image = axes.imshow(values, aspect="auto", cmap=SHADES, interpolation="nearest")
    axes.grid(visible=False)
    axes.set_yticks(range(len(sites)), sites)
    every = max(1, len(rows) // 8)
    unit = "epoch" if "epoch" in rows[0] else "step"
    axes.set_xticks(range(0, len(rows), every), [row[unit] for row in rows[::every]])
    axes.set_xlabel(unit)
    made.colorbar(image, ax=axes, label=measure)
    return made


def ridgelines(values: Mapping[str, Any], label: str = "input of the activation") -> Figure:
    """Histograms of each site's values, one above the other, the first site on top.

    Args:
      values: arrays of any shape by site, as the ``pre`` of ``capture(...).sites``.
      label: of the horizontal axis.
    """
    flat = {site: np.ravel(np.asarray(array, float)) for site, array in values.items()}
    ends = np.array([np.quantile(array, [0.001, 0.999]) for array in flat.values()])
    edges = np.linspace(ends[:, 0].min(), ends[:, 1].max(), 121)
    made, axes = figure(7.2, 1.0 + 0.45 * len(flat))
    for i, (site, array) in enumerate(flat.items()):
        height, _ = np.histogram(array, edges, density=True)
        base = len(flat) - 1 - i
        top = base + 1.3 * height / max(height.max(), 1e-30)
        middle = (edges[1:] + edges[:-1]) / 2
        axes.fill_between(middle, base, top, color=COLOURS[0], alpha=0.6, linewidth=0, zorder=i)
        axes.plot(middle, top, color=INK, linewidth=0.7, zorder=i)
        axes.annotate(
            site, (edges[0], base), (2, 2), textcoords="offset points", fontsize=8, color=INK
        )
    axes.set_yticks([])
    axes.axvline(0, color=INK, linewidth=0.6, linestyle=":")
    axes.set_xlabel(label)
    return made


def predicted_and_measured(
    predicted: Mapping[str, Mapping[str, float | None]],
    measured: Mapping[str, Mapping[str, float | None]],
    measure: str,
) -> Figure:
    """A measure over depth: what theory expects as a line, what was measured as points.

    Args:
      predicted: by site and measure, and
      measured: likewise, in the order of the data.
      measure: its name; sites without it are left out.
    """
    sites = list(measured)
    made, axes = figure(2.2 + 0.35 * max(8, len(sites)), 3.4)
    for found, style, name in (
        (predicted, {"linestyle": "-", "color": COLOURS[1]}, "theory"),
        (measured, {"linestyle": "", "marker": MARKERS[0], "color": COLOURS[0]}, "measured"),
    ):
        ys = np.array([found.get(site, {}).get(measure) for site in sites], float)
        axes.plot(range(len(sites)), ys, label=name, **style)
    axes.set_xticks(range(len(sites)), sites, rotation=60, ha="right")
    axes.set_ylabel(measure)
    values = np.array([measured[site].get(measure) for site in sites], float)
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > 20 * values.min():
        axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=9)
    return made


def over_depth(
    curves: Mapping[str, Mapping[str, Mapping[str, float | None]]], measure: str
) -> Figure:
    """A measure from site to site, a line for each net.

    Args:
      curves: by the net's name, site and measure; sites in the order of the data.
      measure: its name; sites at which it is None are left out.
    """
    sites = list(dict.fromkeys(site for found in curves.values() for site in found))
    made, axes = figure(3.6 + 0.4 * max(8, len(sites)), 3.4)
    for i, (name, found) in enumerate(curves.items()):
        ys = [found.get(site, {}).get(measure) for site in sites]
        style = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}
        axes.plot(range(len(sites)), [np.nan if y is None else y for y in ys], label=name, **style)
    axes.set_xticks(range(len(sites)), sites, rotation=60, ha="right")
    axes.set_ylabel(measure)
    low, high = axes.dataLim.intervaly
    if 0 < 20 * low < high:
        axes.set_yscale("log")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    return made


def phase_diagram(
    activation: str | Activation, weight_stds: Sequence[float], bias_stds: Sequence[float]
) -> Figure:
    r"""Where signals of a wide random net drift apart (χ₁ > 1) or merge (χ₁ < 1), with the edge between.

    χ₁ at the second moment that depth leads to; white where that is infinite.

    Args:
      activation: a pointwise one.
      weight_stds: the grid along σ_w, and
      bias_stds: along σ_b.

    Raises:
      InputError: as ``flaxact.theory.chi_1``.
    """
    from flaxact.theory import chi_1, fixed_point

    limits = [[fixed_point(activation, w, b) for w in weight_stds] for b in bias_stds]
    values = np.array([
        [chi_1(activation, w, max(q, 1e-12)) if np.isfinite(q) else np.nan
         for w, q in zip(weight_stds, row, strict=True)]
        for row in limits
    ])  # fmt: skip
    made, axes = figure(5.6, 4.2)
    axes.grid(visible=False)
    shades = axes.pcolormesh(
        weight_stds, bias_stds, np.log2(np.clip(values, 1 / 8, 8)), cmap="RdBu_r", vmin=-3, vmax=3,
        shading="nearest",
    )  # fmt: skip
    if np.nanmin(values) < 1 < np.nanmax(values):
        axes.contour(weight_stds, bias_stds, values, levels=[1.0], colors=INK, linewidths=1.5)
    axes.set_xlabel("σ_w")
    axes.set_ylabel("σ_b")
    axes.set_title(f"{get(activation)}: χ₁, and the edge of chaos", fontsize=10, color=INK)
    bar = made.colorbar(shades, ax=axes, ticks=range(-3, 4))
    bar.ax.set_yticklabels(["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    return made


def card(activation: str | Activation, low: float = -4.0, high: float = 4.0) -> Figure:
    """A pointwise activation, its derivative and its second derivative, side by side."""
    import jax
    import jax.numpy as jnp

    act = get(activation)
    x = np.linspace(low, high, 801)

    def derivative(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]

    functions = (act, derivative(act), derivative(derivative(act)))
    made, grid = figure(9.0, 2.8, 3)
    for axes, function, title in zip(grid, functions, ("f", "f′", "f″"), strict=True):
        y = evaluate(function, x)
        jumps = np.abs(np.diff(y)) > 0.3 * max(1e-12, np.ptp(y))
        y[1:][jumps] = np.nan  # no line through a jump
        axes.plot(x, y, color=COLOURS[0])
        axes.axhline(0, color=INK, linewidth=0.6)
        axes.axvline(0, color=INK, linewidth=0.6)
        axes.set_title(f"{title} of {act}" if title == "f" else title, fontsize=10, color=INK)
    return made
