"""An activation as a card for a notebook: its graph, its formula and its facts, as HTML."""

from __future__ import annotations

import functools
import html
import math
import re

from flaxact.activations import Activation, get
from flaxact.activations._describe import known
from flaxact.facts import computed
from flaxact.gallery.svg import graph, window

_SIZE = 15.0  # pixels of a formula's letter
# What matplotlib's mathtext lacks, and what it has in its place.
_IN_MATHTEXT = (
    (r"\\(?:[bB]igg?)[lrm]?(?![a-zA-Z])", ""),
    (r"\\[lr]Vert(?![a-zA-Z])", r"\\Vert "),
    (r"\\[td]frac", r"\\frac"),
)  # fmt: skip
_STYLE = "border: 0; padding: 1px 12px 1px 0; text-align: left; background: none"


@functools.lru_cache(maxsize=256)
def card(activation: str | Activation) -> str:
    """HTML of an activation: graph, formula and facts, readable on light and dark pages.

    A notebook shows it where ``get("gelu")`` is the last line of a cell. It needs no JavaScript.

    Raises:
      InputError: as ``get``.

    >>> "Lipschitz constant" in card("softmax"), "<polyline" in card("relu")
    (False, True)
    """
    activation = get(activation)
    spec = activation.spec
    facts = known(activation) | computed(activation)
    formula = facts.pop("formula")
    cells = [
        f'<td style="{_STYLE}">{k}</td><td style="{_STYLE}">{_text(v)}</td>'
        for k, v in facts.items()
    ]
    rows = "".join(f'<tr style="background: none">{cell}</tr>' for cell in cells)
    drawn = "" if spec.coupled else f"<div>{graph(activation, **window(activation))}</div>"
    return (
        f"<div><div><b>{_text(str(activation))}</b>: {_text(spec.summary)}</div>"
        f'<div style="margin: 8px 0">{formula_as_svg(formula)}</div>'
        f'<div style="display: flex; flex-wrap: wrap; gap: 8px 24px; align-items: flex-start">{drawn}'
        f'<div style="flex: 1 1 300px"><table style="border: 0; font-size: 90%"><tbody>{rows}</tbody>'
        "</table></div></div></div>"
    )


def _text(text: str) -> str:
    return html.escape(plain(text), quote=False)


def plain(text: str) -> str:
    """The text of a docstring without its markup.

    >>> plain(r"As ``relu``, but :math:`x`.")
    'As relu, but x.'
    """
    return re.sub(r":math:`([^`]*)`", r"\1", text).replace("``", "")


def formula_as_svg(latex: str) -> str:
    r"""A formula as SVG in the color of the surrounding text; LaTeX if it cannot be drawn.

    Args:
      latex: without dollar signs.

    >>> formula_as_svg(r"\tfrac{x}{2}")[:5], formula_as_svg(r"\unknown")
    ('<svg ', '<code>\\unknown</code>')
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    text = latex
    for pattern, replacement in _IN_MATHTEXT:
        text = re.sub(pattern, replacement, text)
    try:
        path = TextPath((0, 0), f"${text}$", _SIZE, prop=FontProperties(math_fontfamily="stix"))
    except ValueError:
        return f"<code>{html.escape(latex, quote=False)}</code>"
    box = path.get_extents()
    width = math.ceil(box.width + 4)
    height = math.ceil(box.height + 4)
    pieces = []
    for points, code in path.iter_segments(curves=True):  # in twentieths of a pixel
        numbers = (
            f"{20 * (x - box.x0 + 2):.0f} {20 * (box.y1 - y + 2):.0f}"
            for x, y in points.reshape(-1, 2)
        )
        pieces.append("Z" if code == path.CLOSEPOLY else f"{'_MLQC'[code]}{' '.join(numbers)}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {20 * width} {20 * height}" '
        f'width="{width}" height="{height}" style="max-width: 100%; height: auto" role="img">'
        f"<title>{html.escape(latex)}</title>"
        f'<path fill="currentColor" d="{"".join(pieces)}"/></svg>'
    )
