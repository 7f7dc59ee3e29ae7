"""Pages of one file, from the templates beside this one."""

from __future__ import annotations

import importlib.resources
from typing import Any


def page(template: str, **values: Any) -> str:
    """A template filled in; what is not said is an error."""
    import jinja2

    text = importlib.resources.files("flaxact.studies").joinpath(template).read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text).render(**values)


def inline(svg: str) -> Any:
    """An SVG for inside a page, which has a prologue of its own; matplotlib has escaped its text."""
    from markupsafe import Markup

    return Markup(svg[svg.index("<svg") :])
