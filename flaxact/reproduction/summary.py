"""The summary page of all reproductions: each sentence of an answer with its evidence."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from flaxact.errors import InputError
from flaxact.reproduction import papers
from flaxact.reproduction.answer import (
    JudgedRuns,
    Ratio,
    Sentence,
    fill_in,
    lookup,
    paper_of,
    parse_claim_name,
)
from flaxact.reproduction.page import CLAIM_HEADER, claim_cells, judge_paper, title
from flaxact.reproduction.papers import StoredResults
from flaxact.reproduction.run import stored_results
from flaxact.stored.files import make_folder, write_whole
from flaxact.stored.markdown import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUMMARY_FILE = "README.md"  # so that GitHub shows it with the folder
FOREST_FILE = "answer.svg"
LARGEST = 100.0  # ratio that the forest plot shows
StoredReproductions = Mapping[str, StoredResults]  # what ``reproduce`` wrote, by run


def stored_runs(out: Path) -> dict[str, StoredResults]:
    """The results of ``reproduce`` by run: "paper@scale", and "paper" for the largest stored scale.

    Smoke runs are left out.
    """
    runs = {}
    for paper in papers.names():
        for scale in ("reduced", "full"):
            if (out / paper / f"{scale}.json").exists():
                results = stored_results(paper, scale, out)
                runs[paper] = runs[f"{paper}@{scale}"] = results
    return runs


def add_shipped_results(out: Path) -> None:
    """Copy the results and pages that come with the papers to ``out``, without overwriting."""
    for paper in papers.names():
        shipped = papers.shipped_results(paper)
        for results in shipped.glob("*.json"):
            if (out / paper / results.name).exists():
                continue
            make_folder(out / paper)
            for file in shipped.glob(f"{results.stem}*.*"):
                if file.is_file():  # a run's checkpoints are a folder, reduced.work
                    shutil.copyfile(file, out / paper / file.name)


def write_summary(summary: ModuleType, out: Path) -> Path:
    """Write the page and its figure from the results in a folder.

    Args:
      summary: with QUESTION, HEADLINE, ABOUT, SENTENCES and RATIOS.
      out: the folder.

    Raises:
      InputError: the folder has no results.
    """
    from flaxact.figures import rendered

    stored = stored_runs(out)
    if not stored:
        raise InputError(
            f"{out} has no results of a reduced or full run: flaxact reproduce NAME --out {out}"
        )
    judged_runs = judge_runs(stored)
    figure = forest_plot(summary.RATIOS, judged_runs)
    if figure is not None:
        write_whole(out / FOREST_FILE, rendered(figure, "svg"))
    write_whole(out / SUMMARY_FILE, summary_page(summary, stored, judged_runs).encode())
    return out / SUMMARY_FILE


def judge_runs(stored: StoredReproductions) -> JudgedRuns:
    """The judged claims of every stored run."""
    return {run: judge_paper(papers.load(paper_of(run)), stored[run]) for run in stored}


def summary_page(summary: ModuleType, stored: StoredReproductions, judged_runs: JudgedRuns) -> str:
    """The summary page of all reproductions, as Markdown.

    Args:
      summary: as for ``write_summary``.
      stored: what ``reproduce`` wrote, by run.
      judged_runs: every claim of these runs, judged.
    """
    headline = [f"- {line.filled_in(judged_runs)}" for line in summary.HEADLINE]
    parts = [f"# {summary.QUESTION}", "\n".join(headline)]
    if any(lookup(ratio.claim, judged_runs) for ratio in summary.RATIOS):
        parts += [f"![How many times sooner: our ratios beside the published]({FOREST_FILE})"]
    parts.append(summary.ABOUT)
    for sentence in summary.SENTENCES:
        parts += _sentence(sentence, stored, judged_runs)
    parts += _unrelated_claims(summary.SENTENCES, stored, judged_runs)
    parts += ["## The runs", _runs(stored, judged_runs)]
    return "\n\n".join(parts) + "\n"


def _sentence(
    sentence: Sentence, stored: StoredReproductions, judged_runs: JudgedRuns
) -> list[str]:
    vote = sentence.vote(judged_runs)
    primary = lookup(sentence.primary, judged_runs)
    text = sentence.conclusion[vote]
    if primary is None or not primary.measured:
        text = sentence.conclusion.get("unmeasured", "The claim that decides has not been run yet.")
    conclusion = fill_in(text, judged_runs)
    parts = [f"## {sentence.text}", f"**{vote.capitalize()}.** {conclusion}"]
    rows = [_row(name, name == sentence.primary, stored, judged_runs) for name in sentence.claims]
    parts.append(_folded(f"Evidence: {len(rows)} claims, the first one decides", rows))
    return parts + [sentence.note] * bool(sentence.note)


def _unrelated_claims(
    sentences: Sequence[Sentence], stored: StoredReproductions, judged_runs: JudgedRuns
) -> list[str]:
    """The claims that bear on no sentence, so that none is left out."""
    used = {name for sentence in sentences for name in sentence.claims}
    names = [f"{run}.{key}" for run in judged_runs if "@" not in run for key in judged_runs[run]]
    rows = [_row(name, False, stored, judged_runs) for name in names if name not in used]
    if not rows:
        return []
    return ["## Other claims", _folded(f"{len(rows)} claims that bear on no sentence", rows)]


def _row(
    name: str, primary: bool, stored: StoredReproductions, judged_runs: JudgedRuns
) -> tuple[str, ...]:
    run, key = parse_claim_name(name)
    judged = lookup(name, judged_runs)
    if judged is None:
        claims = papers.load(paper_of(run)).CLAIMS
        text = next(claim.text for claim in claims if claim.key == key)
        return (text, "", "", "", "not run", "", "", run)
    cells = claim_cells(judged)
    link = f"[{run}]({run}/{stored[run]['scale']}.md)"
    return (f"**{cells[0]}**" if primary else cells[0], *cells[1:], link)


def _folded(title: str, rows: Sequence[tuple[str, ...]]) -> str:
    content = markdown_table((*CLAIM_HEADER, "run"), rows)
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def _runs(stored: StoredReproductions, judged_runs: JudgedRuns) -> str:
    """A row per reproduction: how many of its claims hold."""
    rows = []
    for name in papers.names():
        paper = papers.load(name)
        if name not in stored:
            rows.append((name, title(paper), "not run"))
            continue
        results = stored[name]
        verdicts = Counter(judged.verdict for judged in judged_runs[name].values())
        counts = ", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items()))
        about = results["environment"]
        link = f"[{name}]({name}/{results['scale']}.md)"
        scale = results["scale"] + (" (not complete)" if results.get("missing") else "")
        minutes = f"{results['seconds'] / 60:.0f} min"
        machine = f"{about['device']}, {about['date']}"
        rows.append((link, title(paper), counts, scale, minutes, machine))
    header = ("reproduction", "of", "claims", "scale", "time", "machine, date")
    return markdown_table(header, rows)


def forest_plot(ratios: Sequence[Ratio], judged_runs: JudgedRuns) -> Figure | None:
    """A line per ratio with its interval, the published value as a diamond; None without intervals."""
    from flaxact.figures import COLORS, INK, figure

    lines = []
    for ratio in ratios:
        judged = lookup(ratio.claim, judged_runs)
        interval = None if judged is None else judged.interval
        measured = interval is not None and not math.isnan(interval.low)
        if measured or ratio.published is not None:
            lines.append((ratio, interval if measured else None))
    if all(interval is None for _, interval in lines):
        return None
    drawing, axes = figure(7.5, 1.2 + 0.32 * len(lines))
    sizes = list(dict.fromkeys(ratio.size for ratio, interval in lines if interval))
    for place, (ratio, interval) in enumerate(lines):
        if ratio.published is not None:
            axes.plot([ratio.published], [place], "D", color=INK, fillstyle="none", markersize=6)
        if interval is None:
            continue
        color = COLORS[sizes.index(ratio.size) % len(COLORS)]
        is_bound = math.isinf(interval.high)
        axes.plot([interval.low, min(interval.high, LARGEST)], [place, place], color=color, lw=2)
        at = interval.low if is_bound else interval.mean
        axes.plot([at], [place], ">" if is_bound else "o", color=color, markersize=5)
    for size in sizes:
        axes.plot([], [], "o-", color=COLORS[sizes.index(size) % len(COLORS)], label=size)
    axes.plot([], [], "D", color=INK, fillstyle="none", label="published")
    axes.axvline(1, color=INK, lw=0.8)
    axes.set_xscale("log")
    ticks = [0.5, 1, 2, 4, 6, 10, 20, 50]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    labels = [ratio.label + ("" if interval else " (not run)") for ratio, interval in lines]
    axes.set_yticks(range(len(lines)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("ratio of epochs or steps, with its interval (arrow: lower bound)")
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.4, -0.18), ncol=3)
    return drawing
