"""A study's report: tables, plots and one page, made from results.json alone."""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from flaxact.statistics import Interval
from flaxact.stored.files import make_folder, remove_partial, write_whole
from flaxact.stored.markdown import markdown_table
from flaxact.studies import _csv, contrasts, learned, summary
from flaxact.studies._page import inline, page
from flaxact.studies._provenance import provenance
from flaxact.studies._records import Results, read_folder
from flaxact.studies._times import REPORT, in_words, report_time
from flaxact.studies.answer import answer
from flaxact.studies.summary import LayerRow, Row
from flaxact.training.folder.lock import InUseError, locked

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

COLUMNS = (
    ("activation", ""),
    ("learning rate", "of those tried, the one with the lowest error: after a search on the validation "
     "images, else in training in the last epoch"),
    ("training error", "in the last epoch: running mean over its batches, as cuda-convnet printed it; "
     "mean over seeds [95% Student-t interval, cut to the 0% to 100% that an error can be]"),
    ("test error", "after the last epoch, a clean pass; mean over seeds [interval as before]"),
    ("epochs to target", "until the training error came down to the target, interpolated between "
     "epochs; median over seeds (lowest–highest)"),
    ("seconds an epoch", "median wall-clock time of training for one seed, without compilation and "
     "evaluation; in brackets the ratio to the first activation"),
)  # fmt: skip


def write_report(folder: Path, results: Results | None = None) -> Path:
    """Write report.html, results.csv, epochs.csv, results.md and the plots.

    Args:
      folder: for the files.
      results: the results to show; None for those in the folder's results.json.

    Returns:
      The path of report.html: one file that loads nothing else.

    Raises:
      InputError: results.json is missing or damaged, or the folder is not writable.
    """
    from flaxact.figures import rendered
    from flaxact.studies import plots
    from flaxact.studies.point_plots import point_plots
    from flaxact.studies.sweep_plots import sweep_plots

    began = time.perf_counter() if results is None else None
    results = read_folder(folder) if results is None else results
    all_plots = plots.all_plots(results) | point_plots(results) | sweep_plots(results)
    figures = {
        name: ({kind: rendered(figure, kind) for kind in ("svg", "png")}, caption)
        for name, (figure, caption) in all_plots.items()
    }
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(InUseError):  # a comparison is at work there, or calls this
            stack.enter_context(locked(folder))
            remove_partial(folder / "plots")
        _write(folder, results, figures, began)
    return folder / "report.html"


def table(results: Results) -> tuple[list[str], list[list[str]]]:
    """The titles and rows of the main table, as text; the columns in the order of ``COLUMNS``."""
    titles = [_title(results, name) for name, _ in COLUMNS]
    return titles, [cells(results, row) for row in summary.rows(results)]


def difference_table(results: Results) -> tuple[str, list[str], list[list[str]]]:
    """The heading, titles and rows of the differences to the reference, as text; may have no rows."""
    columns = [name for name, _ in contrasts.titles(results)]
    rows = [contrasts.cells(contrast) for contrast in contrasts.to_reference(results)]
    return _differences_heading(results), columns, rows


def _write(
    folder: Path,
    results: Results,
    figures: Mapping[str, tuple[Mapping[str, bytes], str]],
    began: float | None,
) -> None:
    make_folder(folder / "plots")
    for name, (images, _) in figures.items():
        for kind, image in images.items():
            write_whole(folder / "plots" / f"{name}.{kind}", image)
    write_whole(folder / "results.csv", _csv.by_run(results).encode())
    write_whole(folder / "epochs.csv", _csv.by_epoch(results).encode())
    write_whole(folder / "results.md", _markdown(results).encode())
    pictures = {n: (i["svg"].decode(), caption) for n, (i, caption) in figures.items()}
    html = _html(results, pictures)
    if results.times and began is not None:
        times = {**results.times, REPORT: report_time(folder, time.perf_counter() - began)}
        html = html.replace(in_words(results.times), in_words(times))
    write_whole(folder / "report.html", html.encode())


def cells(results: Results, row: Row) -> list[str]:
    """A row of the main table as text, in the order of ``COLUMNS``."""
    rate = summary.values_text(results, row.activation, row.learning_rate)
    if row.edge:
        rate += f" ({row.edge})" if results.study.best_values else f" ({row.edge} tried)"
    if row.diverged:
        rate += f" ({row.diverged} of {len(row.runs)} seeds diverged)"
    return [
        row.activation,
        rate,
        _interval(row.train_error),
        _interval(row.test_error),
        _epochs_to(results, row),
        f"{row.seconds:.3g} (×{row.slowdown:.2f})",
    ]


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return "diverged"
    mean, low, high = (f"{100 * v:.1f}" for v in (interval.mean, interval.low, interval.high))
    if math.isnan(interval.low):
        return f"{mean}% (one seed)"
    return f"{mean}% [{low}, {high}]"


