"""Formulas as MathML, which browsers draw by themselves: no script, so pages work without a network."""

from __future__ import annotations

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.math import get_node_equation_number

# Characters that docutils does not know, as commands.
WORDS = str.maketrans({"←": r"\leftarrow ", "→": r"\to ", "·": r"\cdot ", "×": r"\times "})
COMMANDS = {
    r"\dots": r"\ldots",
    r"\mathop{\mathrm{": r"\operatorname{{",
    r"\lVert": r"\|",
    r"\rVert": r"\|",
}


def to_mathml(latex: str, *, block: bool) -> str:
    r"""A formula as a ``math`` element.

    >>> to_mathml("x^2", block=False)[:5]
    '<math'
    """
    text = latex.translate(WORDS)
    for command, known in COMMANDS.items():
        text = text.replace(command, known)
    try:
        return latex2mathml.tex2mathml(text, as_block=block)
    except MathError as error:
        raise ExtensionError(f"no MathML of {latex!r}: {error}") from error


def _visit_inline(writer, node: nodes.math) -> None:
    writer.body.append(to_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _visit_block(writer, node: nodes.math_block) -> None:
    writer.body.append(writer.starttag(node, "div", CLASS="math"))
    if node["number"]:
        writer.body.append(f'<span class="eqno">({get_node_equation_number(writer, node)})</span>')
    writer.body.append(to_mathml(node.astext(), block=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
