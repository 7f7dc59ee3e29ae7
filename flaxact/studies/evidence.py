"""The page that puts all reproductions together: each sentence of an answer with what speaks for it."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flaxact._files import write_whole
from flaxact.errors import InputError, unknown
from flaxact.studies import reproduced, reproduction
from flaxact.studies.claims import REFUTED, REPRODUCED, Claim, Table, shown

SPEAKS = {
    ("for", REPRODUCED): "for", ("for", REFUTED): "against",
    ("against", REPRODUCED): "against", ("against", REFUTED): "for",
}  # fmt: skip
SUMMARY = "README.md"  # so that GitHub shows it with the folder


@dataclass(frozen=True)
class Sentence:
    """A sentence of an answer, and the claims that bear on it.

    Attributes:
      text: the sentence.
      supports: claims, as "paper.key", that speak for it where they are reproduced, and against it where
        they are not.
      limits: claims that speak against it, or bound it, where they are reproduced.
      open: what nothing here was put to the test of.
    """

    text: str
    supports: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    open: str = ""

    def evidence(self) -> list[tuple[str, str, str]]:
        """Paper, key of the claim, and the side it is on: ``for`` or ``against``."""
        sides = [("for", name) for name in self.supports] + [("against", n) for n in self.limits]
        return [(*name.split(".", 1), side) for side, name in sides]  # type: ignore[misc]


def claim(paper: str, key: str) -> Claim:
    """A claim of a reproduction.

    Raises:
      InputError: an unknown one.
    """
    claims = {claim.key: claim for claim in reproduction.module(paper).CLAIMS}
    if key not in claims:
        raise unknown(f"claim of {paper}", key, claims)
    return claims[key]


def found(paper: str, out: Path) -> tuple[str, dict[str, Any]] | None:
    """The largest scale that has results, and these; a smoke run says nothing."""
    for scale in ("full", "reduced"):
        if (out / paper / f"{scale}.json").exists():
            return scale, reproduction.stored_results(paper, scale, out)
    return None


def write(out: Path) -> Path:
    """Write the page from the results that are there.

    Raises:
      InputError: there are none.
    """
    stored = {paper: there for paper in reproduction.names() if (there := found(paper, out))}
    if not stored:
        raise InputError(
            f"{out} has no results of a reduced or full run: flaxact reproduce NAME --out {out}"
        )
    write_whole(out / SUMMARY, page(stored).encode())
    return out / SUMMARY


def page(stored: dict[str, tuple[str, dict[str, Any]]]) -> str:
    """The page, from scale and results by paper."""
    summary = importlib.import_module("paper_repro.summary")
    measured = {
        paper: reproduction.module(paper).measured(there["results"])
        for paper, (_, there) in stored.items()
    }
    parts = [f"# {summary.QUESTION}", summary.ABOUT, _all(stored, measured)]
    for sentence in summary.SENTENCES:
        parts += _sentence(sentence, stored, measured)
    return "\n\n".join(parts) + "\n"


def _sentence(sentence: Sentence, stored: Any, measured: Any) -> list[str]:
    rows, count = [], Counter()
    for paper, key, side in sentence.evidence():
        of = claim(paper, key)
        ours = measured.get(paper, {}).get(key)
        verdict = of.verdict(ours)
        speaks = SPEAKS.get((side, verdict), "open")
        count[speaks] += 1
        link = (
            f"[{paper}]({paper}/{stored[paper][0]}.md)" if paper in stored else f"{paper} (not run)"
        )
        rows.append((
            f"**{speaks}**" if speaks != "open" else speaks, of.text, of.quantity,
            reproduced.printed(of), shown(ours), of.rule, verdict, link,
        ))  # fmt: skip
    parts = [f"## {sentence.text}"]
    if rows:
        said = (f"{count[name]} {name}" for name in ("for", "against", "open"))
        header = (
            "speaks",
            "claim",
            "quantity",
            "published",
            "ours [95%]",
            "holds if",
            "verdict",
            "run",
        )
        parts += [f"Evidence: {', '.join(said)}.", reproduced.table(Table("", header, tuple(rows)))]
    return parts + [sentence.open] * bool(sentence.open)


def _all(stored: Any, measured: Any) -> str:
    """A row a reproduction: how many of its claims hold."""
    rows = []
    for paper in reproduction.names():
        module = reproduction.module(paper)
        if paper not in stored:
            rows.append((paper, reproduced.title(module), "not run"))
            continue
        scale, there = stored[paper]
        verdicts = Counter(c.verdict(measured[paper].get(c.key)) for c in module.CLAIMS)
        said = ", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items()))
        about = there["environment"]
        rows.append((
            f"[{paper}]({paper}/{scale}.md)", reproduced.title(module), said, scale,
            f"{there['seconds'] / 60:.0f} min", f"{about['device']}, {about['date']}",
        ))  # fmt: skip
    header = ("reproduction", "of", "claims", "scale", "time", "machine, date")
    return reproduced.table(Table("", header, tuple(rows)))
