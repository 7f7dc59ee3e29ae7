"""The page of a paper in Markdown: published figures beside ours, and the verdict on each claim."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping, Sequence

from flaxact.activations._describe import references
from flaxact.errors import InputError
from flaxact.reproduction.claim import (
    EVIDENCE,
    Claim,
    ClaimKind,
    Judged,
    Outcome,
    Table,
    format_interval,
    judge,
)
from flaxact.reproduction.papers import Paper, StoredResults, results_of
from flaxact.stored.files import DIGEST, Json
from flaxact.stored.markdown import markdown_table

ABOUT = {
    ClaimKind.REPRODUCTION: "A *reproduction* is of a published claim at the published size.",
    ClaimKind.RETEST: "A *re-test* is of a published claim at another size: its figure is an estimate, "
    "and it neither confirms nor refutes what is published.",
    ClaimKind.OWN: "An *own* claim is ours, at the size of this run.",
}
CLAIM_HEADER = ("claim", "kind", "quantity", "published", "ours [95%]", "holds if", "verdict")


def title(paper: Paper) -> str:
    """The first line of a paper's docstring."""
    return (inspect.getdoc(paper) or "").split("\n")[0].rstrip(".")


def paper_page(paper: Paper, stored: StoredResults, figures: Mapping[str, str]) -> str:
    """The Markdown page of a paper, for the results of one scale.

    Args:
      paper: its module.
      stored: what ``reproduce`` wrote as JSON.
      figures: the file name of each figure, by title.
    """
    settings = stored["settings"]
    body = (inspect.getdoc(paper) or "").split("\n", 1)[1].strip()
    parts = [f"# {title(paper)}", f"Scale `{stored['scale']}`. {settings['reduced']}".strip()]
    if stored["scale"] == "smoke":
        parts.append("This scale only shows that the code runs: its verdicts mean nothing.")
    if stored.get("missing"):
        parts.append(_missing(stored["missing"]))
    parts += ["## Published beside ours", _claims(paper, stored)]
    parts += [_titled(table) for table in paper.tables(results_of(paper, stored))]
    parts += [f"## {name}\n\n![{name}]({file})" for name, file in figures.items()]
    parts += ["## Claim and protocol", _blocks(body)]
    if paper.SOURCE:
        bibtex = references().get(paper.SOURCE, paper.SOURCE)
        parts.append(f"```bibtex\n{bibtex.strip()}\n```")
    parts += ["## The run", _run(stored), _settings(settings)]
    return "\n\n".join(parts) + "\n"


def judge_paper(paper: Paper, stored: StoredResults) -> dict[str, Judged]:
    """Every claim of a paper with its outcome, from the JSON that ``reproduce`` wrote.

    Raises:
      InputError: results without a digest that lack what the paper's claims need.
    """
    try:
        return judge(paper.CLAIMS, paper.measured(results_of(paper, stored)), stored["scale"])
    except (LookupError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
        if DIGEST in stored:
            raise
        raise InputError(
            f"the stored results of {stored['name']}, scale {stored['scale']}, lack what its "
            f"claims need ({error!r}): run the reproduction again"
        ) from None


def claim_cells(judged: Judged) -> tuple[str, ...]:
    """The table cells of a claim, one per column of ``CLAIM_HEADER``."""
    claim = judged.claim
    return (
        claim.text,
        judged.kind.value,
        claim.quantity,
        _published(claim),
        format_interval(judged.interval),
        claim.rule,
        _verdict(judged),
    )


def _titled(table: Table) -> str:
    return f"## {table.title}\n\n{markdown_table(table.header, table.rows)}"


def _claims(paper: Paper, stored: StoredResults) -> str:
    """The table of claims, and what the kinds in it mean."""
    judged = judge_paper(paper, stored).values()
    rows = tuple(claim_cells(each) for each in judged)
    kinds = dict.fromkeys(each.kind for each in judged)
    parts = [
        " ".join(ABOUT[kind] for kind in kinds),
        markdown_table(CLAIM_HEADER, rows),
    ]
    families = [each.claim.family for each in judged if each.claim.family]
    if families:
        counts = "; ".join(f"{name} ({families.count(name)})" for name in sorted(set(families)))
        parts.append(
            "Within a family the verdict uses intervals that are wider than those shown, by Holm's "
            f"correction: {counts}."
        )
    return "\n\n".join(parts)


def _verdict(judged: Judged) -> str:
    """The verdict, in bold if it decides something, and why a claim is retired."""
    if judged.claim.retired:
        return f"retired: {judged.claim.retired}"
    decided = judged.decides and judged.measured and judged.outcome is not Outcome.OPEN
    return f"**{judged.verdict}**" if decided else judged.verdict


def _published(claim: Claim) -> str:
    """The published figure and its source."""
    published = claim.published
    if published is None:
        return "–"
    secondhand = f"; {EVIDENCE['secondhand']}" if published.evidence == "secondhand" else ""
    return f"{published.text} ({published.source}{secondhand})"


def _blocks(text: str) -> str:
    """The paragraphs of a docstring; indented ones become code."""
    blocks = []
    for block in text.split("\n\n"):
        code = block.startswith("    ")
        blocks.append(f"```\n{textwrap.dedent(block)}\n```" if code else block.replace("``", "`"))
    return "\n\n".join(blocks)


def _missing(names: Sequence[str]) -> str:
    """What an incomplete run lacks."""
    some = ", ".join(f"`{name}`" for name in names[:12]) + ", …" * (len(names) > 12)
    return f"**Not complete.** {len(names)} pieces that the next step needs are not stored yet: {some}."


def _run(stored: StoredResults) -> str:
    about = stored["environment"]
    packages = ("flaxact", "jax", "flax", "optax", "python")
    versions = ", ".join(f"{package} {about[package]}" for package in packages)
    machine = f"{about['devices']} × {about['device']}, {about['cores']} cores"
    minutes = f"{stored['seconds'] / 60:.0f} minutes of training and measuring"
    lines = [f"`{about['command']}`", "", f"{about['date']}; {versions}; {machine}; {minutes}."]
    lines += [f"\n{name}: {note}" for name, note in stored["data"].items() if note]
    return "\n".join(lines)


def _settings(settings: Mapping[str, Json]) -> str:
    rows = [(f"`{name}`", f"{value}") for name, value in settings.items() if name != "reduced"]
    return _titled(Table("Settings", ("setting", "value"), tuple(rows)))
