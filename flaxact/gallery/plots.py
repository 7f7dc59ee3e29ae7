"""The explorer's two plots, without data, as JSON that BokehJS draws."""

from __future__ import annotations

import importlib
from typing import Any

from flaxact.stored.files import Json

# Bokeh is of the extra "explorer": imported by name, so that type checks pass without it.
_DASHES = ("solid", "dashed", "dotted")
_WIDTHS = (2.6, 2.0, 2.0)


def plots() -> list[dict[str, Json]]:
    """Two items for ``Bokeh.embed.embed_item``: the plot of the curves and the plot of the C-map.

    The page's script finds the objects that it fills with data by their names: ``lines-0`` to
    ``lines-2`` and ``maps`` (columns ``xs``, ``ys``, ``name``, ``color``), ``x`` (a vertical line:
    ``x`` and ``y``), the figures ``plot`` and ``map``, and the diagonal ``across``.
    """
    models = importlib.import_module("bokeh.models")
    embed = importlib.import_module("bokeh.embed")
    thin = {"line_alpha": 0.6, "line_dash": "dotted"}
    plot = _figure("plot", "x", "")
    for order, (dash, width) in enumerate(zip(_DASHES, _WIDTHS, strict=True)):
        _lines(plot, f"lines-{order}", dash, width)
    at_x = models.ColumnDataSource({"x": [], "y": []}, name="x")
    plot.line("x", "y", source=at_x, name="x-line", line_color="gray", **thin)
    c_map = _figure("map", "correlation before", "after (C-map)")
    c_map.x_range.update(start=-1, end=1)
    c_map.y_range.update(start=-1, end=1)
    _lines(c_map, "maps", "solid", 2.6)
    c_map.add_layout(models.Slope(name="across", gradient=1, y_intercept=0, **thin))
    return [dict(embed.json_item(plot, "plot")), dict(embed.json_item(c_map, "c-map"))]


def _figure(name: str, across: str, up: str) -> Any:
    plotting = importlib.import_module("bokeh.plotting")
    models = importlib.import_module("bokeh.models")
    # No tool is active at first, so that a finger scrolls the page.
    figure = plotting.figure(
        name=name,
        height=340,
        sizing_mode="stretch_width",
        tools="pan,box_zoom,wheel_zoom,reset",
        active_drag=None,
        active_scroll=None,
        toolbar_location="above",
        x_range=models.Range1d(-5, 5),
        y_range=models.Range1d(-2, 3),
        x_axis_label=across,
        y_axis_label=up or None,
        background_fill_color=None,
        border_fill_color=None,
    )
    figure.toolbar.logo = None
    return figure


def _lines(figure: Any, name: str, dash: str, width: float) -> None:
    models = importlib.import_module("bokeh.models")
    source = models.ColumnDataSource({"xs": [], "ys": [], "name": [], "color": []}, name=name)
    drawn = figure.multi_line(
        "xs", "ys", source=source, line_color="color", line_dash=dash, line_width=width
    )
    tip = models.HoverTool(renderers=[drawn], tooltips="@name: $x{0.000}, $y{0.000}")
    tip.update(line_policy="nearest", visible=False)
    figure.add_tools(tip)
