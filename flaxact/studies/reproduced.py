"""The pages of reproductions, in Markdown: published beside ours, a verdict a claim."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from flaxact.activations._describe import references
from flaxact.studies.claims import EVIDENCE, Claim, Table, shown

MARKS = {"reproduced": "**reproduced**", "not reproduced": "**not reproduced**"}


def title(paper: ModuleType) -> str:
    """The first line of a reproduction's docstring."""
    return (inspect.getdoc(paper) or "").split("\n")[0].rstrip(".")


def page(paper: ModuleType, stored: dict[str, Any], figures: Sequence[tuple[str, str]]) -> str:
    """The whole page.

    Args:
      paper: the module of ``paper_repro``.
      stored: what ``reproduce`` wrote as JSON.
      figures: title and file of each.
    """
    results, settings = stored["results"], stored["settings"]
    rest = (inspect.getdoc(paper) or "").split("\n", 1)[1].strip()
    parts = [f"# {title(paper)}", f"Scale `{stored['scale']}`. {settings['reduced']}".strip()]
    if stored["scale"] == "smoke":
        parts.append("This scale only shows that the code runs: its verdicts mean nothing.")
    parts += ["## Published beside ours", claims(paper, results)]
    parts += [table(found) for found in paper.tables(results)] if hasattr(paper, "tables") else []
    parts += [f"## {name}\n\n![{name}]({file})" for name, file in figures]
    parts += ["## Claim and protocol", _blocks(rest)]
    if paper.SOURCE:
        parts.append(f"```bibtex\n{references()[paper.SOURCE].strip()}\n```")
    parts += ["## The run", _run(stored), _settings(settings)]
    return "\n\n".join(parts) + "\n"


def claims(paper: ModuleType, results: dict[str, Any]) -> str:
    """The table of claims."""
    measured = paper.measured(results)
    rows = []
    for claim in paper.CLAIMS:
        found = measured.get(claim.key)
        verdict = claim.verdict(found)
        rows.append((
            claim.text, claim.quantity, printed(claim), shown(found), claim.rule,
            MARKS.get(verdict, verdict),
        ))  # fmt: skip
    header = ("claim", "quantity", "published", "ours [95%]", "holds if", "verdict")
    return table(Table("", header, tuple(rows)))


def printed(claim: Claim) -> str:
    """What the paper prints, and where."""
    if claim.published is None:
        return "no figure"
    said = f"{claim.published.text} ({claim.published.source}"
    secondhand = claim.published.evidence == "secondhand"
    return said + (f"; {EVIDENCE['secondhand']})" if secondhand else ")")


def table(found: Table) -> str:
    """A table in Markdown, under its title if it has one."""
    width = len(found.header)
    lines = [f"## {found.title}\n"] if found.title else []
    lines += [_line(found.header), _line(("---",) * width)]
    lines += [_line((*row, *("",) * (width - len(row)))) for row in found.rows]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _blocks(text: str) -> str:
    """A docstring's paragraphs; those that are set in are code."""
    found = []
    for block in text.split("\n\n"):
        code = block.startswith("    ")
        found.append(f"```\n{textwrap.dedent(block)}\n```" if code else block.replace("``", "`"))
    return "\n\n".join(found)


def _run(stored: dict[str, Any]) -> str:
    about = stored["environment"]
    versions = ", ".join(
        f"{name} {about[name]}" for name in ("flaxact", "jax", "flax", "optax", "python")
    )
    lines = [
        f"`{about['command']}`", "",
        f"{about['date']}; {versions}; {about['devices']} × {about['device']}, {about['cores']} cores; "
        f"{stored['seconds'] / 60:.0f} minutes of training and measuring.",
    ]  # fmt: skip
    lines += [f"\n{name}: {note}" for name, note in stored["data"].items() if note]
    return "\n".join(lines)


def _settings(settings: dict[str, Any]) -> str:
    rows = [(f"`{k}`", f"{v}") for k, v in settings.items() if k != "reduced"]
    return table(Table("Settings", ("setting", "value"), tuple(rows)))
