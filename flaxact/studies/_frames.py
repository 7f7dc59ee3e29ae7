"""A study's results in tidy form, as rows or data frames; pandas is optional."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from flaxact import _packages

if TYPE_CHECKING:
    from pandas import DataFrame

    from flaxact.studies._records import Results, Run


def epoch_rows(results: Results) -> list[dict[str, object]]:
    """One row per run and epoch."""
    return [{**key, **row} for run, key in _keyed(results) for row in _epochs(run)]


def by_epoch(results: Results) -> DataFrame:
    """One row per run and epoch."""
    return _frame(epoch_rows(results))


def by_site(results: Results) -> DataFrame:
    """One row per run, epoch and site, with the measures at the site."""
    return _frame(
        [
            {**key, "epoch": probe.epoch, "site": site, **measures}
            for run, key in _keyed(results)
            for probe in run.probes
            for site, measures in probe.sites.items()
        ]
    )


def _keyed(results: Results) -> Iterator[tuple[Run, dict[str, object]]]:
    """Every run, and the columns that say which one it is."""
    for run in results.runs:
        names = ("activation", "learning_rate", "seed")
        yield run, {"run": run.id, **{name: run.config[name] for name in names}}


def _epochs(run: Run) -> Iterator[dict[str, object]]:
    """The metrics of every epoch; of epoch 0, before training, only the test's are known."""
    lost = {"diverged": False}
    if run.untrained is not None:
        before = {"train_error": None, "train_loss": None, **vars(run.untrained), "seconds": None}
        yield {"epoch": 0, **before, **lost}
    for epoch in run.epochs:
        lost["diverged"] = run.diverged_at is not None and run.diverged_at <= epoch.epoch
        yield {**vars(epoch), **lost}


@_packages.explained()
def _frame(rows: list[dict[str, object]]) -> DataFrame:
    import pandas as pd

    frame = pd.DataFrame(rows)
    names = ("run", "activation", "site", "seed", "epoch", "diverged")
    numbers = [name for name in frame.columns if name not in names]
    return frame.astype(dict.fromkeys(numbers, "float64"))  # None is nan
