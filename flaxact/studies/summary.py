"""Table rows from a study's results."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flaxact.statistics import Interval, first_crossing, mean_interval, ratio_of_medians
from flaxact.studies._records import Results, Run


@dataclass(frozen=True)
class Row:
    """The reported values of an activation at its best learning rate.

    ``epochs_to`` holds the epochs to the target, for the seeds that reached it. ``slowdown`` is the
    median time of an epoch divided by the first activation's.
    """

    activation: str
    learning_rate: float
    edge: str
    runs: tuple[Run, ...]
    train_error: Interval | None
    test_error: Interval | None
    epochs_to: tuple[float, ...]
    seconds: float
    slowdown: float

    @property
    def diverged(self) -> int:
        """The number of seeds that diverged."""
        return sum(run.diverged_at is not None for run in self.runs)


def rows(results: Results) -> list[Row]:
    """A row for every activation that has runs, in the order of the study."""
    table_rows = []
    for activation in results.study.activations:
        rate = best_rate(results, activation)
        if rate is not None:
            table_rows.append(
                _row(results, activation, rate, table_rows[0] if table_rows else None)
            )
    return table_rows


def best_rate(results: Results, activation: str) -> float | None:
    """The learning rate with the lowest mean training error in the last epoch.

    Rates with all seeds run come first, then those with fewer diverged seeds; the training loss breaks
    ties. If the rate was searched, the result of the search. None without runs.
    """
    searched = results.study.best_rates.get(activation)
    if searched is not None and runs_of(results, activation, searched):
        return searched
    rates = results.study.learning_rates
    tried = [rate for rate in rates if runs_of(results, activation, rate)]
    return min(tried, key=lambda rate: _merit(runs_of(results, activation, rate)), default=None)


def runs_of(results: Results, activation: str, rate: float) -> tuple[Run, ...]:
    """The runs of an activation at a learning rate, by seed."""
    config = {"activation": activation, "learning_rate": rate}
    matching = [r for r in results.runs if config.items() <= r.config.items()]
    return tuple(sorted(matching, key=lambda run: run.config["seed"]))


def missing_runs(results: Results) -> list[str]:
    """Messages about the runs of a study that have no result."""
    study = results.study
    absent = []
    for activation in study.activations:
        rates = study.learning_rates
        if study.search is not None:
            rates = [study.best_rates[activation]] if activation in study.best_rates else []
            if not rates:
                absent.append(f"{activation}, whose learning rate is not chosen yet")
        for rate in rates:
            have = {run.config["seed"] for run in runs_of(results, activation, rate)}
            seeds = [str(seed) for seed in study.seeds if seed not in have]
            if seeds:
                absent.append(f"{activation} at {rate:g}, seed {', '.join(seeds)}")
    return absent


def values_text(results: Results, activation: str, rate: float) -> str:
    """A learning rate as text, with the other tuned hyperparameters if there are any."""
    values = results.study.best_values.get(activation, {})
    others = [f"{name} {value:g}" for name, value in values.items() if name != "learning_rate"]
    return ", ".join([f"{rate:g}", *others])


def _merit(runs: Sequence[Run]) -> tuple[float, ...]:
    def mean(metric: str) -> float:
        last = [getattr(run.epochs[-1], metric) for run in runs if run.diverged_at is None]
        return statistics.fmean(last) if last else float("inf")

    diverged = sum(run.diverged_at is not None for run in runs)
    return -len(runs), diverged, mean("train_error"), mean("train_loss")


def _row(results: Results, activation: str, rate: float, first: Row | None) -> Row:
    runs = runs_of(results, activation, rate)
    seconds = [epoch.seconds for run in runs for epoch in run.epochs]
    reference = seconds
    if first is not None:
        reference = [epoch.seconds for run in first.runs for epoch in run.epochs]
    target = results.study.target_error
    crossings = [first_crossing(curve(run, "train_error"), target) for run in runs]
    return Row(
        activation,
        rate,
        _edge(results, activation, rate),
        runs,
        train_error=_final(runs, "train_error"),
        test_error=_final(runs, "test_error"),
        epochs_to=tuple(c for c in crossings if c is not None),
        seconds=statistics.median(seconds),
        slowdown=ratio_of_medians(seconds, reference),
    )


def curve(run: Run, metric: str) -> list[float | None]:
    """A metric of a run by epoch."""
    return [getattr(epoch, metric) for epoch in run.epochs]


def by_epoch(row: Row, metric: str) -> dict[int, list[float]]:
    """The values of a metric over seeds, by epoch; test metrics include epoch 0, before training."""
    by_number: dict[int, list[float]] = {}
    for run in row.runs:
        points = [(0, getattr(run.untrained, metric, None)), *enumerate(curve(run, metric), 1)]
        for epoch, value in points:
            if value is not None:
                by_number.setdefault(epoch, []).append(value)
    return dict(sorted(by_number.items()))


def _final(runs: Sequence[Run], metric: str) -> Interval | None:
    """The mean of an error over seeds, in an interval that is cut to what an error can be."""
    values = [getattr(run.epochs[-1], metric) for run in runs if run.diverged_at is None]
    return mean_interval(values).clipped(0.0, 1.0) if values else None


def _edge(results: Results, activation: str, chosen: float) -> str:
    rates = results.study.learning_rates
    if activation in results.tuned:
        return results.tuned[activation].edge
    if len(rates) == 1:
        return ""
    return {min(rates): "lowest", max(rates): "highest"}.get(chosen, "")


LayerRow = dict[str, Any]  # "site", and numbers by name


def layer_rows(row: Row) -> list[LayerRow]:
    """The measures of each activation site before and after training, averaged over a row's seeds."""
    sites = list(dict.fromkeys(site for run in row.runs for site in run.probes[0].sites))
    entries = []
    for site in sites:
        entry: LayerRow = {"site": site}
        for when, place in (("initial", 0), ("final", -1)):
            for figure in ("mean", "variance", "mean_to_std", "zeros", "gradient_norm"):
                entry[f"{when}_{figure}"] = _average(row.runs, site, place, figure)
        entries.append(entry)
    return entries


def _average(runs: Sequence[Run], site: str, place: int, figure: str) -> float | None:
    values = [run.probes[place].sites[site][figure] for run in runs]
    finite = [value for value in values if value is not None]
    return statistics.fmean(finite) if finite else None


MOST = 6  # activations that a sentence names


def listed(texts: Sequence[str], separator: str = ", ") -> str:
    """Texts as a list in words; a long list is cut, with the number of texts left out.

    >>> listed(["relu", "elu"]), listed(list("abcdefghi"))
    ('relu, elu', 'a, b, c, d, e, f and 3 more')
    """
    if len(texts) <= MOST + 1:
        return separator.join(texts)
    return f"{separator.join(texts[:MOST])} and {len(texts) - MOST} more"
