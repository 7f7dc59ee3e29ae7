"""A flowchart of mermaid as SVG: boxes in rows, each below what points to it. No script in the page."""

from __future__ import annotations

import html
import itertools
import re

LINE = 17  # pixels a line of text
LETTER = 7.0  # pixels a letter
GAP = 22
BETWEEN = 46  # rows
BOLD = ' font-weight="bold"'


def to_svg(text: str) -> str:
    """The picture of ``a["first line<br>second"] --> b["..."]``, a statement a line."""
    labels: dict[str, list[str]] = {}
    arrows: list[tuple[str, str]] = []
    for line in text.splitlines()[1:]:
        ends = [_node(part.strip(), labels) for part in line.split("-->") if part.strip()]
        arrows += itertools.pairwise(ends)
    rows = _rows(labels, arrows)
    boxes = _boxes(labels, rows)
    width = max(x + w for x, _, w, _ in boxes.values()) + GAP
    height = max(y + h for _, y, _, h in boxes.values()) + GAP
    body = [_arrow(boxes[a], boxes[b]) for a, b in arrows]
    body += [_box(boxes[name], lines) for name, lines in labels.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" font-family="sans-serif" font-size="13" text-anchor="middle">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>'
        f"{''.join(body)}</svg>\n"
    )


def _node(part: str, labels: dict[str, list[str]]) -> str:
    name, lines = re.match(r"(\w+)(?:\[\"(.*)\"\])?$", part).groups()
    if lines or name not in labels:
        labels[name] = (lines or name).split("<br>")
    return name


def _rows(labels: dict[str, list[str]], arrows: list[tuple[str, str]]) -> list[list[str]]:
    """Names by the longest way to them."""
    depth = dict.fromkeys(labels, 0)
    for _ in labels:
        for a, b in arrows:
            depth[b] = max(depth[b], depth[a] + 1)
    return [[n for n in labels if depth[n] == row] for row in range(max(depth.values()) + 1)]


def _boxes(labels: dict[str, list[str]], rows: list[list[str]]):
    """x, y, width and height of each box; rows are centered."""
    sizes = {
        name: (LETTER * max(map(len, lines)) + 24, LINE * len(lines) + 16)
        for name, lines in labels.items()
    }
    widths = [sum(sizes[n][0] + GAP for n in row) - GAP for row in rows]
    boxes = {}
    y = float(GAP)
    for row, width in zip(rows, widths, strict=True):
        x = GAP + (max(widths) - width) / 2
        for name in row:
            boxes[name] = (x, y, *sizes[name])
            x += sizes[name][0] + GAP
        y += max(sizes[n][1] for n in row) + BETWEEN
    return boxes


def _arrow(start, end) -> str:
    x, y = start[0] + start[2] / 2, start[1] + start[3]
    return (
        f'<path d="M{x:.0f} {y:.0f}L{end[0] + end[2] / 2:.0f} {end[1]:.0f}" stroke="#555" '
        'fill="none" marker-end="url(#tip)"/>'
    )


def _box(box, lines: list[str]) -> str:
    x, y, width, height = box
    texts = "".join(
        f'<text x="{x + width / 2:.0f}" y="{y + 21 + i * LINE:.0f}"'
        f"{BOLD if not i else ''}>{html.escape(line)}</text>"
        for i, line in enumerate(lines)
    )
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="5" '
        f'fill="#eef3fb" stroke="#48679c"/>{texts}'
    )
