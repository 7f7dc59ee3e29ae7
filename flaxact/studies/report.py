"""A study's report: tables, plots and one page, made from results.json alone."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from pathlib import Path
from typing import Any

from flaxact._files import write_whole
from flaxact.errors import InputError
from flaxact.statistics import Interval, first_crossing
from flaxact.studies import summary
from flaxact.studies._page import inline, page
from flaxact.studies.study import FORMAT
from flaxact.studies.summary import Results, Row

COLUMNS = (
    ("activation", ""),
    ("learning rate", "of those tried, the one with the lowest mean training error in the last "
     "epoch"),
    ("training error", "in the last epoch: running mean over its batches, as cuda-convnet printed it; "
     "mean over seeds [95% Student-t interval]"),
    ("test error", "after the last epoch, a clean pass; mean over seeds [95% Student-t interval]"),
    ("epochs to target", "until the training error came down to the target, interpolated between "
     "epochs; median over seeds (lowest–highest)"),
    ("seconds an epoch", "median wall-clock time of training for one seed, without compilation and "
     "evaluation; in brackets the ratio to the first activation"),
)  # fmt: skip


def write_report(folder: Path) -> Path:
    """Write report.html, results.csv, results.md and the plots beside a folder's results.json.

    Returns:
      The path of report.html: one file that loads nothing else.

    Raises:
      InputError: no results.json there, or not one of ours, or nothing can be written.
    """
    from flaxact._figures import rendered
    from flaxact.studies import plots

    results = _read(folder / "results.json")
    figures = {
        name: ({kind: rendered(figure, kind) for kind in ("svg", "png")}, caption)
        for name, (figure, caption) in plots.all_plots(results).items()
    }
    try:
        (folder / "plots").mkdir(exist_ok=True)
        for name, (images, _) in figures.items():
            for kind, image in images.items():
                write_whole(folder / "plots" / f"{name}.{kind}", image)
        write_whole(folder / "results.csv", _csv(results).encode())
        write_whole(folder / "results.md", _markdown(results).encode())
        pictures = {n: (i["svg"].decode(), caption) for n, (i, caption) in figures.items()}
        write_whole(folder / "report.html", _html(results, pictures).encode())
    except OSError as error:
        raise InputError(f"cannot write the report to {str(folder)!r}: {error.strerror}") from None
    return folder / "report.html"


def _read(path: Path) -> Results:
    try:
        results = json.loads(path.read_text())
        if results["format"] != FORMAT:
            raise InputError(
                f"{path} has format {results['format']}; this flaxact reads format {FORMAT}"
            )
        if not results["study"]["activations"] or not isinstance(results["runs"], list):
            raise KeyError("runs")
    except FileNotFoundError:
        raise InputError(
            f"no results.json in {str(path.parent)!r}: flaxact compare writes it"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a results file of flaxact: {error!r}") from None
    return results


def cells(results: Results, row: Row) -> list[str]:
    """A row of the main table as text, in the order of ``COLUMNS``."""
    rate = f"{row.learning_rate:g}"
    if row.edge:
        rate += f" ({row.edge} tried)"
    if row.diverged:
        rate += f" ({row.diverged} of {len(row.runs)} seeds diverged)"
    return [
        row.activation, rate, _interval(row.train_error), _interval(row.test_error),
        _epochs_to(results, row), f"{row.seconds:.3g} (×{row.slowdown:.2f})",
    ]  # fmt: skip


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return "diverged"
    mean, low, high = (f"{100 * v:.1f}" for v in (interval.mean, interval.low, interval.high))
    if math.isnan(interval.low):
        return f"{mean}% (one seed)"
    return f"{mean}% [{max(0.0, float(low)):.1f}, {high}]"


def _epochs_to(results: Results, row: Row) -> str:
    reached, seeds = sorted(row.epochs_to), len(row.runs)
    if not reached:
        return f"not in {results['study']['epochs']}"
    text = f"{statistics.median(reached):.1f}"
    if len(reached) > 1:
        text += f" ({reached[0]:.1f}–{reached[-1]:.1f})"
    if len(reached) < seeds:
        text += f", {len(reached)} of {seeds} seeds"
    return text


def _csv(results: Results) -> str:
    """A line a run."""
    file = io.StringIO()
    metrics = ("train_error", "train_loss", "test_error", "test_loss")
    config = list(results["runs"][0]["config"]) if results["runs"] else []
    derived = ("epochs_to_target", "seconds_an_epoch", "compile_seconds", "diverged_at")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["id", *config, *metrics, *derived])
    for run in results["runs"]:
        last = run["epochs"][-1]
        crossing = first_crossing(
            summary.curve(run, "train_error"), results["study"]["target_error"]
        )
        seconds = statistics.median(summary.curve(run, "seconds"))  # type: ignore[type-var]
        values = (crossing, seconds, run["compile_seconds"], run["diverged_at"])
        writer.writerow(
            [run["id"], *(run["config"][c] for c in config), *(last[m] for m in metrics), *values]
        )
    return file.getvalue()


def _markdown(results: Results) -> str:
    def line(values: list[str]) -> str:
        return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"

    titles = [_title(results, name) for name, _ in COLUMNS]
    lines = [f"# {_heading(results)}", "", *summary.answer(results), ""]
    lines += [line(titles), line(["---"] * len(titles))]
    lines += [line(cells(results, row)) for row in summary.rows(results)]
    for row in summary.rows(results):
        lines += ["", f"## {row.activation}, layer by layer (before → after training)", ""]
        lines += [line(LAYER_COLUMNS), line(["---"] * len(LAYER_COLUMNS))]
        lines += [line(layer) for layer in layer_cells(row)]
    lines += ["", *(f"- {name}: {value}" for name, value in _provenance(results))]
    return "\n".join(lines) + "\n"


LAYER_COLUMNS = ["site", "mean", "variance", "mean ÷ deviation", "exact zeros", "gradient"]


def layer_cells(row: Row) -> list[list[str]]:
    """The rows of an activation's layer table as text: before → after training."""

    def both(layer: dict[str, Any], name: str, form: str) -> str:
        values = (layer[f"{when}_{name}"] for when in ("initial", "final"))
        return " → ".join("–" if v is None else format(v, form) for v in values)

    return [
        [layer["site"], both(layer, "mean", ".3g"), both(layer, "variance", ".3g"),
         both(layer, "mean_to_std", ".3g"), both(layer, "zeros", ".1%"),
         both(layer, "gradient_norm", ".3g")]
        for layer in summary.layer_rows(row)
    ]  # fmt: skip


