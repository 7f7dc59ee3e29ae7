"""The explorer's two plots, without data, as what Bokeh's script in the page makes them from."""

from __future__ import annotations

from typing import Any

_DASHES = ("solid", "dashed", "dotted")
_WIDTHS = (2.6, 2.0, 2.0)


def plots() -> list[dict[str, Any]]:
    """Two items for ``Bokeh.embed.embed_item``: of the curves, and of the C-map.

    The page finds by name what it fills: ``lines-0`` to ``lines-2`` and ``maps`` (columns ``xs``, ``ys``,
    ``name``, ``color``), the figures ``plot`` and ``map``, and the spans ``x``, ``zero`` and ``across``.
    """
    from bokeh.embed import json_item
    from bokeh.models import Slope, Span

    plot = _figure("plot", "x", "")
    for order, (dash, width) in enumerate(zip(_DASHES, _WIDTHS, strict=True)):
        _lines(plot, f"lines-{order}", dash, width)
    plot.add_layout(Span(name="x", location=1, dimension="height", line_dash=[3, 3], line_alpha=0.6))
    plot.add_layout(Span(name="zero", location=0, dimension="width", line_alpha=0.6))
    c_map = _figure("map", "correlation before", "after (C-map)")
    c_map.x_range.update(start=-1, end=1)
    c_map.y_range.update(start=-1, end=1)
    _lines(c_map, "maps", "solid", 2.6)
    c_map.add_layout(Slope(name="across", gradient=1, y_intercept=0, line_dash=[3, 3], line_alpha=0.6))
    return [_as_item(json_item, plot, "plot"), _as_item(json_item, c_map, "c-map")]


def _as_item(json_item: Any, figure: Any, target: str) -> dict[str, Any]:
    item = dict(json_item(figure, target))
    return item | {"target_id": target}


def _figure(name: str, across: str, up: str) -> Any:
    from bokeh.models import Range1d
    from bokeh.plotting import figure

    # No tool is active at first, so that a finger scrolls the page.
    made = figure(
        name=name,
        height=340,
        sizing_mode="stretch_width",
        tools="pan,box_zoom,wheel_zoom,reset",
        active_drag=None,
        active_scroll=None,
        toolbar_location="above",
        x_range=Range1d(-5, 5),
        y_range=Range1d(-2, 3),
        x_axis_label=across,
        y_axis_label=up or None,
        background_fill_color=None,
        border_fill_color=None,
    )
    made.toolbar.logo = None
    return made


def _lines(figure: Any, name: str, dash: str, width: float) -> None:
    from bokeh.models import ColumnDataSource, HoverTool

    source = ColumnDataSource({"xs": [], "ys": [], "name": [], "color": []}, name=name)
    drawn = figure.multi_line(
        "xs", "ys", source=source, line_color="color", line_dash=dash, line_width=width
    )
    figure.add_tools(
        HoverTool(renderers=[drawn], tooltips="@name: $x{0.000}, $y{0.000}", line_policy="nearest", visible=False)
    )
