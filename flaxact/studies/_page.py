"""HTML pages in one file, from the templates in this folder."""

from __future__ import annotations

import importlib.resources
import re
from typing import TYPE_CHECKING

from flaxact.figures import GRID, INK, PAPER

if TYPE_CHECKING:
    from markupsafe import Markup


def page(template: str, **values: object) -> str:
    """Fill in a template; a missing value is an error."""
    import jinja2

    text = importlib.resources.files("flaxact.studies").joinpath(template).read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text).render(**values)


# The colors of a figure's text, lines and paper, as the variables of a page, which is light or dark.
OF_PAGE = {INK: "--ink", "#000000": "--ink", GRID: "--line", PAPER: "--paper"}


def inline(svg: str) -> Markup:
    """An SVG without its XML prologue, for use inside a page; matplotlib has escaped its text."""
    from markupsafe import Markup

    svg = svg[svg.index("<svg") :]
    for color, variable in OF_PAGE.items():
        svg = re.sub(rf"(fill|stroke): {color}\b", rf"\1: var({variable})", svg)
    return Markup(svg)