def _inner(results: Results, row: Row) -> list[tuple[Any, str]]:
    """What went on inside, in pictures."""
    from flaxact._figures import rendered
    from flaxact.studies import plots

    found = plots.inner(results, row).items()
    return [(inline(rendered(figure, "svg").decode()), caption) for caption, figure in found]


def _title(results: Results, column: str) -> str:
    target = f"epochs to {100 * results['study']['target_error']:g}%"
    return target if column == "epochs to target" else column


def _heading(results: Results) -> str:
    study = results["study"]
    return f"{study['model']} on {study['dataset']}: {', '.join(study['activations'])}"


def _provenance(results: Results) -> list[tuple[str, str]]:
    study, environment, dataset = (results[k] for k in ("study", "environment", "dataset"))
    rates = ", ".join(f"{rate:g}" for rate in study["learning_rates"])
    at_once = sorted({run["runs_at_once"] for run in results["runs"]})
    absent = summary.missing_runs(results)
    rows = [
        ("command", environment["command"] or "(none: made from Python)"),
        ("model", f"{study['model']}, {results['model']['parameters']:,} parameters"),
        ("data", f"{dataset['name']}, {dataset['train_images']:,} training and "
         f"{dataset['test_images']:,} test images of {dataset['image_shape']}; {dataset['note']}"),
        ("training", f"SGD, momentum {study['momentum']:g}, {study['schedule']} schedule, batches of "
         f"{study['batch_size']}, {study['epochs']} epochs, learning rates {rates}, seeds "
         f"{', '.join(map(str, study['seeds']))}; for equal seeds every activation sees the same "
         "batches"),
        ("timing", f"{', '.join(map(str, at_once))} run(s) of a cell, the time of their epoch "
         "divided by their number; the activations one after another on one machine, so small "
         "differences mean little"),
        ("versions", f"flaxact {environment['flaxact']}, jax {environment['jax']}, "
         f"flax {environment['flax']}, Python {environment['python']}"),
        ("device, date", f"{environment['device']}, {environment['date']}"),
    ]  # fmt: skip
    return rows + [("not run yet", "; ".join(absent))] * bool(absent)


def _html(results: Results, pictures: dict[str, tuple[str, str]]) -> str:
    rows = summary.rows(results)
    return page(
        "report.html.jinja",
        heading=_heading(results),
        answer=summary.answer(results),
        titles=[(_title(results, name), meaning) for name, meaning in COLUMNS],
        rows=[cells(results, row) for row in rows],
        pictures=[(name, inline(svg), caption) for name, (svg, caption) in pictures.items()],
        layer_titles=LAYER_COLUMNS,
        layers=[(row.activation, layer_cells(row), _inner(results, row)) for row in rows],
        provenance=_provenance(results),
    )
