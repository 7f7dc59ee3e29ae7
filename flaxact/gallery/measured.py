"""Measured errors and times of activations, from the tables in ``docs/results`` if they exist."""

from __future__ import annotations

import re
from pathlib import Path

_SIZE = "1,000,000"


def measured(results: Path | None) -> tuple[list[dict[str, str]], dict[str, dict[str, float]]]:
    """The columns (name, title) of measured errors and times, and the cells by activation and column.

    Args:
      results: the folder of ``accuracy.md`` and ``activations.md``; there are no columns if it is
        None, a file is missing, or a table has another form.
    """
    columns: list[dict[str, str]] = []
    cells: dict[str, dict[str, float]] = {}

    def add(column: str, title: str, values: dict[str, float]) -> None:
        if values:
            columns.append({"name": column, "title": title})
        for name, value in values.items():
            cells.setdefault(name, {})[column] = value

    accuracy = _rows(results, "accuracy.md")
    ulps = "the largest error in units in the last place away from zero, in float32"
    for column, header in (("error f", "value: flaxact"), ("error f′", "derivative: flaxact")):
        values = {
            r["activation"]: v for r in accuracy if (v := _number(r.get(header, ""))) is not None
        }
        add(column, f"{header.split(':')[0]}: {ulps}", values)
    times = [
        row
        for row in _rows(results, "activations.md")
        if row.get("size") == _SIZE and row.get("dtype") == "float32"
    ]
    for column, direction in (("time", "forward"), ("time back", "forward+backward")):
        values = {
            row["activation"]: v
            for row in times
            if row.get("direction") == direction
            and (v := _number(row.get("flaxact, µs", ""))) is not None
        }
        add(column, f"{direction}: microseconds for {_SIZE} float32 numbers on a CPU", values)
    return columns, cells


def _rows(results: Path | None, file: str) -> list[dict[str, str]]:
    """The rows of every Markdown table whose first column is called activation."""
    path = None if results is None else results / file
    if path is None or not path.is_file():
        return []
    rows = []
    header: list[str] = []
    for line in path.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            header = []
        elif not header:
            header = cells
        elif header[0] == "activation" and not set(cells[0]) <= set("-: "):
            rows.append(dict(zip(header, cells, strict=False)))
    return rows


def _number(text: str) -> float | None:
    """The first number of a cell.

    >>> _number("2.5 (63.6)"), _number("1,531.0"), _number("2e+07"), _number("")
    (2.5, 1531.0, 20000000.0, None)
    """
    match = re.match(r"[\d,.]+(e[+-]?\d+)?", text)
    return float(match[0].replace(",", "")) if match else None
