"""What all our matplotlib figures have in common."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito's palette (2008), told apart with any colour vision; markers repeat the distinction.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK, GRID = "#333333", "#dddddd"


def figure(width: float, height: float, columns: int = 1) -> tuple[Figure, Any]:
    """A figure of so many inches, with its axes in a row."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    grid = made.subplots(1, columns)
    for axes in [grid] if columns == 1 else grid:
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9, colors=INK)
    return made, grid


def percent() -> Callable[..., Any]:
    """A formatter of fractions."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{100 * value:.3g}%")


def rendered(figure: Figure, kind: str) -> bytes:
    """A figure as SVG or PNG; the same bytes each time."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    # Text as text: smaller, searchable, and in the reader's own font.
    with mpl.rc_context({"svg.hashsalt": "flaxact", "svg.fonttype": "none"}):
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    return buffer.getvalue()
