"""Several comparisons together: activations ranked over tasks (Demšar, 2006)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flaxact import figures
from flaxact.activations import get
from flaxact.errors import InputError
from flaxact.figures import INK, WIDTH
from flaxact.statistics import critical_difference, friedman, mean_ranks, task_ranks, within
from flaxact.stored.files import make_folder, write_whole
from flaxact.stored.markdown import markdown_table
from flaxact.studies import contrasts, summary
from flaxact.studies._page import inline, page
from flaxact.studies._records import Results, read_folder
from flaxact.studies.several import comparisons

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = 0.05


@dataclass(frozen=True)
class Task:
    """A comparison on one model and data set."""

    name: str
    results: Results


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """A ranking of activations over tasks, lowest mean rank first.

    Attributes:
      tasks: the names of the tasks.
      activations: the activations that every task has.
      errors: (tasks, activations), mean test errors after the last epoch; infinite where all diverged.
      ranks: mean ranks.
      difference: the difference of mean ranks that is significant in Nemenyi's test.
      p_value: p-value of the Friedman test in Iman and Davenport's form; None where there is no test.
      groups: activations without a significant difference in Nemenyi's test.
      against: by activation, the number of tasks in which it is better than, not significantly
        different from, and worse than the reference.
      reference: the reference of ``against``.
    """

    tasks: tuple[str, ...]
    activations: tuple[str, ...]
    errors: tuple[tuple[float, ...], ...]
    ranks: tuple[float, ...]
    difference: float
    p_value: float | None
    groups: tuple[tuple[str, ...], ...]
    against: dict[str, tuple[int, int, int]]
    reference: str


def read_tasks(folders: Sequence[Path]) -> list[Task]:
    """The comparisons in folders; a folder of several comparisons counts as all of them.

    Raises:
      InputError: fewer than two comparisons, one twice, or a folder without results.
    """
    if not folders:
        raise InputError("ranks need two or more folders of comparisons")
    each = [folder for path in folders for folder in comparisons(path)]
    if len(each) < 2:
        read_folder(each[0])
        raise InputError("ranks need two or more folders of comparisons")
    tasks = []
    for folder in each:
        results = read_folder(folder)
        name = f"{results.study.model} on {results.study.dataset}"
        if name in [task.name for task in tasks]:
            raise InputError(f"{name} is given twice: a task counts once")
        tasks.append(Task(name, results))
    return tasks


def ranking(tasks: Sequence[Task], reference: str | None = None) -> Ranking:
    """Rank the activations that all tasks have.

    Raises:
      InputError: fewer than two common activations, or a reference that is not one of them.
    """
    rows = [{row.activation: row for row in summary.rows(task.results)} for task in tasks]
    common = [name for name in rows[0] if all(name in of_task for of_task in rows)]
    if len(common) < 2:
        raise InputError(
            f"the comparisons have {len(common)} activations in common; ranks need two or more"
        )
    base = str(get(reference)) if reference else common[0]
    if base not in common:
        raise InputError(f"the reference {base} is not in every comparison: {', '.join(common)}")
    errors = [[_error(of_task[name]) for name in common] for of_task in rows]
    ranks = mean_ranks(errors)
    order = sorted(range(len(common)), key=lambda i: ranks[i])
    names = tuple(common[i] for i in order)
    sorted_ranks = [ranks[i] for i in order]
    difference = critical_difference(len(common), len(tasks), LEVEL)
    test = friedman(errors)
    return Ranking(
        tasks=tuple(task.name for task in tasks),
        activations=names,
        errors=tuple(tuple(row[i] for i in order) for row in errors),
        ranks=tuple(sorted_ranks),
        difference=difference,
        p_value=None if test is None else test.p_value,
        groups=tuple(tuple(names[i] for i in group) for group in within(sorted_ranks, difference)),
        against=_against(tasks, names, base),
        reference=base,
    )


def _error(row: summary.Row) -> float:
    errors = contrasts.last_errors(row)
    return statistics.fmean(errors.values()) if errors else math.inf


def _against(
    tasks: Sequence[Task], names: Sequence[str], base: str
) -> dict[str, tuple[int, int, int]]:
    """By activation how often the paired tests of a task find it better than the base, like it, worse."""
    counts = {name: [0, 0, 0] for name in names if name != base}
    for task in tasks:
        study = replace(task.results.study, reference=base)
        for contrast in contrasts.to_reference(replace(task.results, study=study)):
            if contrast.activation not in counts:
                continue
            place = 1
            if contrast.apart and contrast.paired is not None:
                place = 0 if contrast.paired.difference.mean < 0 else 2
            counts[contrast.activation][place] += 1
    return {name: (wins, ties, losses) for name, (wins, ties, losses) in counts.items()}


def table(result: Ranking) -> tuple[list[str], list[list[str]]]:
    """The titles and rows of the rank table, as text: the error and rank in every task."""
    titles = ["activation", "mean rank", f"better / like / worse than {result.reference}"]
    ranks = task_ranks(result.errors)
    rows = []
    for i, name in enumerate(result.activations):
        counts = result.against.get(name)
        row = [name, f"{result.ranks[i]:.2f}", " / ".join(map(str, counts)) if counts else "–"]
        for errors, of_task in zip(result.errors, ranks, strict=True):
            error = "diverged" if math.isinf(errors[i]) else f"{errors[i]:.1%}"
            row.append(f"{error} ({of_task[i]:g})")
        rows.append(row)
    return titles + list(result.tasks), rows


def sentences(result: Ranking) -> list[str]:
    """The conclusions from the ranks."""
    count = len(result.tasks)
    lines = [
        f"The lowest mean rank over {count} tasks is {result.activations[0]}'s, "
        f"{result.ranks[0]:.2f} of {len(result.activations)}."
    ]
    if result.p_value is None:
        lines.append("Friedman's test needs three activations or more.")
    elif result.p_value > LEVEL:
        lines.append(
            f"Friedman's test does not tell the activations apart (p = {result.p_value:.3f}): these "
            "tasks do not rank them alike."
        )
    else:
        lines.append(
            f"Friedman's test tells them apart (p = {result.p_value:.3g}, Iman and Davenport's form). "
            f"By Nemenyi's test, two differ where their mean ranks do by {result.difference:.2f} or more."
        )
    return lines


def diagram(result: Ranking) -> Figure:
    """The critical-difference diagram: mean ranks, with bars over groups that do not differ."""
    count = len(result.activations)
    bars = len(result.groups)
    figure, axes = figures.figure(WIDTH, 0.9 + 0.24 * count + 0.12 * bars)
    for y, (name, rank) in enumerate(zip(result.activations, result.ranks, strict=True)):
        axes.plot([rank, rank], [-1, y], color=INK, linewidth=0.6)
        axes.plot(rank, y, "o", color=figures.style(0)["color"], markersize=6)
        axes.annotate(name, (rank, y), (7, 0), textcoords="offset points", va="center", fontsize=9)
    places = dict(zip(result.activations, result.ranks, strict=True))
    for number, group in enumerate(result.groups):
        ends = [places[group[0]], places[group[-1]]]
        y = -1 - 0.5 * (number + 1)
        axes.plot(ends, [y, y], color=figures.style(1)["color"], linewidth=4, solid_capstyle="butt")
    axes.set_xlim(0.8, count + 1.2)
    axes.set_ylim(count - 0.4, -1.6 - 0.5 * bars)  # the lowest rank on top
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"mean rank (critical difference {result.difference:.2f})")
    return figure


def write_ranking(result: Ranking, folder: Path) -> Path:
    """Write ranks.html, ranks.md and ranks.svg; returns the path of the page."""
    make_folder(folder)
    svg = figures.rendered(diagram(result), "svg")
    write_whole(folder / "ranks.svg", svg)
    titles, rows = table(result)
    lines = ["# Activations over tasks", *sentences(result), markdown_table(titles, rows)]
    text = "\n\n".join(lines)
    write_whole(folder / "ranks.md", f"{text}\n".encode())
    filled = page(
        "ranks.html.jinja",
        sentences=sentences(result),
        titles=titles,
        rows=rows,
        diagram=inline(svg.decode()),
    )
    write_whole(folder / "ranks.html", filled.encode())
    return folder / "ranks.html"