def _epochs_to(results: Results, row: Row) -> str:
    reached = sorted(row.epochs_to)
    seeds = len(row.runs)
    if not reached:
        return f"not in {results.study.epochs_of.get(row.activation, results.study.epochs)}"
    text = f"{statistics.median(reached):.1f}"
    if len(reached) > 1:
        text += f" ({reached[0]:.1f}–{reached[-1]:.1f})"
    if len(reached) < seeds:
        text += f", {len(reached)} of {seeds} seeds"
    return text


def _markdown(results: Results) -> str:
    lines = [f"# {_heading(results)}", "", *answer(results), "", markdown_table(*table(results))]
    heading, titles, differences = difference_table(results)
    if differences:
        lines += ["", f"## {heading}", "", markdown_table(titles, differences)]
    for row in summary.rows(results):
        lines += ["", f"## {row.activation}, layer by layer (before → after training)", ""]
        lines += [markdown_table(*layer_table(row))]
    for row in summary.rows(results):
        if of_row := learned.cells(row):
            lines += ["", f"## What {row.activation} learned", ""]
            lines += [markdown_table(learned.TITLES, of_row)]
    lines += ["", *(f"- {name}: {value}" for name, value in provenance(results))]
    return "\n".join(lines) + "\n"


LAYER_COLUMNS = {
    "mean": ("mean", ".3g"), "variance": ("variance", ".3g"),
    "mean ÷ deviation": ("mean_to_std", ".3g"), "exact zeros": ("zeros", ".1%"),
    "gradient": ("gradient_norm", ".3g"),
}  # fmt: skip


def layer_table(row: Row) -> tuple[list[str], list[list[str]]]:
    """The titles and rows of the table of an activation's layers: measures before → after training."""
    layers = summary.layer_rows(row)

    def measured(name: str) -> bool:
        return any(layer[f"{when}_{name}"] is not None for layer in layers for when in WHEN)

    def both(layer: LayerRow, name: str, form: str) -> str:
        values = (layer[f"{when}_{name}"] for when in WHEN)
        return " → ".join("–" if v is None else format(v, form) for v in values)

    columns = {title: column for title, column in LAYER_COLUMNS.items() if measured(column[0])}
    rows = [
        [layer["site"], *(both(layer, *column) for column in columns.values())] for layer in layers
    ]
    return ["site", *columns], rows


WHEN = ("initial", "final")


def _inner(row: Row) -> list[tuple[Markup, str]]:
    """What went on inside, in pictures."""
    from flaxact.studies import inner_plots

    return _inlined((figure, caption) for caption, figure in inner_plots.inner(row).items())


def _inlined(figures: Iterable[tuple[Figure, str]]) -> list[tuple[Markup, str]]:
    from flaxact.figures import rendered

    return [(inline(rendered(figure, "svg").decode()), caption) for figure, caption in figures]


def _title(results: Results, column: str) -> str:
    target = f"epochs to {100 * results.study.target_error:g}%"
    return target if column == "epochs to target" else column


def _heading(results: Results) -> str:
    study = results.study
    return f"{study.model} on {study.dataset}: {summary.listed(study.activations)}"


def _differences_heading(results: Results) -> str:
    return f"Test error less that of {contrasts.reference(results)}, paired by seed"


def _html(results: Results, pictures: dict[str, tuple[str, str]]) -> str:
    rows = summary.rows(results)
    return page(
        "report.html.jinja",
        heading=_heading(results),
        answer=answer(results),
        titles=[(_title(results, name), meaning) for name, meaning in COLUMNS],
        rows=[cells(results, row) for row in rows],
        differences_heading=_differences_heading(results),
        difference_titles=contrasts.titles(results),
        differences=[contrasts.cells(contrast) for contrast in contrasts.to_reference(results)],
        pictures=[(name, inline(svg), caption) for name, (svg, caption) in pictures.items()],
        layers=[(row.activation, *layer_table(row), _inner(row)) for row in rows],
        learned_titles=learned.TITLES,
        learned=[
            (row.activation, found, _inlined(learned.figures(row)))
            for row in rows
            if (found := learned.cells(row))
        ],
        provenance=provenance(results),
    )
