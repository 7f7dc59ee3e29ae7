"""A study's results as CSV: one line per run, or one line per run and epoch."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable

from flaxact.statistics import first_crossing
from flaxact.studies import _frames, learned, summary
from flaxact.studies._records import Results


def by_run(results: Results) -> str:
    """One line per run: its configuration, its last epoch, and what its activation learned."""
    metrics = ("train_error", "train_loss", "test_error", "test_loss")
    config = list(results.runs[0].config) if results.runs else []
    derived = ("epochs_to_target", "seconds_an_epoch", "compile_seconds", "diverged_at")
    of_learned = learned.columns(results)
    rows = []
    for run in results.runs:
        last = run.epochs[-1]
        crossing = first_crossing(summary.curve(run, "train_error"), results.study.target_error)
        seconds = statistics.median(summary.curve(run, "seconds"))  # type: ignore[type-var]
        row = [run.id, *(run.config.get(c) for c in config), *(getattr(last, m) for m in metrics)]
        row += [crossing, seconds, run.compile_seconds, run.diverged_at]
        rows.append([*row, *(value(run) for _, value in of_learned)])
    return _lines(["id", *config, *metrics, *derived, *(name for name, _ in of_learned)], rows)


def by_epoch(results: Results) -> str:
    """One line per run and epoch, with the columns of ``Results.to_pandas``; unknown values are empty."""
    rows = _frames.epoch_rows(results)
    return _lines(rows[0] if rows else [], [row.values() for row in rows])


def _lines(titles: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(rows)
    return file.getvalue()
