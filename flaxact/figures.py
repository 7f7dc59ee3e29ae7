"""The common style of flaxact's matplotlib figures."""

from __future__ import annotations

import functools
import io
import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from flaxact import _packages

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito's palette (2008), told apart with any color vision; markers repeat the distinction.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")
INK = "#333333"
GRID = "#dddddd"
PAPER = "#ffffff"
WIDTH = 4.8  # inches of a figure whose text is still read where a phone's screen is its width
_ROW = 0.19  # inches of a line of a legend
_LETTER = 5.6  # points of a legend's letter, in the widest of the fonts that readers have

Style = dict[str, Any]  # keyword arguments of matplotlib's ``plot``


def style(number: int) -> Style:
    """The style of the curve with this number in a plot; 64 curves all differ in color or marker.

    Any eight in a row differ in color. Curves of the same color differ in marker, and mostly in
    dash.

    >>> len({(s["color"], s["marker"]) for s in map(style, range(64))})
    64
    >>> style(0), style(8)["linestyle"]
    ({'color': '#0072B2', 'marker': 'o', 'linestyle': '-'}, '--')
    """
    again, place = divmod(number, len(COLORS))
    return {
        "color": COLORS[place],
        "marker": MARKERS[(place + again) % len(MARKERS)],
        "linestyle": DASHES[again % len(DASHES)],
    }


@functools.cache
def _shown_figure() -> type[Figure]:
    """A figure of matplotlib that a notebook shows without ``%matplotlib inline`` too."""
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
            return rendered(self, "png"), {"width": round(96 * float(self.get_size_inches()[0]))}

    return ShownFigure


@_packages.explained()
def figure(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, Any]:
    """A figure of this size in inches, with ``columns`` axes in a row, or ``rows`` axes in a column."""
    fig = _shown_figure()(figsize=(width, height), layout="constrained")
    grid = fig.subplots(rows, columns, sharex=rows > 1)
    for axes in [grid] if rows * columns == 1 else grid.flat:
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9, colors=INK)
        for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
            text.set(color=INK, fontsize=10)
    return fig, grid


def legend_below(figure: Figure, axes: Axes) -> None:
    """Put a legend below a figure and enlarge the figure, so that the axes keep their size."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    width, height = figure.get_size_inches()
    columns = _columns([len(label) for label in labels], 72 * float(width))
    figure.set_size_inches(width, height + _ROW * math.ceil(len(labels) / columns))
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handlelength=2.6,
        columnspacing=1.0,
        handletextpad=0.5,
        labelspacing=0.3,
        borderpad=0.1,
    )


def _columns(letters: Sequence[int], room: float) -> int:
    """The number of legend columns, filled one after the other, that fit a width in points; at most 4.

    >>> _columns([4, 4, 4, 4], 345), _columns([4, 40, 4, 40], 345), _columns([4, 4, 30, 30], 345)
    (4, 1, 2)
    """
    for columns in range(min(4, len(letters)), 1, -1):
        rows, longer = divmod(len(letters), columns)  # so many columns have a row more
        starts = [i * rows + min(i, longer) for i in range(columns + 1)]
        widest = (max(letters[a:b]) for a, b in itertools.pairwise(starts))
        if sum(_LETTER * count + 40 for count in widest) <= room:
            return columns
    return 1


def percent() -> Callable[..., Any]:
    """A formatter of fractions as percentages."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{100 * value:.3g}%")


def finite_heights(axes: Axes) -> list[float]:
    """The finite y values of a plot's lines."""
    values = (float(y) for line in axes.lines for y in line.get_ydata())  # type: ignore[union-attr]
    return [y for y in values if math.isfinite(y)]


def is_wide(values: Iterable[float], factor: float) -> bool:
    """Whether the positive finite values span more than a factor, so that a log scale shows them better.

    >>> is_wide([1, 3, math.nan], 5), is_wide([1, 30], 5), is_wide([0, -1], 5), is_wide([0, 1], 5)
    (False, True, False, False)
    """
    positive = [value for value in values if 0 < value < math.inf]
    return bool(positive) and max(positive) > factor * min(positive)


def log_where_wide(axes: Axes, factor: float = 20.0) -> None:
    """Use a log scale along y if no value is negative and the positive ones span more than a factor."""
    values = finite_heights(axes)
    if is_wide(values, factor) and min(values) >= 0:
        axes.set_yscale("log", nonpositive="mask")


def log_on_both_sides_where_wide(axes: Axes) -> None:
    """Use a symmetric log scale along y if the absolute values span more than a factor of 20.

    It is linear up to a hundredth of the largest, so values near 0 appear at 0.
    """
    sizes = [abs(value) for value in finite_heights(axes)]
    if not is_wide(sizes, 20):
        return
    last = math.floor(math.log10(max(sizes)))
    ticks = [10.0**power for power in (last - 1, last)]
    axes.set_yscale("symlog", linthresh=10.0 ** (last - 2))
    signs = {
        math.copysign(1, value) for value in finite_heights(axes) if abs(value) > ticks[0] / 10
    }
    axes.set_yticks([0.0, *(sign * tick for sign in sorted(signs) for tick in ticks)])
    axes.minorticks_off()


def error_axis(axes: Axes, label: str) -> None:
    """Show errors along y in percent, within 0% and 100%; on a log scale if they span a factor of 5."""
    from matplotlib.ticker import LogLocator, NullFormatter

    values = finite_heights(axes)
    axes.set_ylabel(label)
    if is_wide(values, 5) and min(values) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 1.0))
    axes.yaxis.set_major_formatter(percent())


def site_axis(axes: Axes, sites: Sequence[str]) -> None:
    """Label sites along x, vertically; of many sites only some, so that labels don't overlap."""
    width = axes.figure.get_size_inches()[0]  # type: ignore[union-attr]
    every = max(1, math.ceil(len(sites) / max(1.0, 5.0 * (width - 1.0))))
    axes.set_xticks(range(0, len(sites), every), sites[::every], rotation=90, fontsize=9)


def rendered(figure: Figure, kind: str) -> bytes:
    """A figure as SVG or PNG bytes, deterministic."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    # Text as text: smaller, searchable, and in the reader's own font.
    with mpl.rc_context({"svg.hashsalt": "flaxact", "svg.fonttype": "none"}):
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    content = buffer.getvalue()
    return _PATH.sub(_rounded, content) if kind == "svg" else content


_PATH = re.compile(rb'(?<= d=")[^"]*')
_NUMBER = re.compile(rb"-?\d+\.\d+")


def _rounded(path: re.Match[bytes]) -> bytes:
    """An SVG path with coordinates rounded to hundredths of a point, about half as long."""
    return _NUMBER.sub(lambda number: b"%g" % round(float(number[0]), 2), path[0])
