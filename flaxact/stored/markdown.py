"""Tables in Markdown, as reports and pages of papers have them. Does not import jax."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""A table as lines of Markdown; a row with fewer cells than titles is filled up.

    >>> print(markdown_table(["net", "|x|"], [["relu"]]))
    | net | \|x\| |
    | --- | --- |
    | relu |  |
    """
    width = len(titles)
    filled = [[*row, *[""] * (width - len(row))] for row in rows]
    return "\n".join(map(_line, (titles, ["---"] * width, *filled)))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
