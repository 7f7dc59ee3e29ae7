"""The page of ``benchmarks.accelerator``, made from its rows."""

from __future__ import annotations

from typing import Any

from benchmarks.accelerator_parts import PARTS

INTRODUCTION = """\
Times are wall-clock medians; a ratio is a median of pairs measured in turn, with quartiles: below 1
flaxact takes less time. Rows with × say how many times as many images a second flaxact trains.
Accuracy is in units in the last place of float32 where the number is at least a quarter of the output
scale; "of the scale" is the largest error anywhere, over that scale."""


def shown(value: Any) -> str:
    """A number with three digits; text as it is."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown: a column for each figure that any row has."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row if name != "took"))
    lines = [["row", *columns], ["---"] * (len(columns) + 1)]
    lines += [[key, *(shown(row.get(name, "–")) for name in columns)] for key, row in rows.items()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def page(document: dict[str, Any]) -> str:
    """Everything that is stored, part by part, with what was not reached and what failed."""
    facts = document["facts"]
    said = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
    parts = [f"# flaxact on {facts['device']}", f"`python -m benchmarks.accelerator`: {said}."]
    if facts["sizes"] == "small":
        parts.append("A trial with small sizes: its times say nothing about the device.")
    parts.append(INTRODUCTION)
    for name, part in PARTS.items():
        rows = {
            key.removeprefix(f"{name}/"): row
            for key, row in document["rows"].items()
            if key.startswith(f"{name}/")
        }
        missing = document["left"].get(name, 0)
        if not rows and not missing:
            continue
        parts.append(f"## {part.title}")
        if name == "doctor":
            found = [line for row in rows.values() for line in row.get("findings", [str(row)])]
            parts.append("\n".join(f"- {line}" for line in found))
        elif rows:
            parts.append(table(rows))
        if missing:
            parts.append(f"{missing} rows were not reached in time.")
    return "\n\n".join(parts) + "\n"
